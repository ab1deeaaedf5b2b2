package nodes

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Resets are an input of the operations that carry something over time, B·T
// integers, batch-major: not 0 where a document begins. From such a step on
// outputs are those of the document alone, and no gradient flows to the steps
// before. They are an operation's last input, or not there.

// wantResets reports resets that do not fit rows; nil fits.
func wantResets(opName string, resets *gorgonia.Node, rows int) error {
	if resets == nil {
		return nil
	}
	return firstError(wantShape(opName, "resets", resets, rows), wantInts(opName, "resets", resets))
}

// withResets appends the resets to the inputs, if there are any.
func withResets(in gorgonia.Nodes, resets *gorgonia.Node) gorgonia.Nodes {
	if resets == nil {
		return in
	}
	return join(in, resets)
}

// cutResets is the inverse of withResets; resets has one node or none.
func cutResets(in gorgonia.Nodes) (others, resets gorgonia.Nodes) {
	last := len(in) - 1 // nothing else is an integer
	if in[last].Dtype() == tensor.Int {
		return in[:last], in[last:]
	}
	return in, nil
}
