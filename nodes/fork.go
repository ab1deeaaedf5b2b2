package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Fork returns n nodes with the value of x, one for each reader of x. The
// gradients of the readers are then added in one pass over memory; Gorgonia
// would add them one after the other, each time into new memory.
//
// The nodes share x's memory. Only operations of this package may read them: an
// operation of Gorgonia might overwrite a value that the others still read,
// which Check reports. Any operation may read x itself.
func Fork(x *gorgonia.Node, n int) ([]*gorgonia.Node, error) {
	if x == nil || n < 1 {
		return nil, errors.Errorf("nodes: Fork needs an input and at least one reader, got %d", n)
	}
	shape := shapeOf(x)
	stem, err := apply(spec{op: ops.Fork{N: n, Shape: shape}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		g, err := sumOfBranches(n, shape, grad)
		return gorgonia.Nodes{g}, err
	}}, x)
	if err != nil {
		return nil, err
	}
	pieces := slices.Repeat([]ops.Shape{shape}, n)
	branches := make([]*gorgonia.Node, n)
	for k := range branches {
		branches[k], err = apply(spec{op: ops.Branch{K: k, Shape: shape}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := put(pieces, k, grad)
			return gorgonia.Nodes{g}, err
		}}, stem)
		if err != nil {
			return nil, err
		}
	}
	return branches, nil
}

// sumOfBranches adds up the gradients of the n branches that have one.
func sumOfBranches(n int, shape ops.Shape, grad *gorgonia.Node) (*gorgonia.Node, error) {
	grads, err := unput(n, grad)
	if err != nil {
		return nil, err
	}
	some, _ := present(grads)
	if len(some) == 1 {
		return some[0], nil
	}
	return apply(spec{op: ops.ForkGrad{N: len(some), Shape: shape}}, some...)
}

// isCopy reports whether a node only renames its input, as forks do.
func isCopy(n *gorgonia.Node) bool {
	o, ours := n.Op().(*op)
	if !ours {
		return false
	}
	switch o.op.(type) {
	case ops.Fork, ops.Branch:
		return true
	}
	return false
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
