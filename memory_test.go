package xlstm

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

// poison overwrites what the last run left in the graph. Forks are left out: tied
// weights are forked.
func poison(p *Program) {
	for _, n := range p.Graph().AllNodes() {
		if n.Op() == nil || n.Op().String() == "fork" || n.Op().String() == "branch" {
			continue
		}
		if v, ok := n.Value().(*tensor.Dense); ok {
			nan := make([]float64, v.DataSize())
			for i := range nan {
				nan[i] = math.NaN()
			}
			setFloats(v, nan)
		}
	}
}

// everything returns all that a program computes, by name.
func everything(t *testing.T, p *Program, state *State) map[string][]float64 {
	t.Helper()
	all := map[string][]float64{}
	loss, err := p.Loss()
	if err != nil {
		t.Fatal(err)
	}
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	all["loss"], all["logits"] = []float64{loss}, floatsOf(logits)
	for _, n := range p.Model() {
		g, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all["gradient of "+n.Name()] = floatsOf(g)
	}
	for i, st := range p.States() {
		for k, n := range st.Nodes() {
			all[fmt.Sprintf("state %d of block %d", k, i)] = floatsOf(n.Value())
		}
	}
	if state != nil {
		for _, part := range state.Tensors() {
			all["carried "+part.Name] = floatsOf(part.Value)
		}
	}
	return all
}

// TestSharedMemoryChangesNothing: a program computes the same to the bit whether
// its values share memory or not, run after run, except that gradients are added in
// another order by fused operations.
func TestSharedMemoryChangesNothing(t *testing.T) {
	hostOnly(t)
	type variant struct {
		name string
		fwd  FwdConfig
		set  func(cfg *Config)
	}
	variants := []variant{
		{"mixed", FwdConfig{}, func(*Config) {}},
		{"mLSTM", FwdConfig{}, func(cfg *Config) { cfg.SLSTMAt = Blocks() }},
		{"sLSTM", FwdConfig{}, func(cfg *Config) { cfg.SLSTMAt = AllBlocks() }},
		{"sLSTM alone", FwdConfig{}, func(cfg *Config) {
			cfg.SLSTMAt, cfg.SLSTMBlock.FeedForward, cfg.SLSTMBlock.SLSTM.Conv1dKernelSize = AllBlocks(), nil, 0
		}},
		{"dropout", FwdConfig{Training: true}, func(cfg *Config) { cfg.Dropout, cfg.AddEmbeddingDropout = 0.2, true }},
		{"bias", FwdConfig{}, func(cfg *Config) { cfg.Bias = true }},
		{"tied weights", FwdConfig{}, func(cfg *Config) { cfg.TieWeights = true }},
		{"without a norm behind the blocks", FwdConfig{}, func(cfg *Config) { cfg.AddPostBlocksNorm = false }},
		{"one block", FwdConfig{}, func(cfg *Config) { cfg.NumBlocks, cfg.SLSTMAt = 1, Blocks() }},
		{"other blocks", FwdConfig{}, func(cfg *Config) { *cfg = otherCells()["other blocks"] }},
		{"plain LSTM", FwdConfig{Training: true}, func(cfg *Config) { *cfg = otherCells()["plain LSTM"] }},
		{"short chunks", FwdConfig{Chunk: 3}, func(*Config) {}},
		{"recurrent", FwdConfig{Form: nodes.Recurrent}, func(*Config) {}},
		{"symbolic", FwdConfig{Symbolic: true}, func(*Config) {}},
	}
	for _, v := range variants {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			for _, carry := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %v carry %v", v.name, dt, carry), func(t *testing.T) {
					cfg := smallConfig()
					v.set(&cfg)
					m := smallModel(t, cfg, dt)
					compareMemory(t, m, ProgramConfig{Batch: 2, Steps: 7, Grad: true, Carry: carry, FwdConfig: v.fwd})
				})
			}
		}
	}
}

func compareMemory(t *testing.T, m *Model, cfg ProgramConfig) {
	var programs [2]*Program
	var states [2]*State
	for i := range programs {
		cfg.KeepValues = i == 0
		programs[i] = compileProgram(t, m, cfg)
		if cfg.Carry {
			states[i], _ = m.NewState(cfg.Batch)
		}
	}
	for run := range 3 {
		ids := make([]int, cfg.Batch*cfg.Steps)
		for i := range ids {
			ids[i] = (i*i + run) % m.Config().VocabSize
		}
		var results [2]map[string][]float64
		for i, p := range programs {
			runInput(t, p, Input{Tokens: ids, Targets: ids, State: states[i], Dropout: DropoutKey{Seed: 1, Step: run}})
			results[i] = everything(t, p, states[i])
		}
		for name, want := range results[0] {
			within := 0.0
			if !cfg.Symbolic && strings.HasPrefix(name, "gradient") {
				within = rounding(m)
			}
			if d := golden.Apart(results[1][name], want, 0.1); d > within {
				t.Errorf("run %d: %s is %.2g away", run, name, d)
			}
		}
		poison(programs[0])
		poison(programs[1])
	}
}

// TestGorgoniaAddsNoActivations: in a training graph its own additions, which take
// new memory each time, are of single numbers.
func TestGorgoniaAddsNoActivations(t *testing.T) {
	for _, tied := range []bool{false, true} {
		cfg := smallConfig()
		cfg.TieWeights, cfg.Dropout = tied, 0.1
		p := compileProgram(t, smallModel(t, cfg, tensor.Float32), ProgramConfig{Batch: 2, Steps: 5, Grad: true, FwdConfig: FwdConfig{Training: true}})
		sums := 0
		for _, n := range p.Graph().AllNodes() {
			if n.Op() == nil || !strings.HasPrefix(n.Op().String(), "+ ") {
				continue
			}
			if sums++; !n.IsScalar() {
				t.Errorf("tied %v: Gorgonia adds %v of shape %v", tied, n, n.Shape())
			}
		}
		if sums == 0 {
			t.Error("there is no addition of Gorgonia's; does it go by another name?")
		}
	}
}

// TestFirstNonFiniteWithAndWithoutSharedMemory: what is found does not depend on
// what is still there after the run.
func TestFirstNonFiniteWithAndWithoutSharedMemory(t *testing.T) {
	hostOnly(t)
	for name, want := range map[string]string{
		"xlstm_block_stack.blocks.1.xlstm.fgate.weight":  "xlstm_block_stack.blocks.1.xlstm.fgate",
		"xlstm_block_stack.blocks.2.xlstm.q_proj.weight": "xlstm_block_stack.blocks.2.xlstm.q_proj",
		"lm_head.weight": "lm_head",
	} {
		for _, keep := range []bool{false, true} {
			cfg := smallConfig()
			cfg.Dropout = 0.1
			m := smallModel(t, cfg, tensor.Float32)
			p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: 7, Grad: true, Carry: true, KeepValues: keep, FwdConfig: FwdConfig{Training: true}})
			if got := p.FirstNonFinite(); got != "" {
				t.Errorf("%s before any run", got)
			}
			ids := make([]int, 14)
			state, err := m.NewState(2)
			if err != nil {
				t.Fatal(err)
			}
			runProgram(t, p, ids, ids, state)
			if got := p.FirstNonFinite(); got != "" {
				t.Errorf("%s in a run where all is finite", got)
			}
			w, _ := m.Param(name)
			for i := range w.Data().([]float32) {
				w.Data().([]float32)[i] = 3e38
			}
			runProgram(t, p, ids, ids, state)
			if got := p.FirstNonFinite(); got != want {
				t.Errorf("keep %v: found %q, want %q", keep, got, want)
			}
		}
	}
}
