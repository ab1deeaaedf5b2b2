package run

import (
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Boundaries determine where documents begin in batches.
type Boundaries struct {
	reset   bool // whether the state is reset there
	between int  // the token between two documents
	first   bool // that token is the first of a document, and not the last
}

// BoundariesOf returns the boundaries according to the settings.
func BoundariesOf(s Settings, tok data.Tokenizer) (Boundaries, error) {
	if !s.Reset {
		return Boundaries{}, nil
	}
	end, ok := data.TextEnd(tok)
	if !ok {
		return Boundaries{}, errors.Errorf("%s needs a token that stands between documents, and the vocabulary has none; with %s chars a text of more documents or a lower %s gives one, %[2]s bytes and bpe always have one", s.name("reset_documents"), s.name("tokens"), s.name("rare"))
	}
	begin := data.Beginning(tok)
	return Boundaries{true, end, len(begin) == 1 && begin[0] == end}, nil
}

// Mark sets the starts of documents in a batch, if the state is reset there.
func (b Boundaries) Mark(batch data.Batch) data.Batch {
	switch {
	case !b.reset:
		return batch
	case b.first:
		return batch.MarkStartsAt(b.between)
	}
	return batch.MarkStarts(b.between)
}
