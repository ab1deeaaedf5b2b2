package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// Ignored is the target that CrossEntropy does not count.
const Ignored = ops.Ignored

// CrossEntropy returns the mean of −log softmax(logits)[target], in nats, over
// the targets that are not Ignored (0 if all are): logits (N, V), targets (N) of
// dtype tensor.Int, result a scalar. A target outside −1 … V−1 is an error when
// the graph runs.
func CrossEntropy(logits, targets *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("CrossEntropy", "logits", logits, -1, -1); err != nil {
		return nil, err
	}
	n, v := logits.Shape()[0], logits.Shape()[1]
	if err := firstError(wantShape("CrossEntropy", "targets", targets, n), wantInts("CrossEntropy", "targets", targets)); err != nil {
		return nil, err
	}
	return apply(spec{op: ops.CrossEntropy{N: n, V: v}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		g, err := gradients(ops.CrossEntropyGrad{N: n, V: v}, in[0], in[1], grad)
		return join(g, nil), err
	}}, logits, targets)
}
