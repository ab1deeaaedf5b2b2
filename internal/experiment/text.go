package experiment

import (
	"context"
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Corpus is the text of the experiments with text, as bytes: the vocabulary is
// the same whatever the text.
type Corpus struct {
	Source      string
	train, held []int
	checksum    string
}

// corpusBytes is the size of the default text, and heldShare the share of it at
// its end that is not trained on.
const (
	corpusBytes = 4 << 20
	heldShare   = 0.1
)

// textVocab is the number of bytes.
const textVocab = 256

// LoadCorpus reads the text of files, or the source of the Go standard library
// if there are none.
func LoadCorpus(ctx context.Context, paths ...string) (*Corpus, error) {
	var text, source string
	if len(paths) == 0 {
		c, err := data.GoSource(ctx, corpusBytes, 1)
		if err != nil {
			return nil, err
		}
		text, source = c.Text(), c.Source
	} else {
		c, err := data.Load(data.DefaultMaxBytes, paths...)
		if err != nil {
			return nil, err
		}
		text, source = c.Text(), strings.Join(paths, ", ")
	}
	return corpusOf(text, source)
}

func corpusOf(text, source string) (*Corpus, error) {
	ids := make([]int, len(text))
	for i := range ids {
		ids[i] = int(text[i])
	}
	train, held, err := data.Split(ids, heldShare, 16)
	if err != nil {
		return nil, errors.Wrapf(err, "dividing %s", source)
	}
	return &Corpus{source, train, held, fmt.Sprintf("%d bytes with checksum %016x", len(ids), data.IDs(ids).Checksum())}, nil
}

// windows returns windows of the text that is trained on.
func (c *Corpus) windows(length int) *Text {
	return &Text{Length: length, Bytes: c.checksum, ids: c.train}
}

// heldOut returns windows of the text that is held out.
func (c *Corpus) heldOut(length int) *Text {
	return &Text{Length: length, Bytes: c.checksum, Held: true, ids: c.held}
}

// Text is random windows of a corpus, or of the part of it that is held out.
type Text struct {
	Length int    `json:"length"`
	Bytes  string `json:"bytes"`
	Held   bool   `json:"held_out,omitempty"`
	ids    []int
}

// batches draws windows of the text.
func (t Text) batches(b int, seed uint64) (data.Batcher, error) {
	return data.NewRandomWindows(t.ids, b, t.Length, seed)
}
