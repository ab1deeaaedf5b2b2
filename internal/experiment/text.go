package experiment

import (
	"github.com/gorgonia-xlstm/xlstm/data"
)

// Text is windows of a text that is the same for everybody.
type Text struct {
	Length int  `json:"length"`
	Held   bool `json:"held_out,omitempty"` // the last part, which is not trained on
}

// windows draws windows of the text.
func (t Text) windows(b int, seed uint64) (data.Batcher, error) {
	panic("text")
}
