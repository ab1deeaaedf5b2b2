package run

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
)

func TestDocumentsOfBytesEndWithASeparator(t *testing.T) {
	if b, err := BoundariesOf(Settings{Reset: true}, data.Bytes{}); err != nil || b.between != int(data.Separator[0]) {
		t.Errorf("the boundaries of bytes are %v, %v", b, err)
	}
}
