package nodes

import (
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia's operations return one value. One that yields several returns them
// packed one after the other in a vector, of which part takes the pieces out as
// views. The views are safe, although Gorgonia's element-wise operations may
// write over them: a packed vector is read by nobody but its parts, which do not
// overlap, and by the operation's own backward pass, which reads a piece that
// has become a part through that part's node.

// layout is the shapes of the pieces of a packed vector.
type layout []tensor.Shape

// at returns where piece k begins and ends.
func (l layout) at(k int) (lo, hi int) {
	for _, s := range l[:k] {
		lo += s.TotalSize()
	}
	return lo, lo + l[k].TotalSize()
}

func (l layout) total() int {
	_, hi := l.at(len(l) - 1)
	return hi
}

// packed completes the spec of an operation that returns the pieces l.
func (s spec) packed(l layout) spec {
	s.parts = l
	s.shape = tensor.Shape{l.total()}
	return s
}

// cut returns piece k of a packed vector's elements.
func cut[F kernels.Float](l layout, packed []F, k int) []F {
	lo, hi := l.at(k)
	return packed[lo:hi]
}

// part returns piece k of a packed node.
func part(packed *gorgonia.Node, k int) (*gorgonia.Node, error) {
	l := packed.Op().(*op).parts
	lo, hi := l.at(k)
	node, err := apply(spec{
		name:  "part",
		attrs: fmt.Sprintf("%d %v", k, l),
		shape: l[k],
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := put(l, k, grad)
			return gorgonia.Nodes{g}, err
		},
	}, packed)
	if err != nil {
		return nil, err
	}
	o := node.Op().(*op)
	if _, made := o.exe.(*viewer); !made {
		o.exe = &viewer{lo: lo, hi: hi, shape: l[k]}
	}
	return node, nil
}

// parts returns the pieces from k on.
func parts(packed *gorgonia.Node, k int) (gorgonia.Nodes, error) {
	var ns gorgonia.Nodes
	for ; k < len(packed.Op().(*op).parts); k++ {
		n, err := part(packed, k)
		if err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, nil
}

// viewer executes part: it returns a window of its input, not a copy.
type viewer struct {
	lo, hi int
	shape  tensor.Shape
	of     gorgonia.Value
	view   *tensor.Dense
}

func (v *viewer) do(in []gorgonia.Value) (gorgonia.Value, error) {
	if v.of == in[0] {
		return v.view, nil
	}
	v.of = in[0]
	switch data := in[0].Data().(type) {
	case []float32:
		v.view = tensor.New(tensor.WithShape(v.shape...), tensor.WithBacking(data[v.lo:v.hi:v.hi]))
	case []float64:
		v.view = tensor.New(tensor.WithShape(v.shape...), tensor.WithBacking(data[v.lo:v.hi:v.hi]))
	default:
		return nil, errors.Errorf("a packed value holds %T", data)
	}
	return v.view, nil
}

// put marks grad as the gradient of one piece. It is a node only because Gorgonia
// adds up what flows into a packed result: the backward pass takes the pieces'
// gradients from below the sum (see unput), and nobody reads the zeros that a put
// computes.
func put(l layout, k int, grad *gorgonia.Node) (*gorgonia.Node, error) {
	zeros := kernelPair{func([]float32, []operand[float32]) error { return nil }, func([]float64, []operand[float64]) error { return nil }}
	return apply(spec{name: "put", attrs: fmt.Sprintf("%d %v", k, l), shape: tensor.Shape{l.total()}, piece: k, run: zeros}, grad)
}

// unput returns the gradients of the pieces of a packed result, nil where none
// came in. The gradient is a sum of puts, one for each piece that was used.
func unput(l layout, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	pieces := make(gorgonia.Nodes, len(l))
	var walk func(n *gorgonia.Node) error
	walk = func(n *gorgonia.Node) error {
		it := n.Graph().From(n.ID())
		if o, ok := n.Op().(*op); ok && o.name == "put" {
			if it.Next(); pieces[o.piece] != nil {
				return errors.Errorf("piece %d of a packed result has two gradients", o.piece)
			}
			pieces[o.piece] = it.Node().(*gorgonia.Node)
			return nil
		}
		// Gorgonia's own addition, as it names itself.
		if !strings.HasPrefix(n.Op().String(), "+ ") {
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
	return parts(packed, 0)
}
