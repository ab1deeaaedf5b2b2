package xlstm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/tensor"
)

// trainSome trains a model for some steps of the same batches.
func trainSome(t *testing.T, m *Model, cfg TrainerConfig, steps int) *Trainer {
	t.Helper()
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-2), ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Batch, cfg.Steps, cfg.Seed = 2, 5, 1
	tr, err := m.NewTrainer(solver, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	stepSome(t, tr, steps)
	return tr
}

// stepSome takes steps and fetches the parameters if the model is on a device.
func stepSome(t *testing.T, tr *Trainer, steps int) {
	t.Helper()
	for range steps {
		at := tr.Steps()
		if _, err := tr.Step(func() data.Batch {
			b := data.Batch{B: 2, T: 5}
			for i := range 10 {
				b.Inputs, b.Targets = append(b.Inputs, (i*3+at)%11), append(b.Targets, (i*3+at+1)%11)
			}
			return b
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.model.Fetch(); err != nil {
		t.Fatal(err)
	}
}

// copies returns copies of parameters by name.
func copies(params []layers.Param) map[string][]float64 {
	all := make(map[string][]float64)
	for _, p := range params {
		all[p.Name] = floats.Of(p.Value.Data()).Float64s()
	}
	for name, v := range all {
		all[name] = slices.Clone(v)
	}
	return all
}

// changed returns the names of parameters whose numbers are others, ascending.
func changed(before map[string][]float64, now []layers.Param) (names []string) {
	for _, p := range now {
		if !slices.Equal(before[p.Name], floats.Of(p.Value.Data()).Float64s()) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

func tenLogits(t *testing.T, m *Model) []float64 {
	t.Helper()
	return slices.Clone(alone(t, m, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10).logits)
}

// TestAdapters of every kind of model: they change nothing at first, training
// changes them alone, they are saved apart, and what is loaded, with the adapters
// merged, computes the same.
func TestAdapters(t *testing.T) {
	for name, cfg := range batchModels() {
		m := smallModel(t, cfg, tensor.Float64)
		before, weights := tenLogits(t, m), copies(m.Params())
		if err := m.Adapt(AdapterConfig{Rank: 2, Alpha: 6, On: func(string) bool { return true }}); err != nil {
			t.Fatal(name, err)
		}
		if got := tenLogits(t, m); !slices.Equal(got, before) {
			t.Errorf("%s: adapters change the model before they are trained", name)
		}
		if err := m.Adapt(AdapterConfig{Rank: 2}); err == nil {
			t.Errorf("%s: adapters on adapters", name)
		}
		untrained := copies(m.Adapters())
		trainSome(t, m, TrainerConfig{}, 4)
		after := tenLogits(t, m)
		if agree(tensor.Float64, before, after) {
			t.Errorf("%s: training has no effect", name)
		}
		if c := changed(weights, m.Params()); len(c) > 0 {
			t.Errorf("%s: training adapters changes %v", name, c)
		}
		if c := changed(untrained, m.Adapters()); len(c) != len(untrained) {
			t.Errorf("%s: training changes %d of %d parameters of adapters", name, len(c), len(untrained))
		}
		dir := t.TempDir()
		if err := m.Save(dir, SaveConfig{}); err != nil {
			t.Fatal(err)
		}
		merged, err := Load(dir, WithDtype(tensor.Float64))
		if err != nil {
			t.Fatal(err)
		}
		if got := tenLogits(t, merged); !agree(tensor.Float64, got, after) {
			t.Errorf("%s: the model with merged adapters computes otherwise", name)
		}
		if err := os.Remove(filepath.Join(dir, adapterFile)); err != nil {
			t.Fatal(err)
		}
		origin, err := Load(dir, WithDtype(tensor.Float64))
		if err != nil {
			t.Fatal(err)
		}
		if got := tenLogits(t, origin); testDevice == nil && !slices.Equal(got, before) || !agree(tensor.Float64, got, before) {
			t.Errorf("%s: without its adapters the saved model is another", name)
		}
	}
}

// TestAdaptersResume as if training had not stopped, to the bit.
func TestAdaptersResume(t *testing.T) {
	adapted := func() *Model {
		m := smallModel(t, smallConfig(), tensor.Float32)
		if err := m.Adapt(AdapterConfig{Rank: 3, On: func(w string) bool { return strings.Contains(w, "proj") }}); err != nil {
			t.Fatal(err)
		}
		return m
	}
	whole := adapted()
	trainSome(t, whole, TrainerConfig{}, 6)
	first := adapted()
	dir := t.TempDir()
	if err := trainSome(t, first, TrainerConfig{}, 3).Save(dir, nil); err != nil {
		t.Fatal(err)
	}
	second := adapted()
	tr := trainSome(t, second, TrainerConfig{}, 0)
	if _, err := tr.Restore(dir); err != nil {
		t.Fatal(err)
	}
	stepSome(t, tr, 3)
	if c := changed(copies(whole.Adapters()), second.Adapters()); len(c) > 0 {
		t.Errorf("after a stop others are %v", c)
	}
}

// TestFrozenParametersStay as they are, and the gradients of the others are those
// that they have without freezing.
func TestFrozenParametersStay(t *testing.T) {
	hostOnly(t)
	frozen := func(name string) bool { return !strings.Contains(name, "blocks.1.") }
	m, free := smallModel(t, smallConfig(), tensor.Float32), smallModel(t, smallConfig(), tensor.Float32)
	before := copies(m.Params())
	var grads [2]map[string][]float64
	for i, one := range []*Model{m, free} {
		cfg := ProgramConfig{Batch: 2, Steps: 5, Grad: true}
		if i == 0 {
			cfg.Frozen = frozen
		}
		p, err := one.Compile(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Run(Input{Tokens: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Targets: []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 0}}); err != nil {
			t.Fatal(err)
		}
		grads[i] = make(map[string][]float64)
		for _, n := range p.Model() {
			g, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			grads[i][n.Name()] = slices.Clone(floats.Of(g.Data()).Float64s())
		}
	}
	if len(grads[0]) == 0 || len(grads[0]) >= len(grads[1]) {
		t.Errorf("%d parameters have gradients, %d without freezing", len(grads[0]), len(grads[1]))
	}
	for name, g := range grads[0] {
		if !slices.Equal(g, grads[1][name]) {
			t.Errorf("the gradient of %s depends on what is frozen", name)
		}
	}
	trainSome(t, m, TrainerConfig{Frozen: frozen}, 3)
	c := changed(before, m.Params())
	for _, name := range c {
		if frozen(name) {
			t.Errorf("%s was frozen and has changed", name)
		}
	}
	if len(c) != len(grads[0]) {
		t.Errorf("%d parameters have changed, of %d that were trained", len(c), len(grads[0]))
	}
	_, err := m.Compile(ProgramConfig{Batch: 1, Steps: 1, Grad: true, Frozen: func(string) bool { return true }})
	testutil.WantError(t, err, "all parameters are frozen")
}

// TestCopyFromASmallerVocabulary keeps the old rows; the new ones are their mean.
func TestCopyFromASmallerVocabulary(t *testing.T) {
	for name, cfg := range batchModels() {
		from := smallModel(t, cfg, tensor.Float64)
		more := cfg
		more.VocabSize += 3
		to, err := New(more, WithDtype(tensor.Float64), WithSeed(99))
		if err != nil {
			t.Fatal(err)
		}
		if err := to.CopyFrom(from); err != nil {
			t.Fatal(err)
		}
		got, want := tenLogits(t, to), tenLogits(t, from)
		if !agree(tensor.Float64, got[:len(want)], want) {
			t.Errorf("%s: the logits of the old tokens are others", name)
		}
		embedding, _ := to.Param(cfg.blueprint().embeddingName())
		all, width := embedding.Float64s(), embedding.Shape()[1]
		mean := 0.0
		for i := range cfg.VocabSize {
			mean += all[i*width] / float64(cfg.VocabSize)
		}
		if d := all[(cfg.VocabSize+2)*width] - mean; d > 1e-12 || d < -1e-12 {
			t.Errorf("%s: a new row begins with %v, and not with %v", name, all[(cfg.VocabSize+2)*width], mean)
		}
		if err := from.CopyFrom(to); err == nil {
			t.Errorf("%s: a larger vocabulary fits into a smaller one", name)
		}
		more.EmbeddingDim *= 2
		wide, err := New(more, WithDtype(tensor.Float64))
		if err != nil {
			t.Fatal(err)
		}
		testutil.WantError(t, wide.CopyFrom(from), "the models differ")
	}
}

// TestAdaptersThatCannotBe: settings, and files that are damaged.
func TestAdaptersThatCannotBe(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	for _, c := range []struct {
		cfg  AdapterConfig
		want string
	}{
		{AdapterConfig{}, "rank 0"}, {AdapterConfig{Rank: 1, Alpha: -1}, "alpha of -1"},
		{AdapterConfig{Rank: 1, On: func(string) bool { return false }}, "none of the linear maps"},
	} {
		testutil.WantError(t, m.Adapt(c.cfg), c.want)
	}
	if err := m.Adapt(AdapterConfig{Rank: 2}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(dir, SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, adapterFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "checksums.sha256")); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"rank":"2"`: `"rank":"9"`, `"rank":"2" `: `"rank":"x"`, "lora_a": "lora_c"} {
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), strings.TrimSpace(from), to)), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		testutil.WantError(t, err, adapterFile)
	}
	if err := os.WriteFile(path, content[:len(content)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	testutil.WantError(t, err, adapterFile)
	plain := smallModel(t, smallConfig(), tensor.Float32)
	testutil.WantError(t, plain.Save(dir, SaveConfig{}), "would be added to it")
}
