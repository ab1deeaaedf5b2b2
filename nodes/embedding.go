package nodes

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Embedding returns row ids[r] of w for every r: ids (N) of dtype tensor.Int,
// w (V, D), result (N, D). An id outside 0 … V−1 is an error when the graph runs.
func Embedding(ids, w *gorgonia.Node) (*gorgonia.Node, error) {
	if err := firstError(wantShape("Embedding", "ids", ids, -1), wantShape("Embedding", "w", w, -1, -1), wantInts("Embedding", "ids", ids)); err != nil {
		return nil, err
	}
	v, d := w.Shape()[0], w.Shape()[1]
	attrs := fmt.Sprintf("%d %d", v, d)
	return apply(spec{
		name: "embedding", attrs: attrs, shape: tensor.Shape{ids.Shape()[0], d}, ints: []int{0},
		run: kernelPair{embeddingForward[float32](v, d), embeddingForward[float64](v, d)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			dw, err := apply(spec{
				name: "embedding'", attrs: attrs, shape: w.Shape(), ints: []int{0},
				run: kernelPair{embeddingBackward[float32](v, d), embeddingBackward[float64](v, d)},
			}, in[0], grad)
			return gorgonia.Nodes{nil, dw}, err
		},
	}, ids, w)
}

func checkIDs(v int, ids []int) error {
	for i, id := range ids {
		if id < 0 || id >= v {
			return errors.Errorf("id %d at position %d is outside the vocabulary of %d", id, i, v)
		}
	}
	return nil
}

func embeddingForward[F kernels.Float](v, d int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		if err := checkIDs(v, in[0].ints); err != nil {
			return err
		}
		kernels.Embedding(d, in[0].ints, in[1].data, out[0])
		return nil
	}
}

func embeddingBackward[F kernels.Float](v, d int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		if err := checkIDs(v, in[0].ints); err != nil {
			return err
		}
		kernels.EmbeddingGrad(d, in[0].ints, in[1].data, out[0])
		return nil
	}
}
