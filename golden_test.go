package xlstm

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const goldenRoot = "testdata/golden"

// goldenModel is a case of testdata/golden: a whole model of the official
// implementation with what it computes.
type goldenModel struct {
	name         string
	cfg          Config
	raw          []byte
	weights      map[string]golden.Tensor
	grads, io    map[string]golden.Tensor
	batch, steps int
}

func readGolden(t *testing.T, dir string) goldenModel {
	t.Helper()
	c := goldenModel{name: filepath.Base(dir)}
	var err error
	if c.raw, err = os.ReadFile(filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	if c.cfg, err = ParseConfig(c.raw); err != nil {
		t.Fatal(err)
	}
	for file, dst := range map[string]*map[string]golden.Tensor{"weights": &c.weights, "grads": &c.grads, "io": &c.io} {
		if *dst, err = golden.Read(filepath.Join(dir, file+".safetensors")); err != nil {
			t.Fatal(err)
		}
	}
	ids := c.io["input_ids"].Shape
	c.batch, c.steps = ids[0], ids[1]
	return c
}

// model returns the case's model with its weights.
func (c goldenModel) model(t *testing.T, dt tensor.Dtype) *Model {
	t.Helper()
	m, err := New(c.cfg, WithDtype(dt), WithDevice(testDevice))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		w, ok := c.weights[p.Name]
		if !ok || !p.Value.Shape().Eq(tensor.Shape(w.Shape)) {
			t.Fatalf("parameter %s %v: the reference has %v", p.Name, p.Value.Shape(), w.Shape)
		}
		setFloats(p.Value, w.Data)
	}
	want := len(c.weights)
	if c.cfg.TieWeights {
		want--
	}
	if len(m.Params()) != want {
		t.Fatalf("the model has %d parameters, the reference %d", len(m.Params()), want)
	}
	pushModel(t, m)
	return m
}

func pushModel(t testing.TB, m *Model) {
	t.Helper()
	if err := m.Push(); err != nil {
		t.Fatal(err)
	}
}

func setFloats(t *tensor.Dense, v []float64) {
	floats.Of(t.Data()).Write(v)
}

func floatsOf(v gorgonia.Value) []float64 { return floats.Of(v.Data()).Float64s() }

// forms are the ways to compute a model.
var forms = []struct {
	name string
	fwd  FwdConfig
}{
	{"parallel", FwdConfig{Form: nodes.Parallel}},
	{"chunkwise", FwdConfig{}},
	{"chunks of 5", FwdConfig{Chunk: 5}},
	{"recurrent", FwdConfig{Form: nodes.Recurrent}},
	{"symbolic", FwdConfig{Symbolic: true}},
}

// parallel reports whether the reference is of the parallel form, which begins
// without a stabiliser; that of xLSTM-7B's architecture is of the chunkwise
// form, which begins at 0, as do all others.
func (c goldenModel) parallel() bool { return c.cfg.Large == nil }

// form is the form of the reference.
func (c goldenModel) form() FwdConfig {
	if c.parallel() {
		return FwdConfig{Form: nodes.Parallel}
	}
	return FwdConfig{}
}

// exact reports whether a form computes exactly the function of the reference.
func (c goldenModel) exact(fwd FwdConfig) bool { return c.parallel() == (fwd.Form == nodes.Parallel) }

// tolerance is the distance in float64 from the reference: the rounding to float32
// in which it is stored, or the effect of the normaliser's eps in another form.
func (c goldenModel) tolerance(fwd FwdConfig) float64 {
	if c.exact(fwd) {
		return 1.2e-7
	}
	return 2e-6
}

func compileProgram(t testing.TB, m *Model, cfg ProgramConfig) *Program {
	t.Helper()
	p, err := m.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func runProgram(t testing.TB, p *Program, inputs, targets []int, state *State) {
	t.Helper()
	runInput(t, p, Input{Tokens: inputs, Targets: targets, State: state})
}

func runInput(t testing.TB, p *Program, in Input) {
	t.Helper()
	if err := p.Run(in); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenModels(t *testing.T) {
	dirs, err := golden.Models(goldenRoot)
	if err != nil || len(dirs) < 6 {
		t.Fatalf("found %d models under %s: %v", len(dirs), goldenRoot, err)
	}
	report, err := golden.ReadReport(goldenRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readGolden(t, dir)
			for _, form := range forms {
				if form.fwd.Symbolic && testDevice != nil {
					continue // symbolic cells are the CPU's alone
				}
				tol := c.tolerance(form.fwd)
				c.checkWhole(t, "float64 "+form.name, tensor.Float64, form.fwd, tol, tol)
			}
			logits := report.Float32Tolerance(c.name, func(n string) float64 { return report[n].LogitsAbs })
			grads := report.Float32Tolerance(c.name, func(n string) float64 { return report[n].GradRel })
			for _, form := range forms[:4] {
				c.checkWhole(t, "float32 "+form.name, tensor.Float32, form.fwd, logits, grads)
			}
			c.checkSteps(t, tensor.Float64, 1.2e-7)
			c.checkSteps(t, tensor.Float32, logits)
			c.checkLastStates(t, tensor.Float64, 1.2e-7)
			c.checkLastStates(t, tensor.Float32, logits)
			c.checkTraining(t, dir)
		})
	}
}

// checkWhole compares logits (absolute distance), loss and every gradient
// (relative to the tensor's largest value) of the whole sequence.
func (c goldenModel) checkWhole(t *testing.T, what string, dt tensor.Dtype, fwd FwdConfig, logitsTol, gradsTol float64) {
	m := c.model(t, dt)
	p := compileProgram(t, m, ProgramConfig{Batch: c.batch, Steps: c.steps, Grad: true, FwdConfig: fwd})
	runProgram(t, p, c.io["input_ids"].Ints(), c.io["targets"].Ints(), nil)
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	if d := golden.Apart(floatsOf(logits), c.io["logits"].Data, 1); d > logitsTol {
		t.Errorf("%s: logits are %.3g away, want at most %.3g", what, d, logitsTol)
	}
	loss, err := p.Loss()
	if err != nil {
		t.Fatal(err)
	}
	// The reference loss is stored in full: in its own form it must agree to
	// 1e-9.
	lossTol := logitsTol
	if dt == tensor.Float64 && c.exact(fwd) {
		lossTol = 1e-9
	}
	if d := golden.Apart([]float64{loss}, c.io["loss"].Data, 0); d > lossTol {
		t.Errorf("%s: loss %.12g, want %.12g", what, loss, c.io["loss"].Data[0])
	}
	if err := p.FetchGrads(); err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Model() {
		g, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		if d := golden.Apart(floatsOf(g), c.grads[n.Name()].Data, 0); d > gradsTol {
			t.Errorf("%s: gradient of %s is %.3g away, want at most %.3g", what, n.Name(), d, gradsTol)
		}
	}
	if len(p.Model()) != len(c.grads) {
		t.Errorf("%s: %d gradients, want %d", what, len(p.Model()), len(c.grads))
	}
}

// stepping is what the reference computed step by step.
func (c goldenModel) stepping() (ids []int, steps int, logits []float64) {
	if c.parallel() {
		return c.io["input_ids"].Ints(), c.steps, c.io["step_logits"].Data
	}
	return c.io["infer_ids"].Ints(), c.io["infer_ids"].Shape[1], c.io["infer_logits"].Data
}

// checkSteps compares the logits of every single step, and the states that the
// reference holds, token by token, in parts of other lengths, and in two parts.
func (c goldenModel) checkSteps(t *testing.T, dt tensor.Dtype, tol float64) {
	m := c.model(t, dt)
	v := c.cfg.VocabSize
	ids, steps, all := c.stepping()
	for _, part := range []int{1, 5, steps/2 + 2} {
		state, err := m.NewState(c.batch)
		if err != nil {
			t.Fatal(err)
		}
		for t0 := 0; t0 < steps; t0 += part {
			n := min(part, steps-t0)
			p := compileProgram(t, m, ProgramConfig{Batch: c.batch, Steps: n, Carry: true})
			runProgram(t, p, columns(ids, steps, t0, n), nil, state)
			logits, err := p.Logits()
			if err != nil {
				t.Fatal(err)
			}
			want := columns(all, steps*v, t0*v, n*v)
			if d := golden.Apart(floatsOf(logits), want, 1); d > tol {
				t.Errorf("%v: logits of steps %d … %d are %.3g away, want at most %.3g", dt, t0, t0+n-1, d, tol)
			}
			c.checkState(t, state, t0+n-1, dt, tol)
		}
		c.checkLargeState(t, "infer_last_state", state, dt, tol)
	}
}

// checkLastStates compares the states after the whole sequence at once.
func (c goldenModel) checkLastStates(t *testing.T, dt tensor.Dtype, tol float64) {
	m := c.model(t, dt)
	state, err := m.NewState(c.batch)
	if err != nil {
		t.Fatal(err)
	}
	p := compileProgram(t, m, ProgramConfig{Batch: c.batch, Steps: c.steps, Carry: true})
	runProgram(t, p, c.io["input_ids"].Ints(), nil, state)
	c.checkState(t, state, c.steps-1, dt, tol)
	c.checkLargeState(t, "last_state", state, dt, tol)
}

// checkLargeState compares with the states that the reference has of xLSTM-7B's
// architecture, under names of their own.
func (c goldenModel) checkLargeState(t *testing.T, prefix string, state *State, dt tensor.Dtype, tol float64) {
	if c.parallel() {
		return
	}
	for _, part := range partsOf(t, state) {
		var block int
		var name string
		if _, err := fmt.Sscanf(part.Name, "block_%d.mlstm_%s", &block, &name); err != nil {
			t.Fatal(part.Name, err)
		}
		want, ok := c.io[fmt.Sprintf("%s.%d.%s", prefix, block, name)]
		if !ok {
			t.Fatalf("the reference has no %s of block %d in %s", name, block, prefix)
		}
		if d := golden.Apart(floatsOf(part.Value), want.Data, 1); d > tol {
			t.Errorf("%v: %s of block %d is %.3g away, want at most %.3g", dt, name, block, d, tol)
		}
	}
}

// columns returns columns at … at+n−1 of a matrix with rows of width w.
func columns[E any](x []E, w, at, n int) (out []E) {
	for r := 0; r < len(x); r += w {
		out = append(out, x[r+at:r+at+n]...)
	}
	return out
}

func (c goldenModel) checkState(t *testing.T, state *State, step int, dt tensor.Dtype, tol float64) {
	prefix := fmt.Sprintf("state_t%d.", step)
	parts := make(map[string]*tensor.Dense)
	for _, part := range partsOf(t, state) {
		parts[part.Name] = part.Value
	}
	for name, want := range c.io {
		name, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		part, ok := parts[name]
		if !ok {
			t.Fatalf("the reference has a state %s, the model has not", name)
		}
		if d := golden.Apart(floatsOf(part), want.Data, 1); d > tol {
			t.Errorf("%v: %s after step %d is %.3g away, want at most %.3g", dt, name, step, d, tol)
		}
	}
}

// checkTraining repeats the reference's steps with AdamW, where it has some.
func (c goldenModel) checkTraining(t *testing.T, dir string) {
	var cfg struct {
		AdamW *struct {
			LR        float64
			Betas     [2]float64
			Eps       float64
			Decay     float64 `json:"weight_decay_on_decay_group"`
			Clip      float64 `json:"clip_grad_norm"`
			Steps     int
			Losses    []float64 `json:"losses_before_each_step_and_after_last"`
			GradNorms []float64 `json:"grad_norms_before_clip"`
		} `json:"_adamw"`
		Decay   []string `json:"_decay"`
		NoDecay []string `json:"_no_decay"`
	}
	if err := json.Unmarshal(c.raw, &cfg); err != nil {
		t.Fatal(err)
	}
	decays := optim.OfficialDecay(c.cfg.WeightDecayOnEmbedding)
	for _, name := range cfg.Decay {
		if !decays(name) {
			t.Errorf("%s should decay", name)
		}
	}
	for _, name := range cfg.NoDecay {
		if decays(name) {
			t.Errorf("%s should not decay", name)
		}
	}
	if cfg.AdamW == nil {
		return
	}
	a := cfg.AdamW
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(a.LR), Beta1: a.Betas[0], Beta2: a.Betas[1], Eps: a.Eps, WeightDecay: a.Decay, Decays: decays, ClipNorm: a.Clip})
	if err != nil {
		t.Fatal(err)
	}
	p := compileProgram(t, c.model(t, tensor.Float64), ProgramConfig{Batch: c.batch, Steps: c.steps, Grad: true, FwdConfig: FwdConfig{Form: nodes.Parallel}})
	for step := range a.Steps + 1 {
		runProgram(t, p, c.io["input_ids"].Ints(), c.io["targets"].Ints(), nil)
		loss, _ := p.Loss()
		if d := golden.Apart([]float64{loss}, a.Losses[step:step+1], 0); d > 1e-9 {
			t.Errorf("loss before step %d is %.12g, want %.12g", step, loss, a.Losses[step])
		}
		if step == a.Steps {
			break
		}
		for _, do := range []func() error{p.FetchGrads, func() error { return solver.Step(p.ValueGrads()) }, p.model.Push} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
		if d := golden.Apart([]float64{solver.GradNorm()}, a.GradNorms[step:step+1], 0); d > 1e-9 {
			t.Errorf("gradient norm of step %d is %.12g, want %.12g", step, solver.GradNorm(), a.GradNorms[step])
		}
	}
	trained, err := golden.Read(filepath.Join(dir, "trained.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, param := range p.model.Params() {
		if d := golden.Apart(floatsOf(param.Value), trained[param.Name].Data, 0); d > 1.2e-7 {
			t.Errorf("%s is %.3g away after %d steps", param.Name, d, a.Steps)
		}
	}
}
