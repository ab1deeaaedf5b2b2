package nodes

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestResetsMustFitTheRows: an integer for every row, or an error that says so.
func TestResetsMustFitTheRows(t *testing.T) {
	for name, c := range map[string]struct {
		dt   tensor.Dtype
		rows int
		want string
	}{
		"too few": {tensor.Int, 5, "shape"},
		"floats":  {tensor.Float64, 6, "int"},
	} {
		t.Run(name, func(t *testing.T) {
			g := gorgonia.NewGraph()
			resets := gorgonia.NewVector(g, c.dt, gorgonia.WithShape(c.rows), gorgonia.WithName("resets"))
			x := func(name string, shape ...int) *gorgonia.Node {
				return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
			}
			m, gate := x("m", 6, 4), x("gate", 6, 2)
			_, _, conv := CausalConvWith(ConvConfig{Batch: 2, Resets: resets}, m, x("w", 4, 1, 3), x("b", 4), nil)
			_, _, slstm := SLSTM(SLSTMConfig{Batch: 2, NumHeads: 2, Resets: resets}, m, m, m, m, x("r", 2, 8, 2), x("bias", 16), nil)
			_, _, mlstm := MLSTM(MLSTMConfig{Batch: 2, NumHeads: 2, Resets: resets}, m, m, m, gate, gate, nil)
			_, _, lstm := LSTM(LSTMConfig{Batch: 2, Resets: resets}, m, x("r1", 4, 1), x("b1", 4), nil)
			_, _, simple := Simplified(SimplifiedConfig{Batch: 2, Resets: resets}, m, x("r2", 4, 1), x("norms", 4), x("m2", 1, 1), nil)
			for op, err := range map[string]error{"conv": conv, "LSTM": lstm, "simplified": simple, "sLSTM": slstm, "mLSTM": mlstm} {
				if err == nil || !strings.Contains(err.Error(), "resets") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: error %v; want one with resets and %s", op, err, c.want)
				}
			}
		})
	}
}
