package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Linear returns y = x·Wᵀ + b: x (N, In), w (Out, In) as PyTorch stores it,
// b (Out) or nil, y (N, Out).
func Linear(x, w, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("Linear", "w", w, -1, -1); err != nil {
		return nil, err
	}
	ys, err := LinearSplit(x, w, b, w.Shape()[0])
	if err != nil {
		return nil, err
	}
	return ys[0], nil
}

// LinearSplit is like Linear, with the output split into column blocks of the
// given widths, one node each. The sum of the widths must be the number of rows
// of w.
func LinearSplit(x, w, b *gorgonia.Node, widths ...int) ([]*gorgonia.Node, error) {
	s, err := newLinear(x, w, b, widths)
	if err != nil {
		return nil, err
	}
	in := gorgonia.Nodes{x, w}
	if b != nil {
		in = append(in, b)
	}
	return results(spec{op: s, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return linearDiff(s, in, grad)
	}}, in...)
}

func newLinear(x, w, b *gorgonia.Node, widths []int) (ops.Linear, error) {
	s := ops.Linear{Outs: slices.Clone(widths), Bias: b != nil}
	if len(widths) == 0 {
		return s, errors.New("nodes: Linear needs an output")
	}
	for _, width := range widths {
		if width < 1 {
			return s, errors.Errorf("nodes: Linear: an output of width %d", width)
		}
	}
	if err := wantShape("Linear", "x", x, -1, -1); err != nil {
		return s, err
	}
	s.Rows, s.In = x.Shape()[0], x.Shape()[1]
	if err := wantShape("Linear", "w", w, sum(s.Outs), s.In); err != nil || b == nil {
		return s, err
	}
	return s, wantShape("Linear", "b", b, sum(s.Outs))
}

func sum(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}

func linearDiff(s ops.Linear, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	dys := gorgonia.Nodes{grad}
	if len(s.Outs) > 1 {
		var err error
		if dys, err = unput(len(s.Outs), grad); err != nil {
			return nil, err
		}
	}
	some, has := present(dys)
	return gradients(ops.LinearGrad{Linear: s, Has: has}, join(in[:2], some...)...)
}

// AddBias adds b[lo:lo+D] of b (M) to every row of x (N, D): the part of one
// gate in a bias for several gates.
func AddBias(x, b *gorgonia.Node, lo int) (*gorgonia.Node, error) {
	if err := firstError(wantShape("AddBias", "x", x, -1, -1), wantShape("AddBias", "b", b, -1)); err != nil {
		return nil, err
	}
	n, d := x.Shape()[0], x.Shape()[1]
	if lo < 0 || lo+d > b.Shape()[0] {
		return nil, errors.Errorf("nodes: AddBias: a window of %d from %d does not fit a bias of %d", d, lo, b.Shape()[0])
	}
	size := b.Shape()[0]
	return apply(spec{op: ops.AddBias{N: n, D: d, Lo: lo, Size: size}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		db, err := gradients(ops.AddBiasGrad{N: n, D: d, Lo: lo, Size: size}, grad)
		return join(gorgonia.Nodes{grad}, db...), err
	}}, x, b)
}
