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
	s, err := newLinearSpec(x, w, b, widths)
	if err != nil {
		return nil, err
	}
	in := gorgonia.Nodes{x, w}
	if b != nil {
		in = append(in, b)
	}
	return s.apply(in)
}

// linearSpec is a linear map of n rows to the column blocks outs.
type linearSpec struct {
	n, in int
	outs  []int
	bias  bool
}

func newLinearSpec(x, w, b *gorgonia.Node, widths []int) (linearSpec, error) {
	s := linearSpec{outs: slices.Clone(widths), bias: b != nil}
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
	s.n, s.in = x.Shape()[0], x.Shape()[1]
	if err := wantShape("Linear", "w", w, sum(s.outs), s.in); err != nil || b == nil {
		return s, err
	}
	return s, wantShape("Linear", "b", b, sum(s.outs))
}

func sum(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}

// blocks calls f for every output: its width and its first row in the weight.
func (s linearSpec) blocks(f func(o, width, row int)) {
	row := 0
	for o, width := range s.outs {
		f(o, width, row)
		row += width
	}
}

// apply adds the map to the graph; in is x, w and b if there is one.
func (s linearSpec) apply(in gorgonia.Nodes) ([]*gorgonia.Node, error) {
	var l layout
	for _, width := range s.outs {
		l = append(l, tensor.Shape{s.n, width})
	}
	sp := spec{name: "linear", attrs: fmt.Sprintf("%+v", s), run: kernelPair{linearForward[float32](s), linearForward[float64](s)}}
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
	return parts(packed)
}

func linearForward[F kernels.Float](s linearSpec) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		x, w := in[0].data, in[1].data
		s.blocks(func(o, width, row int) {
			var bias []F
			if s.bias {
				bias = in[2].data[row : row+width]
			}
			kernels.Linear(s.n, s.in, width, x, s.in, w[row*s.in:], s.in, bias, out[o], false)
		})
		return nil
	}
}

// diff returns the gradients of x, w and b, where dys are those of the outputs,
// nil for an output nobody used.
func (s linearSpec) diff(in gorgonia.Nodes, dys gorgonia.Nodes) (gorgonia.Nodes, error) {
	some, has := present(dys)
	var l layout
	for _, n := range in {
		l = append(l, n.Shape())
	}
	run := kernelPair{linearBackward[float32](s, has), linearBackward[float64](s, has)}
	return packedGrads("linear'", fmt.Sprintf("%+v %v", s, has), l, run, join(in[:2], some...)...)
}

func linearBackward[F kernels.Float](s linearSpec, has []bool) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		x, w, dys := in[0].data, in[1].data, spread(in[2:], has)
		if !all(has) {
			for _, grad := range out {
				clear(grad)
			}
		}
		started := false
		s.blocks(func(o, width, row int) {
			if !has[o] {
				return
			}
			kernels.LinearGradX(s.n, s.in, width, dys[o], w[row*s.in:], s.in, out[0], s.in, started)
			started = true
			kernels.LinearGradW(s.n, s.in, width, dys[o], x, s.in, out[1][row*s.in:], s.in)
			if s.bias {
				kernels.ColumnSums(s.n, width, dys[o], out[2][row:row+width])
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
	return func(out [][]F, in []operand[F]) error {
		kernels.AddRows(n, d, in[0].data, in[1].data[lo:lo+d], out[0])
		return nil
	}
}

func biasBackward[F kernels.Float](n, d, lo int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		clear(out[0])
		kernels.ColumnSums(n, d, in[0].data, out[0][lo:lo+d])
		return nil
	}
}
