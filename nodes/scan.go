package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// scan is a recurrent cell as an operation over a sequence, with one node for its
// state.
type scan struct {
	op ops.Op
	// in are the operands without the state (nil for none) and the resets (nil for
	// none), which follow them.
	in            gorgonia.Nodes
	state, resets *gorgonia.Node
	// The derivative reads the operands from weights[0] up to weights[1], the
	// state, all results, the gradients of the output and of the new state, as far
	// as they exist, and the resets.
	weights [2]int
	grad    func(has [2]bool) ops.Op
}

// nodes adds the cell to the graph. It returns the output and the new state.
func (s scan) nodes() (y, newState *gorgonia.Node, err error) {
	in := s.in
	if s.state != nil {
		in = join(in, s.state)
	}
	packed, err := apply(spec{op: s.op, diff: s.diff}, withResets(in, s.resets)...)
	if err != nil {
		return nil, nil, err
	}
	if y, err = part(packed, 0); err != nil {
		return nil, nil, err
	}
	newState, err = part(packed, 1)
	return y, newState, err
}

// diff adds the backward scan.
func (s scan) diff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	grads, err := unput(3, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(grads[:2])
	in, resets := cutResets(in)
	pieces, err := parts(out)
	if err != nil {
		return nil, err
	}
	reads := join(join(in[s.weights[0]:s.weights[1]], pieces...), in[len(s.in):]...)
	return gradientsReset(s.grad([2]bool(has)), resets, join(reads, some...)...)
}
