package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
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
	last := len(in) - 1 // nothing else is an integer, see resetInput
	if in[last].Dtype() == tensor.Int {
		return in[:last], in[last:]
	}
	return in, nil
}

// takeResets is cutResets for operands.
func takeResets[F kernels.Float](in []operand[F]) (others []operand[F], resets kernels.Resets) {
	last := len(in) - 1
	if in[last].ints != nil {
		return in[:last], in[last].ints
	}
	return in, nil
}

// resetInput returns which of the inputs are integers: the resets, the last one.
func resetInput(in gorgonia.Nodes, resets *gorgonia.Node) []int {
	if resets == nil {
		return nil
	}
	return []int{len(in) - 1}
}

// resetGrads is packedGrads for an operation whose resets, one or none, follow
// its other inputs: the backward operation reads them last, and they have no
// gradient.
func resetGrads(name, attrs string, l layout, run kernelPair, resets gorgonia.Nodes, inputs ...*gorgonia.Node) (gorgonia.Nodes, error) {
	if len(resets) == 0 {
		return packedGrads(name, attrs, l, run, inputs...)
	}
	packed, err := apply(spec{name: name, attrs: attrs, run: run, ints: []int{len(inputs)}}.packed(l), join(inputs, resets...)...)
	if err != nil {
		return nil, err
	}
	grads, err := parts(packed)
	return join(grads, nil), err
}
