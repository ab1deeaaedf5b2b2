package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Ignored is the target that CrossEntropy leaves out.
const Ignored = kernels.Ignored

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
	return apply(spec{
		name: "crossEntropy", ints: []int{1},
		run: kernelPair{crossEntropyForward[float32](v), crossEntropyForward[float64](v)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := apply(spec{
				name: "crossEntropy'", shape: logits.Shape(), ints: []int{1},
				run: kernelPair{crossEntropyBackward[float32](v), crossEntropyBackward[float64](v)},
			}, in[0], in[1], grad)
			return gorgonia.Nodes{g, nil}, err
		},
	}, logits, targets)
}

func checkTargets(v int, targets []int) error {
	for i, t := range targets {
		if t < Ignored || t >= v {
			return errors.Errorf("target %d at position %d is outside the vocabulary of %d", t, i, v)
		}
	}
	return nil
}

func crossEntropyForward[F kernels.Float](v int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		if err := checkTargets(v, in[1].ints); err != nil {
			return err
		}
		out[0][0] = F(kernels.CrossEntropy(v, in[0].data, in[1].ints))
		return nil
	}
}

func crossEntropyBackward[F kernels.Float](v int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		if err := checkTargets(v, in[1].ints); err != nil {
			return err
		}
		kernels.CrossEntropyGrad(v, in[0].data, in[1].ints, float64(in[2].data[0]), out[0])
		return nil
	}
}
