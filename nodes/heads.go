package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// The products of a symbolic mLSTM step. A row of every matrix is NH blocks of
// equal width, one a head; a memory C is a row of NH blocks of A·B numbers, each
// an A×B matrix.

// blocks describes matching blocks of two matrices of n rows.
type blocks struct{ n, heads, a, b int }

func newBlocks(opName string, heads int, a, b *gorgonia.Node) (blocks, error) {
	s := blocks{heads: heads}
	if err := wantShape(opName, "first input", a, -1, -1); err != nil {
		return s, err
	}
	if err := wantShape(opName, "second input", b, a.Shape()[0], -1); err != nil {
		return s, err
	}
	s.n = a.Shape()[0]
	if heads < 1 || a.Shape()[1]%heads != 0 || b.Shape()[1]%heads != 0 {
		return s, errors.Errorf("nodes: %s: widths %d and %d are not multiples of %d heads", opName, a.Shape()[1], b.Shape()[1], heads)
	}
	s.a, s.b = a.Shape()[1]/heads, b.Shape()[1]/heads
	return s, nil
}

// HeadOuter returns the outer products a·bᵀ of corresponding blocks, (N, NH·A)
// and (N, NH·B) giving (N, NH·A·B): v kᵀ of the memory's update (paper,
// equation 19), with the key's index first.
func HeadOuter(heads int, a, b *gorgonia.Node) (*gorgonia.Node, error) {
	s, err := newBlocks("HeadOuter", heads, a, b)
	if err != nil {
		return nil, err
	}
	return headProduct(ops.HeadOuter{N: s.n, Heads: s.heads, A: s.a, B: s.b}, a, b, func(in gorgonia.Nodes, grad *gorgonia.Node) (da, db *gorgonia.Node, err error) {
		if da, err = headRight(s, in[1], grad); err != nil {
			return nil, nil, err
		}
		db, err = headLeft(s, in[0], grad)
		return da, db, err
	})
}

// HeadRead returns aᵀC block by block, (N, NH·A) and (N, NH·A·B) giving (N,
// NH·B): the retrieval from the memory by the query (paper, equation 21). With
// B = 1 it is the dot product of corresponding blocks.
func HeadRead(heads int, a, c *gorgonia.Node) (*gorgonia.Node, error) {
	s, err := newBlocks("HeadRead", heads, a, c)
	if err != nil {
		return nil, err
	}
	if s.b%s.a != 0 {
		return nil, errors.Errorf("nodes: HeadRead: a memory block of %d numbers does not fit queries of %d", s.b, s.a)
	}
	s.b /= s.a
	return headLeft(s, a, c)
}

func headLeft(s blocks, a, c *gorgonia.Node) (*gorgonia.Node, error) {
	return headProduct(ops.HeadLeft{N: s.n, Heads: s.heads, A: s.a, B: s.b}, a, c, func(in gorgonia.Nodes, grad *gorgonia.Node) (da, dc *gorgonia.Node, err error) {
		if da, err = headRight(s, grad, in[1]); err != nil {
			return nil, nil, err
		}
		dc, err = HeadOuter(s.heads, in[0], grad)
		return da, dc, err
	})
}

// headRight returns C·b block by block, (N, NH·B) and (N, NH·A·B) giving (N, NH·A).
func headRight(s blocks, b, c *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(spec{op: ops.HeadRight{N: s.n, Heads: s.heads, A: s.a, B: s.b}}, b, c)
}

// HeadScale multiplies each block of c (N, NH·B) by the number of its head in a
// (N, NH): a gate on the memory.
func HeadScale(heads int, a, c *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("HeadScale", "first input", a, -1, heads); err != nil {
		return nil, err
	}
	return HeadOuter(heads, a, c)
}

func headProduct(o ops.Op, a, b *gorgonia.Node, diff func(in gorgonia.Nodes, grad *gorgonia.Node) (da, db *gorgonia.Node, err error)) (*gorgonia.Node, error) {
	return apply(spec{op: o, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		da, db, err := diff(in, grad)
		return gorgonia.Nodes{da, db}, err
	}}, a, b)
}
