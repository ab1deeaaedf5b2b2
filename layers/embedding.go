package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// Embedding maps ids to rows of its parameter "weight" (V, D).
type Embedding struct {
	s      Scope
	Weight *gorgonia.Node
}

// NewEmbedding creates an embedding of vocab tokens with dim numbers each.
func NewEmbedding(s Scope, vocab, dim int, init Init) (*Embedding, error) {
	w, err := s.Param("weight", init, vocab, dim)
	return &Embedding{s, w}, err
}

// Fwd maps ids (N), of dtype tensor.Int, to (N, D).
func (l *Embedding) Fwd(ids *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Embedding(ids, l.Weight)
	l.s.label(y)
	return y, err
}
