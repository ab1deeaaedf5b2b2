package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// DropoutKey adds the input that all dropouts of a graph share: a vector of three
// integers: a seed, the number of the step, and the number of the first row,
// which is 0 unless the rows are a part of a larger batch. Bind new values for
// every run; the same three numbers drop the same elements, and row r of a part
// that begins at row f drops the same ones as row f+r of the whole.
func DropoutKey(g *gorgonia.ExprGraph) *gorgonia.Node {
	return gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(3), gorgonia.WithName("dropout_key"))
}

// Dropout sets each element of x to zero with probability rate and multiplies
// the others by 1/(1−rate) (Srivastava et al., 2014). The mask depends on key
// (see DropoutKey), on id, which distinguishes the dropouts of a graph, and on
// the index of the element, so that a run that is resumed with its key drops
// the same elements as an uninterrupted run.
func Dropout(x, key *gorgonia.Node, id uint64, rate float64) (*gorgonia.Node, error) {
	if x == nil || !(rate >= 0 && rate < 1) {
		return nil, errors.Errorf("nodes: Dropout needs an input and a rate in [0, 1), got %v", rate)
	}
	if err := firstError(wantShape("Dropout", "key", key, 3), wantInts("Dropout", "key", key)); err != nil {
		return nil, err
	}
	shape := shapeOf(x)
	return apply(spec{op: ops.Dropout{ID: id, Rate: rate, Shape: shape}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		g, err := gradients(ops.DropoutGrad{ID: id, Rate: rate, Shape: shape}, grad, key)
		return join(g, nil), err
	}}, x, key)
}
