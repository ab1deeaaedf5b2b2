package nodes

import (
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia's operations return one value. One that yields several keeps each of
// them in a buffer of its own and returns a scalar that means nothing, of which
// part nodes take the pieces out. A piece is only read through its part node,
// so that Gorgonia knows all its readers; Gorgonia's element-wise operations
// may overwrite an input that has no later reader.

// shapes returns those of the results.
func (o *op) shapes() (all []ops.Shape) {
	for _, arg := range o.op.Outputs() {
		all = append(all, arg.Shape)
	}
	return all
}

// part returns piece k of a packed node.
func part(packed *gorgonia.Node, k int) (*gorgonia.Node, error) {
	pieces := packed.Op().(*op).shapes()
	return apply(spec{op: ops.Part{Pieces: pieces, K: k}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		g, err := put(pieces, k, grad)
		return gorgonia.Nodes{g}, err
	}}, packed)
}

// parts returns all pieces of a packed node; of another, the node itself.
func parts(n *gorgonia.Node) (gorgonia.Nodes, error) {
	o := n.Op().(*op)
	if !o.packed() {
		return gorgonia.Nodes{n}, nil
	}
	var ns gorgonia.Nodes
	for k := range o.shapes() {
		p, err := part(n, k)
		if err != nil {
			return nil, err
		}
		ns = append(ns, p)
	}
	return ns, nil
}

// results adds a node for s and returns its results.
func results(s spec, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	n, err := apply(s, inputs...)
	if err != nil {
		return nil, err
	}
	return parts(n)
}

// gradients adds an operation of a backward pass and returns its results.
func gradients(o ops.Op, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	return results(spec{op: o}, inputs...)
}

// gradientsReset is gradients for an operation that reads resets, one node or
// none, after its other inputs: they have no gradient.
func gradientsReset(o ops.Op, resets gorgonia.Nodes, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	grads, err := gradients(o, join(inputs, resets...)...)
	return join(grads, make(gorgonia.Nodes, len(resets))...), err
}

// put marks grad as the gradient of piece k. It is a node only because Gorgonia
// adds up what flows into a packed result: the backward pass takes the pieces'
// gradients from below the sum (see unput), and the values of the put nodes,
// which are zero, have no reader.
func put(pieces []ops.Shape, k int, grad *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(spec{op: ops.Put{Pieces: pieces, K: k}}, grad)
}

// unput returns the gradients of n pieces, nil where none came in. That of the
// whole is a sum of puts, one for each piece that was used.
func unput(n int, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	pieces := make(gorgonia.Nodes, n)
	var walk func(n *gorgonia.Node) error
	walk = func(n *gorgonia.Node) error {
		it := n.Graph().From(n.ID())
		if p, ok := putOf(n); ok {
			if it.Next(); pieces[p.K] != nil {
				return errors.Errorf("piece %d of a packed result has two gradients", p.K)
			}
			pieces[p.K] = it.Node().(*gorgonia.Node)
			return nil
		}
		if !isSum(n) {
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

func putOf(n *gorgonia.Node) (ops.Put, bool) {
	o, ours := n.Op().(*op)
	if !ours {
		return ops.Put{}, false
	}
	p, ok := o.op.(ops.Put)
	return p, ok
}

// isSum reports Gorgonia's own addition, as it names itself.
func isSum(n *gorgonia.Node) bool {
	return n.Op() != nil && strings.HasPrefix(n.Op().String(), "+ ")
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

// join returns a new slice of ns and more.
func join(ns gorgonia.Nodes, more ...*gorgonia.Node) gorgonia.Nodes {
	return append(append(gorgonia.Nodes{}, ns...), more...)
}

// shapeOf is the shape of a node's value.
func shapeOf(n *gorgonia.Node) ops.Shape { return ops.Shape(tensor.Shape(n.Shape()).Clone()) }
