package main

import (
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// boundaries say where documents begin in batches.
type boundaries struct {
	reset   bool // whether the state is reset there
	between int  // the token between two documents
	first   bool // that token is the first of a document, and not the last
}

// boundariesOf returns what the settings ask for.
func boundariesOf(s settings, tok data.Tokenizer) (boundaries, error) {
	if !s.Reset {
		return boundaries{}, nil
	}
	end, ok := data.TextEnd(tok)
	if !ok {
		return boundaries{}, errors.New("-reset-documents needs a token that stands between documents, and the vocabulary has none; with -tokens chars a text of more documents or a lower -rare gives one, -tokens bytes and bpe always have one")
	}
	begin := data.Beginning(tok)
	return boundaries{true, end, len(begin) == 1 && begin[0] == end}, nil
}

// mark tells a batch where documents begin, if the state is reset there.
func (b boundaries) mark(batch data.Batch) data.Batch {
	switch {
	case !b.reset:
		return batch
	case b.first:
		return batch.MarkStartsAt(b.between)
	}
	return batch.MarkStarts(b.between)
}
