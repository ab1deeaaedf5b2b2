package main

import (
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// boundaries say where documents begin in batches.
type boundaries struct {
	reset   bool // whether the state is reset there
	between int  // the token between two documents
}

// boundariesOf returns what the settings ask for.
func boundariesOf(s settings, tok data.Tokenizer) (boundaries, error) {
	if !s.Reset {
		return boundaries{}, nil
	}
	ids := data.DocumentEnd(tok)
	if _, chars := tok.(*data.Chars); len(ids) != 1 || chars && ids[0] == data.UnknownChar {
		return boundaries{}, errors.New("-reset-documents needs a token that stands between documents, and the vocabulary has none; with -tokens chars a text of more documents or a lower -rare gives one, -tokens bytes and bpe always have one")
	}
	return boundaries{true, ids[0]}, nil
}

// mark tells a batch where documents begin, if the state is reset there.
func (b boundaries) mark(batch data.Batch) data.Batch {
	if !b.reset {
		return batch
	}
	return batch.MarkStarts(b.between)
}
