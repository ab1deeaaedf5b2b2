package xlstm

import (
	"math"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/tensor"
)

// stackedNames are the parameters that the fused mode has as one.
var stackedNames = map[string][]string{
	"mlstm_layer.qkv_opreact":   {"mlstm_layer.q", "mlstm_layer.k", "mlstm_layer.v", "mlstm_layer.ogate_preact"},
	"mlstm_layer.ifgate_preact": {"mlstm_layer.igate_preact", "mlstm_layer.fgate_preact"},
	"ffn.proj_up_gate_z":        {"ffn.proj_up_gate", "ffn.proj_up"},
}

// fuse returns a fused model with the parameters of single.
func fuse(t *testing.T, single *Model) *Model {
	t.Helper()
	cfg := single.Config()
	l := *cfg.Large
	l.WeightMode = FusedWeights
	cfg.Large = &l
	fused, err := New(cfg, WithDtype(single.Dtype()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range fused.Params() {
		setFloats(p.Value, gathered(t, single, p.Name))
	}
	return fused
}

// gathered returns the numbers of a fused parameter out of a single model's.
func gathered(t *testing.T, single *Model, name string) (numbers []float64) {
	t.Helper()
	names := []string{name}
	for fused, list := range stackedNames {
		if !strings.Contains(name, fused+".") {
			continue
		}
		names = nil
		for _, one := range list {
			names = append(names, strings.Replace(name, fused, one, 1))
		}
	}
	for _, one := range names {
		v, ok := single.Param(one)
		if !ok {
			t.Fatalf("there is no %s", one)
		}
		numbers = append(numbers, floatsOf(v)...)
	}
	return numbers
}

// TestFusedWeightsAreTheSameModel: logits and gradients, with biases, and the
// reference's own parameters stacked.
func TestFusedWeightsAreTheSameModel(t *testing.T) {
	hostOnly(t)
	single := smallLarge(t, SingleWeights, tensor.Float64)
	fused := fuse(t, single)
	tokens := testutil.Tokens(1, 2*13, 11)
	var logits [2][]float64
	grads := make(map[string][]float64)
	for k, m := range []*Model{single, fused} {
		p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: 12, Grad: true})
		runProgram(t, p, columns(tokens, 13, 0, 12), columns(tokens, 13, 1, 12), nil)
		v, err := p.Logits()
		if err != nil {
			t.Fatal(err)
		}
		logits[k] = floatsOf(v)
		for _, n := range p.Model() {
			g, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				grads[n.Name()] = floatsOf(g)
			} else if d := golden.Apart(floatsOf(g), stackedOf(n.Name(), grads), 0); d > 1e-11 {
				t.Errorf("the gradient of %s is %.3g away", n.Name(), d)
			}
		}
	}
	if d := golden.Apart(logits[1], logits[0], 1); d > 1e-13 {
		t.Errorf("logits are %.3g away", d)
	}
}

// stackedOf returns what the fused mode stacks of the numbers by name.
func stackedOf(name string, numbers map[string][]float64) (out []float64) {
	for fused, list := range stackedNames {
		if strings.Contains(name, fused+".") {
			for _, one := range list {
				out = append(out, numbers[strings.Replace(name, fused, one, 1)]...)
			}
			return out
		}
	}
	return numbers[name]
}

// TestFusedWeightsAreSavedStacked under the official names, and loaded again.
func TestFusedWeightsAreSavedStacked(t *testing.T) {
	dir := goldenFolder(t, "large", "weights.safetensors")
	fused := fuse(t, loaded(t, dir))
	again := savedAs(t, fused, SaveConfig{})
	m := loaded(t, again)
	wantSameParams(t, m, fused)
	wantSameFiles(t, savedAs(t, m, SaveConfig{}), again)
	const block = "backbone.blocks.1."
	for name, shape := range map[string]tensor.Shape{
		block + "mlstm_layer.qkv_opreact.weight": {2*32 + 2*64, 64}, block + "mlstm_layer.ifgate_preact.weight": {8, 64},
		block + "mlstm_layer.ifgate_preact.bias": {8}, block + "ffn.proj_up_gate_z.weight": {2 * 192, 64},
	} {
		if p, ok := m.Param(name); !ok || !p.Shape().Eq(shape) {
			t.Errorf("%s has not shape %v", name, shape)
		}
	}
	_, err := Load(modelFolder(t, again+"/"+configFile, dir+"/"+weightsFile))
	testutil.WantError(t, err, "qkv_opreact.weight is missing")
}

// TestLargeGradientsAreExact compares some elements of every gradient with
// central differences, in a model with biases.
func TestLargeGradientsAreExact(t *testing.T) {
	hostOnly(t)
	for _, mode := range []string{SingleWeights, FusedWeights} {
		m := smallLarge(t, mode, tensor.Float64)
		p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: 5, Grad: true})
		tokens := testutil.Tokens(2, 12, 11)
		loss := func() float64 {
			runProgram(t, p, columns(tokens, 6, 0, 5), columns(tokens, 6, 1, 5), nil)
			v, err := p.Loss()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		loss()
		var want [][]float64
		for _, n := range p.Model() {
			g, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, floatsOf(g))
		}
		for k, param := range m.Params() {
			x := param.Value.Float64s()
			for _, i := range []int{0, len(x) / 2, len(x) - 1} {
				const h = 1e-5
				old := x[i]
				x[i] = old + h
				up := loss()
				x[i] = old - h
				down := loss()
				x[i] = old
				if got := (up - down) / (2 * h); math.Abs(got-want[k][i]) > 1e-8 {
					t.Errorf("%s: the gradient of %s[%d] is %.9g, central differences give %.9g", mode, param.Name, i, want[k][i], got)
				}
			}
		}
	}
}

// TestLargeInitialisationIsOfficial: gates without weights, input gates all but
// closed, whether fused or not.
func TestLargeInitialisationIsOfficial(t *testing.T) {
	for _, mode := range []string{SingleWeights, FusedWeights} {
		cfg := smallLarge(t, mode, tensor.Float64).Config()
		m, err := New(cfg, WithDtype(tensor.Float64))
		if err != nil {
			t.Fatal(err)
		}
		if mode == SingleWeights {
			m = fuse(t, m)
		}
		const layer = "backbone.blocks.0.mlstm_layer."
		value := func(name string) []float64 {
			v, ok := m.Param(layer + name)
			if !ok {
				t.Fatalf("there is no %s", name)
			}
			return v.Float64s()
		}
		if b := value("ifgate_preact.bias"); b[0] != -10 || b[1] != -10 || b[2] != 3 || b[3] != 6 {
			t.Errorf("%s: the gates' biases are %v", mode, b)
		}
		for _, w := range value("ifgate_preact.weight") {
			if w != 0 {
				t.Errorf("%s: a gate's weight is %v", mode, w)
			}
		}
		qkvo, d := value("qkv_opreact.weight"), cfg.EmbeddingDim
		for i, w := range qkvo {
			if out := i/d >= 2*8+16; out != (w == 0) {
				t.Errorf("%s: row %d has a weight %v", mode, i/d, w)
			}
		}
		for _, w := range value("multihead_norm.weight") {
			if w != 1 {
				t.Errorf("%s: a norm's weight is %v", mode, w)
			}
		}
	}
}

func TestLargeModelsLearnByHeart(t *testing.T) {
	for _, mode := range []string{SingleWeights, FusedWeights} {
		losses := trainSteps(t, smallLarge(t, mode, tensor.Float32).Config(), 150, false)
		if first, last := losses[0], losses[len(losses)-1]; first < 2 || last > 0.5 {
			t.Errorf("%s: loss went from %.3f to %.3f; random tokens should be learned by heart", mode, first, last)
		}
	}
}

// TestLargeGeneratorPredictsWhatTheWholeSequenceDoes.
func TestLargeGeneratorPredictsWhatTheWholeSequenceDoes(t *testing.T) {
	hostOnly(t)
	const n = 77 // read as 64+8+5·1
	tokens := testutil.Tokens(1, n, 11)
	m := smallLarge(t, SingleWeights, tensor.Float64)
	p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: n, FwdConfig: FwdConfig{Form: nodes.Recurrent}})
	runProgram(t, p, tokens, nil, nil)
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	all := floatsOf(logits)
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	got, err := g.LogProbs(tokens...)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, n-1)
	for i := range want {
		want[i] = numbers.LogProb(all[i*11:(i+1)*11], tokens[i+1])
	}
	if d := golden.Apart(got[1:], want, 1); d > 1e-10 {
		t.Errorf("log-probabilities are %.3g away", d)
	}
}

// TestLargeTrainingResumesToTheBit, with a state that is carried.
func TestLargeTrainingResumesToTheBit(t *testing.T) {
	cfg := smallLarge(t, FusedWeights, tensor.Float32).Config()
	trainer := func() (*Trainer, *Model) {
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-2), WeightDecay: 0.1, Decays: optim.OfficialDecay(false)})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := m.NewTrainer(solver, TrainerConfig{Batch: 2, Steps: 6, Carry: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tr.Close() })
		return tr, m
	}
	step := func(tr *Trainer, k int) {
		t.Helper()
		tokens := testutil.Tokens(uint64(k), 14, 11)
		if _, err := tr.Step(func() data.Batch {
			return data.Batch{Inputs: columns(tokens, 7, 0, 6), Targets: columns(tokens, 7, 1, 6)}
		}); err != nil {
			t.Fatal(err)
		}
	}
	one, whole := trainer()
	dir := t.TempDir()
	for k := range 6 {
		if k == 3 {
			if err := one.Save(dir, nil); err != nil {
				t.Fatal(err)
			}
		}
		step(one, k)
	}
	two, resumed := trainer()
	if _, err := two.Restore(dir); err != nil {
		t.Fatal(err)
	}
	for k := 3; k < 6; k++ {
		step(two, k)
	}
	wantSameParams(t, resumed, whole)
}

// TestLargeConfigIsNotTakenAtItsWord: a configuration of any size takes no memory
// that the weights do not account for.
func TestLargeConfigIsNotTakenAtItsWord(t *testing.T) {
	m := smallLarge(t, SingleWeights, tensor.Float32)
	for name, edit := range map[string]func(*Config){
		"vocabulary": func(c *Config) { c.VocabSize = maxVocab },
		"width":      func(c *Config) { c.EmbeddingDim = maxWidth },
		"blocks":     func(c *Config) { c.NumBlocks = maxBlocks },
		"keys":       func(c *Config) { c.Large.QKDimFactor = maxInnerWidth / 32 },
		"projection": func(c *Config) { c.Large.FFNProjFactor = maxInnerWidth / 32 },
		"rounding":   func(c *Config) { c.Large.FFNRoundUpToMultipleOf = maxInnerWidth },
	} {
		dir := saved(t, m)
		cfg := m.Config()
		l := *cfg.Large
		cfg.Large = &l
		edit(&cfg)
		refusedAtOnce(t, name, dir, cfg)
	}
}
