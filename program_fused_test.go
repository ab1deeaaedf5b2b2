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
// operations in a training program. Where results are long the convolution runs again for
// the backward pass, whose sums of gradients are part of other operations.
func TestTrainingRunsFused(t *testing.T) {
	cfg := smallConfig()
	cfg.SLSTMAt, cfg.NumBlocks = Blocks(), 2
	forward := "layerNorm linear mLSTM entry mLSTM of maps mLSTM exit linear +norm linear mLSTM entry mLSTM of maps mLSTM exit linear +norm"
	long := 1<<20/(2*cfg.EmbeddingDim) + 1                 // of two sequences
	for steps, again := range map[int]int{7: 0, long: 2} { // the last block's exit is at hand
		p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 2, Steps: steps, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
		runProgram(t, p, make([]int, 2*steps), make([]int, 2*steps), nil)
		names := operationNames(t, p)
		if got := strings.Join(names, " "); !strings.Contains(got, forward) {
			t.Errorf("%d steps: the operations are %s", steps, got)
		}
		for name, want := range map[string]int{"mLSTM entry": 2, "conv·silu": again, "mLSTM exit": 2 + again/2, "mLSTM of maps'": 2, "mLSTM entry'": 2, "headwise": 0, "mLSTM exit'": 2, "norm'+": 2, "fork'": 0, "conv'": 0} {
			n := len(slices.DeleteFunc(slices.Clone(names), func(x string) bool { return x != name }))
			if n != want {
				t.Errorf("%d steps: %d × %s, want %d", steps, n, name, want)
			}
		}
	}
}

// TestScansMapTheirInputs: in a training program of sLSTM blocks the maps of the gates and
// their derivatives are part of the cell's.
func TestScansMapTheirInputs(t *testing.T) {
	cfg := smallConfig()
	cfg.EmbeddingDim, cfg.SLSTMAt, cfg.NumBlocks = 48, Blocks(0, 1), 2
	p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 2, Steps: 9, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
	runProgram(t, p, make([]int, 18), make([]int, 18), nil)
	names := operationNames(t, p)
	for name, want := range map[string]int{"sLSTM of maps": 2, "sLSTM of maps'": 2, "headwise": 0, "headwise'": 0} {
		n := len(slices.DeleteFunc(slices.Clone(names), func(x string) bool { return x != name }))
		if n != want {
			t.Errorf("%d × %s, want %d", n, name, want)
		}
	}
}

// TestCellsKeepTheirMemories: in a training program of several chunks the memories between
// them are on tapes, from which the derivatives take them; and nothing computes the new
// memory all the same.
func TestCellsKeepTheirMemories(t *testing.T) {
	hostOnly(t)
	cfg := smallConfig()
	cfg.SLSTMAt, cfg.NumBlocks = Blocks(), 2
	p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 1, Steps: 130, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
	runProgram(t, p, make([]int, 130), make([]int, 130), nil)
	forward, back := 0, 0
	if err := p.machine.(*nodes.Sequence).RunTimed(func(op ops.Op, _ time.Duration) {
		switch op := op.(type) {
		case ops.MLSTMMapped:
			if op.Tape > 0 && op.Alone {
				forward++
			}
		case ops.MLSTMMappedGrad:
			if op.Tape > 0 {
				back++
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if forward != 2 || back != 2 {
		t.Errorf("%d cells write a tape and nothing else but their outputs, %d derivatives read one, instead of two and two", forward, back)
	}
}

// operationNames returns the names of the operations of a program in order. It skips the
// test if models are on a device, where programs are rearranged and run otherwise.
func operationNames(t *testing.T, p *Program) (names []string) {
	t.Helper()
	hostOnly(t)
	if err := p.machine.(*nodes.Sequence).RunTimed(func(op ops.Op, _ time.Duration) { names = append(names, op.Name()) }); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestPlainLSTMsMapTheirTable: where the vocabulary is small beside the tokens of a
// step, the first layer's input parts are made of the embedding's table.
func TestPlainLSTMsMapTheirTable(t *testing.T) {
	cfg := DefaultLSTMConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.LSTM.HiddenSize = 7, 6, 8
	for steps, want := range map[int]string{
		7: "linear of embedding + LSTM linear + LSTM linear crossEntropy crossEntropy' linear' LSTM' linear' LSTM' linear of embedding'",
		6: "embedding linear + LSTM linear + LSTM linear crossEntropy crossEntropy' linear' LSTM' linear' LSTM' linear' embedding'",
	} {
		p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 2, Steps: steps, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
		runProgram(t, p, make([]int, 2*steps), make([]int, 2*steps), nil)
		if got := strings.Join(operationNames(t, p), " "); got != want {
			t.Errorf("%d tokens: the operations are %s", 2*steps, got)
		}
	}
}
