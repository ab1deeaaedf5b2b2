package nodes

import (
	"fmt"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Fork returns n nodes that are all the value of x: one for each of x's readers.
// The gradients of the readers are then added up in one pass over memory, where
// Gorgonia would add them up one after the other, each time into new memory.
//
// The nodes share x's memory. They are for the operations of this package alone:
// one of Gorgonia's might write over what the others still read, which Check
// reports. x itself may be read by anything besides.
func Fork(x *gorgonia.Node, n int) ([]*gorgonia.Node, error) {
	if x == nil || n < 1 {
		return nil, errors.Errorf("nodes: Fork needs an input and at least one reader, got %d", n)
	}
	l := slices.Repeat(layout{x.Shape()}, n)
	stem, err := apply(spec{
		name: "fork", attrs: fmt.Sprint(n), shape: x.Shape(), view: &view{},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := sumOfBranches(l, grad)
			return gorgonia.Nodes{g}, err
		},
	}, x)
	if err != nil {
		return nil, err
	}
	branches := make([]*gorgonia.Node, n)
	for k := range branches {
		branches[k], err = apply(spec{
			name: "branch", attrs: fmt.Sprint(k), shape: x.Shape(), view: &view{},
			diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
				g, err := put(l, k, grad)
				return gorgonia.Nodes{g}, err
			},
		}, stem)
		if err != nil {
			return nil, err
		}
	}
	return branches, nil
}

// sumOfBranches adds up the gradients of the branches that have one.
func sumOfBranches(l layout, grad *gorgonia.Node) (*gorgonia.Node, error) {
	grads, err := unput(l, grad)
	if err != nil {
		return nil, err
	}
	some, _ := present(grads)
	if len(some) == 1 {
		return some[0], nil
	}
	return apply(spec{name: "fork'", shape: l[0], run: kernelPair{sumForward[float32], sumForward[float64]}}, some...)
}

func sumForward[F kernels.Float](out [][]F, in []operand[F]) error {
	xs := make([][]F, len(in))
	for k := range in {
		xs[k] = in[k].data
	}
	kernels.Sum(xs, out[0])
	return nil
}

// isCopy says whether a node is its input under another name, as forks are.
func isCopy(n *gorgonia.Node) bool {
	o, ok := n.Op().(*op)
	return ok && o.view != nil && o.view.of == nil
}

// withBases appends to inputs what those among them are copies of. A reader of a
// copy has to be known to Gorgonia as a reader of what was copied: else it would
// take another for the last reader and let it write over the memory of both.
func withBases(inputs gorgonia.Nodes) gorgonia.Nodes {
	all := slices.Clone(inputs)
	for _, n := range inputs {
		for isCopy(n) {
			n = child(n)
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// child returns the first input of a node.
func child(n *gorgonia.Node) *gorgonia.Node {
	it := n.Graph().From(n.ID())
	it.Next()
	return it.Node().(*gorgonia.Node)
}
