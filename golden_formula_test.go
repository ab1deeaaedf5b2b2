package xlstm

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

// formula is testdata/golden/formula.json: a tiny model computed from the
// equations alone, with gradients by finite differences.
type formula struct {
	Params []struct {
		P           int
		Name        string
		Shape       []int
		Base, Scale float64
	}
	Idx, Targets    []int
	LogitsParallel  [][]float64 `json:"logits_parallel"`
	LogitsRecurrent [][]float64 `json:"logits_recurrent"`
	LogitsChunk4    [][]float64 `json:"logits_chunk4"`
	LossParallel    float64     `json:"loss_parallel"`
	LossRecurrent   float64     `json:"loss_recurrent"`
	NumParams       int         `json:"num_params"`
	FDGradsParallel map[string]struct {
		Index []int     `json:"flat_index"`
		Grad  []float64 `json:"grad"`
	} `json:"fd_grads_parallel"`
}

func readFormula(t *testing.T) formula {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenRoot, "formula.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f formula
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

const (
	recurrentKernel = "xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_"
	cellBias        = "xlstm_block_stack.blocks.1.xlstm.slstm_cell._bias_"
)

// stored returns where element k of a parameter in the formula's layout lies in
// ours. The formula has the recurrent kernel as [NH, in, gate, out] and the bias
// as [NH, gate, DH], for 2 heads of 4.
func stored(name string, k int) int {
	const heads, dh = 2, 4
	switch name {
	case recurrentKernel:
		h, in, gate, out := k/(dh*4*dh), k/(4*dh)%dh, k/dh%4, k%dh
		return (h*4*dh+gate*dh+out)*dh + in
	case cellBias:
		h, gate, j := k/(4*dh), k/dh%4, k%dh
		return (gate*heads+h)*dh + j
	}
	return k
}

func (f formula) model(t *testing.T) *Model {
	t.Helper()
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 5, 8, 2, Blocks(1)
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = 2, 2
	cfg.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = 16
	m, err := New(cfg, WithDtype(tensor.Float64))
	if err != nil {
		t.Fatal(err)
	}
	if m.NumParams() != f.NumParams {
		t.Fatalf("%d parameters, want %d", m.NumParams(), f.NumParams)
	}
	for _, p := range f.Params {
		value, ok := m.Param(p.Name)
		if !ok {
			t.Fatalf("there is no parameter %s", p.Name)
		}
		data := value.Data().([]float64)
		for k := range data {
			data[stored(p.Name, k)] = p.Base + p.Scale*math.Sin(0.37*float64(k+1)+1.7*float64(p.P))
		}
	}
	return m
}

func flat(rows [][]float64) (out []float64) {
	for _, r := range rows {
		out = append(out, r...)
	}
	return out
}

func TestGoldenFormula(t *testing.T) {
	f := readFormula(t)
	m := f.model(t)
	for _, c := range []struct {
		name   string
		fwd    FwdConfig
		logits [][]float64
		loss   float64
	}{
		{"parallel", FwdConfig{Form: nodes.Parallel}, f.LogitsParallel, f.LossParallel},
		{"recurrent", FwdConfig{Form: nodes.Recurrent}, f.LogitsRecurrent, f.LossRecurrent},
		{"chunks of 4", FwdConfig{Chunk: 4}, f.LogitsChunk4, f.LossRecurrent},
		{"symbolic", FwdConfig{Symbolic: true}, f.LogitsRecurrent, f.LossRecurrent},
	} {
		p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: len(f.Idx), Grad: true, FwdConfig: c.fwd})
		runProgram(t, p, f.Idx, f.Targets, nil)
		logits, err := p.Logits()
		if err != nil {
			t.Fatal(err)
		}
		if d := golden.Apart(floatsOf(logits), flat(c.logits), 0); d > 1e-12 {
			t.Errorf("%s: logits are %.3g away", c.name, d)
		}
		if loss, _ := p.Loss(); math.Abs(loss-c.loss) > 1e-12 {
			t.Errorf("%s: loss %.16g, want %.16g", c.name, loss, c.loss)
		}
		if c.name == "parallel" {
			f.checkGradients(t, p)
		}
	}
}

func (f formula) checkGradients(t *testing.T, p *Program) {
	for _, n := range p.Model() {
		g, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all := floatsOf(g)
		want := f.FDGradsParallel[n.Name()]
		var got []float64
		for _, k := range want.Index {
			got = append(got, all[stored(n.Name(), k)])
		}
		if d := golden.Apart(got, want.Grad, 1e-2); len(got) == 0 || d > 1e-6 {
			t.Errorf("gradient of %s is %.3g away from finite differences", n.Name(), d)
		}
	}
}
