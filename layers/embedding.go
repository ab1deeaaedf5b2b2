package layers

import (
	"gorgonia.org/gorgonia"
)

// Embedding maps ids to rows of its parameter "weight" (V, D), whose node is
// Weight. If the store holds the weight packed, Weight is nil.
type Embedding struct {
	s Scope
	matrix
}

// NewEmbedding creates an embedding of vocab tokens with dim numbers each.
func NewEmbedding(s Scope, vocab, dim int, init Init) (*Embedding, error) {
	w, err := s.matrix("weight", init, vocab, dim)
	return &Embedding{s, w}, err
}

// Fwd maps ids (N), of dtype tensor.Int, to (N, D).
func (l *Embedding) Fwd(ids *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := l.rows(ids)
	l.s.label(y)
	return y, err
}

// Tied returns a linear layer that has the embedding's weight and, with bias, a
// bias of its own. It must be called before Fwd.
func (l *Embedding) Tied(s Scope, bias bool) (*Linear, error) {
	own, other, err := l.shared()
	if err != nil {
		return nil, err
	}
	l.matrix = own
	return linearOf(s, other, zeroIf(bias))
}
