package nodes

import (
	"fmt"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
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

// LinearSplit is Linear with its output cut into column blocks of the given
// widths, each a node of its own. The widths add up to w's rows.
func LinearSplit(x, w, b *gorgonia.Node, widths ...int) ([]*gorgonia.Node, error) {
	s, err := newLinearSpec([]*gorgonia.Node{x}, w, b, widths)
	if err != nil {
		return nil, err
	}
	return s.apply([]*gorgonia.Node{x}, w, b)
}

// LinearOfConcat returns [x₁ x₂ …]·Wᵀ + b without joining the xs (N, Inₖ) in
// memory: w (Out, Σ Inₖ), b (Out) or nil. The gates of the mLSTM read q, k and v
// this way.
func LinearOfConcat(xs []*gorgonia.Node, w, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("LinearOfConcat", "w", w, -1, -1); err != nil {
		return nil, err
	}
	s, err := newLinearSpec(xs, w, b, []int{w.Shape()[0]})
	if err != nil {
		return nil, err
	}
	ys, err := s.apply(xs, w, b)
	if err != nil {
		return nil, err
	}
	return ys[0], nil
}

// linearSpec is a linear map from the column blocks ins to the column blocks
// outs.
type linearSpec struct {
	n         int
	ins, outs []int
	bias      bool
}

func newLinearSpec(xs []*gorgonia.Node, w, b *gorgonia.Node, widths []int) (linearSpec, error) {
	s := linearSpec{outs: slices.Clone(widths), bias: b != nil}
	if len(xs) == 0 || len(widths) == 0 {
		return s, errors.New("nodes: a linear map needs an input and an output")
	}
	for _, width := range widths {
		if width < 1 {
			return s, errors.Errorf("nodes: Linear: an output of width %d", width)
		}
	}
	for i, x := range xs {
		if err := wantShape("Linear", fmt.Sprintf("x[%d]", i), x, -1, -1); err != nil {
			return s, err
		}
		s.ins = append(s.ins, x.Shape()[1])
	}
	s.n = xs[0].Shape()[0]
	for i, x := range xs {
		if err := wantShape("Linear", fmt.Sprintf("x[%d]", i), x, s.n, -1); err != nil {
			return s, err
		}
	}
	if err := wantShape("Linear", "w", w, sum(s.outs), sum(s.ins)); err != nil {
		return s, err
	}
	if b == nil {
		return s, nil
	}
	return s, wantShape("Linear", "b", b, sum(s.outs))
}

func sum(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}

// blocks calls f for every block of the weight: output o of width no beginning
// at row ro, input i of width ni beginning at column ci.
func (s linearSpec) blocks(f func(o, no, ro, i, ni, ci int)) {
	ro := 0
	for o, no := range s.outs {
		ci := 0
		for i, ni := range s.ins {
			f(o, no, ro, i, ni, ci)
			ci += ni
		}
		ro += no
	}
}

// matrices returns the layout of matrices of n rows and the given widths.
func matrices(n int, widths []int) (l layout) {
	for _, w := range widths {
		l = append(l, tensor.Shape{n, w})
	}
	return l
}

func (s linearSpec) apply(xs []*gorgonia.Node, w, b *gorgonia.Node) ([]*gorgonia.Node, error) {
	l := matrices(s.n, s.outs)
	sp := spec{name: "linear", attrs: fmt.Sprintf("%+v", s), run: kernelPair{linearForward[float32](s, l), linearForward[float64](s, l)}}
	in := join(xs, w)
	if b != nil {
		in = append(in, b)
	}
	if len(l) == 1 {
		sp.shape = l[0]
		sp.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return s.diff(in, gorgonia.Nodes{grad})
		}
		y, err := apply(sp, in...)
		return gorgonia.Nodes{y}, err
	}
	sp = sp.packed(l)
	sp.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		grads, err := unput(l, grad)
		if err != nil {
			return nil, err
		}
		return s.diff(in, grads)
	}
	packed, err := apply(sp, in...)
	if err != nil {
		return nil, err
	}
	return parts(packed, 0)
}

func linearForward[F kernels.Float](s linearSpec, l layout) kernel[F] {
	return func(out []F, in []operand[F]) error {
		w, width := in[len(s.ins)].data, sum(s.ins)
		s.blocks(func(o, no, ro, i, ni, ci int) {
			var bias []F
			if s.bias && i == 0 {
				bias = in[len(s.ins)+1].data[ro : ro+no]
			}
			kernels.Linear(s.n, ni, no, in[i].data, ni, w[ro*width+ci:], width, bias, cut(l, out, o), i > 0)
		})
		return nil
	}
}

// diff returns the gradients of the inputs, w and b, where dys are those of the
// outputs, nil for an output nobody used.
func (s linearSpec) diff(in gorgonia.Nodes, dys gorgonia.Nodes) (gorgonia.Nodes, error) {
	some, has := present(dys)
	l := append(matrices(s.n, s.ins), in[len(s.ins)].Shape())
	if s.bias {
		l = append(l, tensor.Shape{sum(s.outs)})
	}
	run := kernelPair{linearBackward[float32](s, l, has), linearBackward[float64](s, l, has)}
	return packedGrads("linear'", fmt.Sprintf("%+v %v", s, has), l, run, join(in[:len(s.ins)+1], some...)...)
}

func linearBackward[F kernels.Float](s linearSpec, l layout, has []bool) kernel[F] {
	return func(out []F, in []operand[F]) error {
		w, width := in[len(s.ins)].data, sum(s.ins)
		dys := spread(in[len(s.ins)+1:], has)
		dw := cut(l, out, len(s.ins))
		if !all(has) {
			clear(out)
		}
		started := make([]bool, len(s.ins))
		s.blocks(func(o, no, ro, i, ni, ci int) {
			if !has[o] {
				return
			}
			kernels.LinearGradX(s.n, ni, no, dys[o], w[ro*width+ci:], width, cut(l, out, i), ni, started[i])
			started[i] = true
			kernels.LinearGradW(s.n, ni, no, dys[o], in[i].data, ni, dw[ro*width+ci:], width)
			if s.bias && i == 0 {
				kernels.ColumnSums(s.n, no, dys[o], cut(l, out, len(s.ins)+1)[ro:ro+no])
			}
		})
		return nil
	}
}

func all(has []bool) bool {
	for _, h := range has {
		if !h {
			return false
		}
	}
	return true
}

// AddBias adds the window of b (M) that begins at lo to every row of x (N, D):
// one gate's share of a bias that holds several.
func AddBias(x, b *gorgonia.Node, lo int) (*gorgonia.Node, error) {
	if err := firstError(wantShape("AddBias", "x", x, -1, -1), wantShape("AddBias", "b", b, -1)); err != nil {
		return nil, err
	}
	n, d := x.Shape()[0], x.Shape()[1]
	if lo < 0 || lo+d > b.Shape()[0] {
		return nil, errors.Errorf("nodes: AddBias: a window of %d from %d does not fit a bias of %d", d, lo, b.Shape()[0])
	}
	attrs := fmt.Sprint(lo)
	return apply(spec{
		name: "+b", attrs: attrs, shape: x.Shape(),
		run: kernelPair{addBias[float32](n, d, lo), addBias[float64](n, d, lo)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			db, err := apply(spec{
				name: "+b'", attrs: attrs, shape: b.Shape(),
				run: kernelPair{biasBackward[float32](n, d, lo), biasBackward[float64](n, d, lo)},
			}, grad)
			return gorgonia.Nodes{grad, db}, err
		},
	}, x, b)
}

func addBias[F kernels.Float](n, d, lo int) kernel[F] {
	return func(out []F, in []operand[F]) error {
		kernels.AddRows(n, d, in[0].data, in[1].data[lo:lo+d], out)
		return nil
	}
}

func biasBackward[F kernels.Float](n, d, lo int) kernel[F] {
	return func(out []F, in []operand[F]) error {
		clear(out)
		kernels.ColumnSums(n, d, in[0].data, out[lo:lo+d])
		return nil
	}
}
