package run

import (
	"encoding/json"
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// textMark tells a part of a run's text from others.
type textMark struct {
	Tokens   int    `json:"tokens"`
	Checksum string `json:"checksum"`
}

// textMarks are those of both parts, as a checkpoint keeps them.
type textMarks struct {
	Train   textMark `json:"train"`
	HeldOut textMark `json:"held_out"`
}

func markOf(tokens data.Tokens) textMark {
	return textMark{tokens.Len(), fmt.Sprintf("%016x", tokens.Checksum())}
}

func (t *Corpus) marks() textMarks { return textMarks{markOf(t.Train), markOf(t.HeldOut)} }

// changedText is the error of going on with another text: neither the steps nor
// the held-out losses would be those of the run.
type changedText struct {
	part      string
	was, isIt textMark
}

func (e *changedText) Error() string {
	return fmt.Sprintf("%s has changed since the run was stopped: it had %d tokens with checksum %s, now %d with %s; resume with the data that the run was begun with",
		e.part, e.was.Tokens, e.was.Checksum, e.isIt.Tokens, e.isIt.Checksum)
}

// checkTexts compares the texts with what a checkpoint says of them. One of
// earlier versions says nothing.
func (r *Session) checkTexts(saved string) error {
	if saved == "" {
		return nil
	}
	var was textMarks
	if err := json.Unmarshal([]byte(saved), &was); err != nil {
		return errors.Wrap(err, "what the checkpoint says of the text")
	}
	is := r.text.marks()
	if was.Train != is.Train {
		return &changedText{"the text to train on", was.Train, is.Train}
	}
	if was.HeldOut != is.HeldOut {
		return &changedText{"the held-out text", was.HeldOut, is.HeldOut}
	}
	return nil
}
