package xlstm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/tensor"
)

// embeddingName is the embedding's of the paper's architecture.
const embeddingName = "token_embedding.weight"

// modelFolder returns a new folder with the given files as config.json and
// model.safetensors.
func modelFolder(t *testing.T, config, weights string) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range map[string]string{configFile: config, weightsFile: weights} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func goldenFolder(t *testing.T, name, weights string) string {
	t.Helper()
	return modelFolder(t, filepath.Join(goldenRoot, name, configFile), filepath.Join(goldenRoot, name, weights))
}

func saved(t *testing.T, m *Model) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := m.Save(dir, SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edited writes other tensors over those of a model folder.
func edited(t *testing.T, dir string, edit func([]safetensors.Tensor) []safetensors.Tensor) {
	t.Helper()
	path := filepath.Join(dir, weightsFile)
	tensors, metadata, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := safetensors.WriteFile(path, edit(tensors), metadata); err != nil {
		t.Fatal(err)
	}
}

// TestLoadsOfficialModels: configuration and weights as the official
// implementation writes them give its logits.
func TestLoadsOfficialModels(t *testing.T) {
	dirs, err := golden.Models(goldenRoot)
	if err != nil || len(dirs) < 6 {
		t.Fatalf("found %d models under %s: %v", len(dirs), goldenRoot, err)
	}
	for _, dir := range dirs {
		c := readGolden(t, dir)
		m, err := Load(goldenFolder(t, c.name, "weights.safetensors"), WithDtype(tensor.Float64), WithSeed(99))
		if err != nil {
			t.Fatal(err)
		}
		p := compileProgram(t, m, ProgramConfig{Batch: c.batch, Steps: c.steps, FwdConfig: c.form()})
		runProgram(t, p, c.io["input_ids"].Ints(), nil, nil)
		logits, err := p.Logits()
		if err != nil {
			t.Fatal(err)
		}
		if d := golden.Apart(floatsOf(logits), c.io["logits"].Data, 1); d > 1.2e-7 {
			t.Errorf("%s: logits are %.3g away", c.name, d)
		}
	}
}

// TestSavesOfficialWeights: an official model that is loaded and saved is the
// same file.
func TestSavesOfficialWeights(t *testing.T) {
	dirs, err := golden.Models(goldenRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		m, err := Load(goldenFolder(t, filepath.Base(dir), "weights.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(filepath.Join(dir, "weights.safetensors"))
		if got, err := os.ReadFile(filepath.Join(saved(t, m), weightsFile)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s becomes another file (%v)", dir, err)
		}
	}
}

func TestModelsSurviveBitForBit(t *testing.T) {
	for _, tied := range []bool{false, true} {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			cfg := smallConfig()
			cfg.TieWeights = tied
			m := smallModel(t, cfg, dt)
			dir := saved(t, m)
			again, err := Load(dir, WithDtype(dt))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again.Config(), cfg) || again.Dtype() != dt {
				t.Errorf("%+v in %v, want %+v in %v", again.Config(), again.Dtype(), cfg, dt)
			}
			for _, p := range m.Params() {
				q, _ := again.Param(p.Name)
				if testutil.Bits(p.Value.Shape(), p.Value.Data()) != testutil.Bits(q.Shape(), q.Data()) {
					t.Errorf("tied %v, %v: %s is another", tied, dt, p.Name)
				}
			}
			twice := saved(t, again)
			for _, name := range []string{configFile, weightsFile} {
				a, _ := os.ReadFile(filepath.Join(dir, name))
				b, err := os.ReadFile(filepath.Join(twice, name))
				if err != nil || !bytes.Equal(a, b) {
					t.Errorf("tied %v, %v: %s is saved as another file (%v)", tied, dt, name, err)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
				t.Errorf("the folder holds %v: %v", entries, err)
			}
		}
	}
}

// TestSavedConfigIsReadable: indented, with official names.
func TestSavedConfigIsReadable(t *testing.T) {
	dir := saved(t, smallModel(t, smallConfig(), tensor.Float32))
	raw, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(raw) || !strings.Contains(string(raw), "\n  \"embedding_dim\": 16,\n") || !strings.HasSuffix(string(raw), "}\n") {
		t.Errorf("%s", raw)
	}
	_, metadata, err := safetensors.ReadFile(filepath.Join(dir, weightsFile))
	if err != nil || len(metadata) != 1 || metadata["format"] != "pt" {
		t.Error(metadata, err)
	}
}

func TestLoadConvertsBetweenTypes(t *testing.T) {
	for _, from := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		to := tensor.Float32
		if from == to {
			to = tensor.Float64
		}
		m := smallModel(t, smallConfig(), from)
		got, err := Load(saved(t, m), WithDtype(to))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Params() {
			v, _ := got.Param(p.Name)
			for i, x := range floatsOf(p.Value) {
				if y := floatsOf(v)[i]; y != x && y != float64(float32(x)) || v.Dtype() != to {
					t.Fatalf("%s is %v in %v, want %v in %v", p.Name, y, v.Dtype(), x, to)
				}
			}
		}
	}
	if m, err := Load(saved(t, smallModel(t, smallConfig(), tensor.Float64))); err != nil || m.Dtype() != tensor.Float32 {
		t.Errorf("without an option the type is %v (%v), want float32", m.Dtype(), err)
	}
	_, err := Load(saved(t, smallModel(t, smallConfig(), tensor.Float64)), WithDtype(tensor.Int))
	testutil.WantError(t, err, "int")
}

// TestLoadWeightsReplacesParameters in a program that is compiled already.
func TestLoadWeightsReplacesParameters(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	dir := saved(t, m)
	fresh, err := New(smallConfig(), WithDevice(testDevice))
	if err != nil {
		t.Fatal(err)
	}
	ids := testutil.Tokens(1, 6, smallConfig().VocabSize)
	var logits [][]float64
	run := func(m *Model, p *Program) {
		runProgram(t, p, ids, nil, nil)
		v, err := p.Logits()
		if err != nil {
			t.Fatal(err)
		}
		logits = append(logits, floatsOf(v))
	}
	shape := ProgramConfig{Batch: 1, Steps: 6}
	run(m, compileProgram(t, m, shape))
	p := compileProgram(t, fresh, shape)
	run(fresh, p)
	if err := fresh.LoadWeights(filepath.Join(dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	run(fresh, p)
	if reflect.DeepEqual(logits[0], logits[1]) || !reflect.DeepEqual(logits[0], logits[2]) {
		t.Error("the logits are not those of the weights that were loaded")
	}
}

// TestLoadErrorsListAllThatIsWrong, and change nothing.
func TestLoadErrorsListAllThatIsWrong(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	dir := saved(t, m)
	const norm = "xlstm_block_stack.post_blocks_norm.weight"
	const skip = "xlstm_block_stack.blocks.0.xlstm.learnable_skip"
	edited(t, dir, func(tensors []safetensors.Tensor) (out []safetensors.Tensor) {
		for _, p := range tensors {
			switch p.Name {
			case headName:
				continue
			case norm:
				p.Value = tensor.New(tensor.WithShape(16, 1), tensor.Of(tensor.Float32))
			case skip:
				p.Value.Float32s()[3] = float32(math.NaN())
			case embeddingName:
				wide := tensor.New(tensor.WithShape(p.Value.Shape()...), tensor.Of(tensor.Float64))
				wide.Float64s()[5] = 1e300
				p.Value = wide
			}
			out = append(out, p)
		}
		return append(out, safetensors.Tensor{Name: "lm_head.bias", Value: tensor.New(tensor.WithShape(11), tensor.Of(tensor.Float32))})
	})
	path := filepath.Join(dir, weightsFile)
	says := []string{path, headName + " is missing", norm + " has shape (16, 1) and not (16)", skip + " holds numbers that are not finite",
		embeddingName + " holds numbers that are not finite in float32", `"lm_head.bias" is no parameter`}
	_, err := Load(dir)
	testutil.WantError(t, err, says...)
	before := fmt.Sprint(m.Params())
	testutil.WantError(t, m.LoadWeights(path), says...)
	if fmt.Sprint(m.Params()) != before {
		t.Error("parameters have changed in spite of the error")
	}
}

func TestLoadErrorsAreNotEndless(t *testing.T) {
	dir := saved(t, smallModel(t, smallConfig(), tensor.Float32))
	missing := 0
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		missing = len(tensors) - 3
		return tensors[:3]
	})
	_, err := Load(dir)
	testutil.WantError(t, err, "is missing", fmt.Sprintf("; and %d more", missing-10))
	if n := strings.Count(err.Error(), "is missing"); n != 10 {
		t.Errorf("%d are listed: %v", n, err)
	}
}

// TestLoadTellsTheLayout: a kernel's shape says in which layout its cell is; any
// other shape is an error, and so is a layout other than the one asked for.
func TestLoadTellsTheLayout(t *testing.T) {
	for _, name := range []string{"v1_mixed", "v1_slstm"} {
		want, err := Load(goldenFolder(t, name, "weights.safetensors"), WithLayout(Vanilla))
		if err != nil {
			t.Fatal(err)
		}
		dir := goldenFolder(t, name, "weights_cuda_layout.safetensors")
		for _, opts := range [][]Option{nil, {WithLayout(CUDA)}} {
			got, err := Load(dir, opts...)
			if err != nil {
				t.Fatal(err)
			}
			wantSameParams(t, got, want)
		}
		_, err = Load(dir, WithLayout(Vanilla))
		testutil.WantError(t, err, filepath.Join(dir, weightsFile), "_recurrent_kernel_", "CUDA layout and not the vanilla one")
	}
	dir := saved(t, smallModel(t, smallConfig(), tensor.Float32))
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for i, p := range tensors {
			if strings.HasSuffix(p.Name, "_recurrent_kernel_") {
				tensors[i].Value = tensor.New(tensor.WithShape(1, 2, 3), tensor.Of(tensor.Float32))
			}
		}
		return tensors
	})
	_, err := Load(dir)
	testutil.WantError(t, err, "_recurrent_kernel_ has shape (1, 2, 3) and not")
}

// wantSameParams checks that two models have the same parameters, bit by bit.
func wantSameParams(t *testing.T, got, want *Model) {
	t.Helper()
	if len(got.Params()) != len(want.Params()) {
		t.Errorf("%d parameters, want %d", len(got.Params()), len(want.Params()))
	}
	for _, p := range want.Params() {
		if v, ok := got.Param(p.Name); !ok || testutil.Bits(v.Shape(), v.Data()) != testutil.Bits(p.Value.Shape(), p.Value.Data()) {
			t.Errorf("%s is another", p.Name)
		}
	}
}

// TestTiedHeadMayBeAbsentOrEqual to the embedding, and nothing else.
func TestTiedHeadMayBeAbsentOrEqual(t *testing.T) {
	cfg := smallConfig()
	cfg.TieWeights = true
	dir := saved(t, smallModel(t, cfg, tensor.Float32))
	head := func(edit func(*tensor.Dense)) error {
		edited(t, dir, func(tensors []safetensors.Tensor) (out []safetensors.Tensor) {
			for _, p := range tensors {
				if p.Name != headName {
					out = append(out, p)
				} else if edit != nil {
					edit(p.Value)
					out = append(out, p)
				}
			}
			return out
		})
		_, err := Load(dir)
		return err
	}
	if err := head(func(*tensor.Dense) {}); err != nil {
		t.Error(err)
	}
	testutil.WantError(t, head(func(v *tensor.Dense) { v.Float32s()[7]++ }), headName+" differs from "+embeddingName, "tie_weights")
	testutil.WantError(t, head(func(v *tensor.Dense) {
		if err := v.Reshape(v.Shape()[1], v.Shape()[0]); err != nil {
			t.Fatal(err)
		}
	}), headName+" differs from "+embeddingName)
	if err := head(nil); err != nil {
		t.Error(err)
	}
}

// TestSaveRefusesWhatIsNotFinite, so that the last good model stays.
func TestSaveRefusesWhatIsNotFinite(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	dir := saved(t, m)
	before, _ := os.ReadFile(filepath.Join(dir, weightsFile))
	for _, v := range []float64{math.NaN(), math.Inf(-1)} {
		m.Params()[2].Value.Float32s()[1] = float32(v)
		testutil.WantError(t, m.Save(dir, SaveConfig{}), dir, m.Params()[2].Name, "not finite")
	}
	if after, err := os.ReadFile(filepath.Join(dir, weightsFile)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the model saved before is gone: %v", err)
	}
}

func TestFolderErrorsNameTheFile(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	none := filepath.Join(t.TempDir(), "no")
	testutil.WantError(t, m.Save(none, SaveConfig{}), filepath.Join(none, weightsFile))
	_, err := Load(none)
	testutil.WantError(t, err, filepath.Join(none, configFile), weightsFile)
	testutil.WantError(t, m.LoadWeights(none), none)

	dir := saved(t, m)
	if err := writeBytes(filepath.Join(dir, configFile), []byte(`{"vocab_size": -1}`)); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	testutil.WantError(t, err, filepath.Join(dir, configFile), "vocab_size is -1")

	dir = saved(t, m)
	if err := os.Remove(filepath.Join(dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	_, err = Load(dir)
	testutil.WantError(t, err, filepath.Join(dir, weightsFile))
}

// TestConfigIsNotTakenAtItsWord: a configuration of any size that Validate allows
// takes no memory that the weights do not account for.
func TestConfigIsNotTakenAtItsWord(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	for name, edit := range map[string]func(*Config){
		"vocabulary": func(c *Config) { c.VocabSize = maxVocab },
		"width":      func(c *Config) { c.EmbeddingDim = maxWidth },
		"blocks":     func(c *Config) { c.NumBlocks = maxBlocks },
		"projection": func(c *Config) { c.MLSTMBlock.MLSTM.ProjFactor = maxInnerWidth / 16 },
		"rounding":   func(c *Config) { c.SLSTMBlock.FeedForward.RoundProjUpToMultipleOf = maxInnerWidth },
		"window":     func(c *Config) { c.MLSTMBlock.MLSTM.Conv1dKernelSize = maxKernel },
	} {
		dir := saved(t, m)
		cfg := smallConfig()
		edit(&cfg)
		refusedAtOnce(t, name, dir, cfg)
	}
}

// refusedAtOnce checks that a model's folder with another configuration is an error
// of its weights, and costs little memory.
func refusedAtOnce(t *testing.T, name, dir string, cfg Config) {
	t.Helper()
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeBytes(filepath.Join(dir, configFile), raw); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Load(dir)
	runtime.ReadMemStats(&after)
	testutil.WantError(t, err, filepath.Join(dir, weightsFile))
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("%s: it took %d bytes of memory", name, took)
	}
}
