package nodes

import (
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia's operations return one value. One that yields several keeps each of
// them in a buffer of its own and returns a scalar that means nothing, of which
// part nodes take the pieces out. A piece is read through its part alone, so that
// Gorgonia knows all who read it; its element-wise operations may write over an
// input that nobody reads after them.

// layout is the shapes of the pieces of a packed result.
type layout []tensor.Shape

// packed completes the spec of an operation that returns the pieces l.
func (s spec) packed(l layout) spec {
	s.parts = l
	return s
}

// part returns piece k of a packed node.
func part(packed *gorgonia.Node, k int) (*gorgonia.Node, error) {
	o := packed.Op().(*op)
	return apply(spec{
		name:  "part",
		attrs: fmt.Sprintf("%d %v", k, o.parts),
		shape: o.parts[k],
		view:  &view{of: o.exe, piece: k},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := put(o.parts, k, grad)
			return gorgonia.Nodes{g}, err
		},
	}, packed)
}

// parts returns all pieces of a packed node.
func parts(packed *gorgonia.Node) (gorgonia.Nodes, error) {
	var ns gorgonia.Nodes
	for k := range packed.Op().(*op).parts {
		n, err := part(packed, k)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// view is an executor without memory of its own: it returns a piece of a packed
// result, or, if of is nil, its input.
type view struct {
	of    executor
	piece int
}

func (v *view) do(in []gorgonia.Value) (gorgonia.Value, error) {
	if v.of == nil {
		return in[0], nil
	}
	if t := v.of.buffer(v.piece); t != nil {
		return t, nil
	}
	return nil, errors.New("its operation has not run")
}

func (v *view) buffer(int) *tensor.Dense { return nil }

func (v *view) share(*arena, []int) {}

// put marks grad as the gradient of piece k. It is a node only because Gorgonia
// adds up what flows into a packed result: the backward pass takes the pieces'
// gradients from below the sum (see unput), and nobody reads the zeros of which
// it is one.
func put(l layout, k int, grad *gorgonia.Node) (*gorgonia.Node, error) {
	nothing := kernelPair{func([][]float32, []operand[float32]) error { return nil }, func([][]float64, []operand[float64]) error { return nil }}
	return apply(spec{name: "put", attrs: fmt.Sprintf("%d %v", k, l), put: true, piece: k, run: nothing}, grad)
}

// unput returns the gradients of the pieces of a packed result, nil where none
// came in. The gradient is a sum of puts, one for each piece that was used.
func unput(l layout, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	pieces := make(gorgonia.Nodes, len(l))
	var walk func(n *gorgonia.Node) error
	walk = func(n *gorgonia.Node) error {
		it := n.Graph().From(n.ID())
		if o, ok := n.Op().(*op); ok && o.put {
			if it.Next(); pieces[o.piece] != nil {
				return errors.Errorf("piece %d of a packed result has two gradients", o.piece)
			}
			pieces[o.piece] = it.Node().(*gorgonia.Node)
			return nil
		}
		// Gorgonia's own addition, as it names itself.
		if n.Op() == nil || !strings.HasPrefix(n.Op().String(), "+ ") {
			return errors.Errorf("a packed result was used whole, by %v", n)
		}
		for it.Next() {
			if err := walk(it.Node().(*gorgonia.Node)); err != nil {
				return err
			}
		}
		return nil
	}
	return pieces, walk(grad)
}

// present drops the nil nodes and returns which were there.
func present(ns gorgonia.Nodes) (gorgonia.Nodes, []bool) {
	var some gorgonia.Nodes
	has := make([]bool, len(ns))
	for i, n := range ns {
		if has[i] = n != nil; has[i] {
			some = append(some, n)
		}
	}
	return some, has
}

// spread is the inverse of present, for operands.
func spread[F kernels.Float](in []operand[F], has []bool) [][]F {
	out := make([][]F, len(has))
	for i, ok := range has {
		if ok {
			out[i], in = in[0].data, in[1:]
		}
	}
	return out
}

// join returns a new slice of ns and more.
func join(ns gorgonia.Nodes, more ...*gorgonia.Node) gorgonia.Nodes {
	return append(append(gorgonia.Nodes{}, ns...), more...)
}

// packedGrads adds a backward operation that returns the pieces l.
func packedGrads(name, attrs string, l layout, run kernelPair, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	packed, err := apply(spec{name: name, attrs: attrs, run: run}.packed(l), inputs...)
	if err != nil {
		return nil, err
	}
	return parts(packed)
}
