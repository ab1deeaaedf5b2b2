package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// Embedding returns row ids[r] of w for every r: ids (N) of dtype tensor.Int,
// w (V, D), result (N, D). An id outside 0 … V−1 is an error when the graph runs.
func Embedding(ids, w *gorgonia.Node) (*gorgonia.Node, error) {
	if err := firstError(wantShape("Embedding", "ids", ids, -1), wantShape("Embedding", "w", w, -1, -1), wantInts("Embedding", "ids", ids)); err != nil {
		return nil, err
	}
	n, v, d := ids.Shape()[0], w.Shape()[0], w.Shape()[1]
	return apply(spec{op: ops.Embedding{N: n, V: v, D: d}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dw, err := gradients(ops.EmbeddingGrad{N: n, V: v, D: d}, in[0], grad)
		return join(gorgonia.Nodes{nil}, dw...), err
	}}, ids, w)
}
