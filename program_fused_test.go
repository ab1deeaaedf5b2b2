package xlstm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

// TestTrainingRunsFused: the layers of the paper's architecture consist of few
// operations in a training program; the convolution runs again for the backward pass,
// whose sums of gradients are part of other operations.
func TestTrainingRunsFused(t *testing.T) {
	cfg := smallConfig()
	cfg.SLSTMAt, cfg.NumBlocks = Blocks(), 2
	p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 2, Steps: 7, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
	runProgram(t, p, make([]int, 14), make([]int, 14), nil)
	var names []string
	if err := p.machine.(*nodes.Sequence).RunTimed(func(op ops.Op, _ time.Duration) { names = append(names, op.Name()) }); err != nil {
		t.Fatal(err)
	}
	forward := "layerNorm linear mLSTM entry mLSTM of maps mLSTM exit linear +norm linear mLSTM entry mLSTM of maps mLSTM exit linear +norm"
	if got := strings.Join(names, " "); !strings.Contains(got, forward) {
		t.Errorf("the operations are %s", got)
	}
	for name, want := range map[string]int{"mLSTM entry": 2, "conv·silu": 2, "mLSTM of maps'": 2, "mLSTM entry'": 2, "headwise": 0, "mLSTM exit'": 2, "norm'+": 2, "fork'": 0, "conv'": 0} {
		n := len(slices.DeleteFunc(slices.Clone(names), func(x string) bool { return x != name }))
		if n != want {
			t.Errorf("%d × %s, want %d", n, name, want)
		}
	}
}
