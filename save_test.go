package xlstm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/pytorch"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/tensor"
)

// wantSameFiles checks that two folders hold the same files, byte by byte, but for
// checksums.
func wantSameFiles(t *testing.T, got, want string) {
	t.Helper()
	contents := func(dir string) map[string]string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]string)
		for _, e := range entries {
			if e.Name() == files.SumsFile {
				continue
			}
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[e.Name()] = string(raw)
		}
		return all
	}
	g, w := contents(got), contents(want)
	for name := range w {
		if g[name] != w[name] {
			t.Errorf("%s is another file", name)
		}
	}
	if len(g) != len(w) {
		t.Errorf("there are %v, want %v", slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(w)))
	}
}

func loaded(t *testing.T, path string, opts ...Option) *Model {
	t.Helper()
	m, err := Load(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func savedAs(t *testing.T, m *Model, cfg SaveConfig) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := m.Save(dir, cfg); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOfficialModelsAreSavedAsTheyWere: whatever the architecture, the layout and
// the name of the file, nothing changes on the way through a model of either
// type.
func TestOfficialModelsAreSavedAsTheyWere(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldenRoot, "*", "weights*.safetensors"))
	if err != nil || len(paths) < 8 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		dir := goldenFolder(t, filepath.Base(filepath.Dir(path)), filepath.Base(path))
		odd := filepath.Join(dir, "state_dict.safetensors")
		if err := os.Rename(filepath.Join(dir, weightsFile), odd); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{dir, odd} {
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				wantSameFiles(t, savedAs(t, loaded(t, from, WithDtype(dt)), SaveConfig{AsLoaded: true}), dir)
			}
		}
	}
}

// TestCUDALayoutIsWrittenAsTheOfficialBackendDoes.
func TestCUDALayoutIsWrittenAsTheOfficialBackendDoes(t *testing.T) {
	for _, name := range []string{"v1_mixed", "v1_slstm"} {
		dir := savedAs(t, loaded(t, goldenFolder(t, name, "weights.safetensors")), SaveConfig{Layout: CUDA})
		got, _ := os.ReadFile(filepath.Join(dir, weightsFile))
		want, err := os.ReadFile(filepath.Join(goldenRoot, name, "weights_cuda_layout.safetensors"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another file (%v)", name, err)
		}
	}
}

// huggingFaceFolder makes a folder as transformers does: the reference's large
// model with the embedding's other name, in three files with an index.
func huggingFaceFolder(t *testing.T, as safetensors.Encoding) (dir string) {
	t.Helper()
	dir = t.TempDir()
	tensors, metadata, err := safetensors.ReadFile(filepath.Join(goldenRoot, "large", "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[string][]safetensors.Tensor)
	places := make(map[string]string)
	for i, p := range tensors {
		if p.Name == "embedding.weight" {
			p.Name = "backbone.embeddings.weight"
		}
		file := fmt.Sprintf("model-%05d-of-00003.safetensors", i%3+1)
		parts[file] = append(parts[file], safetensors.Tensor{Name: p.Name, Value: p.Value, As: as})
		places[p.Name] = file
	}
	for file, part := range parts {
		if err := safetensors.WriteFile(filepath.Join(dir, file), part, metadata); err != nil {
			t.Fatal(err)
		}
	}
	index, err := json.MarshalIndent(map[string]any{"metadata": map[string]any{"total_parameters": 7, "total_size": 8}, "weight_map": places}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const config = `{"architectures": ["xLSTMForCausalLM"], "bos_token_id": 0, "embedding_dim": 64, "eos_token_id": 2, "ffn_proj_factor": 2.6667,
		"hidden_size": 64, "model_type": "xlstm", "num_blocks": 2, "num_heads": 4, "num_hidden_layers": 2, "tie_word_embeddings": false,
		"torch_dtype": "bfloat16", "vocab_size": 50}`
	for name, raw := range map[string][]byte{indexFile: append(index, '\n'), configFile: []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestHuggingFaceFolder: it computes what the reference does, up to the rounding
// of the weights, and is saved as it was.
func TestHuggingFaceFolder(t *testing.T) {
	c := readGolden(t, filepath.Join(goldenRoot, "large"))
	for as, tol := range map[safetensors.Encoding]float64{safetensors.F64: 1.2e-7, safetensors.F32: 1.2e-7, safetensors.F16: 2e-2, safetensors.BF16: 2e-1} {
		dir := huggingFaceFolder(t, as)
		m := loaded(t, dir, WithDtype(tensor.Float64))
		p := compileProgram(t, m, ProgramConfig{Batch: c.batch, Steps: c.steps})
		runProgram(t, p, c.io["input_ids"].Ints(), nil, nil)
		logits, err := p.Logits()
		if err != nil {
			t.Fatal(err)
		}
		if d := golden.Apart(floatsOf(logits), c.io["logits"].Data, 1); d > tol {
			t.Errorf("%s: logits are %.3g away, want at most %.3g", as, d, tol)
		}
		wantSameFiles(t, savedAs(t, m, SaveConfig{AsLoaded: true}), dir)
		wantSameFiles(t, savedAs(t, loaded(t, filepath.Join(dir, indexFile)), SaveConfig{AsLoaded: true}), dir)
		if m.Config().Large.HuggingFace == nil {
			t.Error("the form of the configuration is lost")
		}
	}
}

// TestFormsOfALargeModelAreReadUnderEitherName of the embedding.
func TestFormsOfALargeModelAreReadUnderEitherName(t *testing.T) {
	dir := goldenFolder(t, "large", "weights.safetensors")
	want := loaded(t, dir)
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for i := range tensors {
			if tensors[i].Name == "embedding.weight" {
				tensors[i].Name = "backbone.embeddings.weight"
			}
		}
		return tensors
	})
	wantSameParams(t, loaded(t, dir), want)
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		return append(tensors, safetensors.Tensor{Name: "embedding.weight", Value: tensors[0].Value})
	})
	_, err := Load(dir)
	testutil.WantError(t, err, `"backbone.embeddings.weight" is no parameter`, "embedding.weight has shape")
}

// TestShardsAreFilledInOrder: no file is larger than asked for, except with one
// tensor, and the index says where each tensor is.
func TestShardsAreFilledInOrder(t *testing.T) {
	m := smallLarge(t, SingleWeights, tensor.Float32)
	const most = 4000
	for as, width := range map[safetensors.Encoding]int{"": 4, safetensors.F64: 8, safetensors.BF16: 2} {
		dir := savedAs(t, m, SaveConfig{Encoding: as, MaxShardSize: most})
		raw, err := os.ReadFile(filepath.Join(dir, indexFile))
		if err != nil {
			t.Fatal(err)
		}
		var index struct {
			Metadata struct {
				TotalSize int `json:"total_size"`
			}
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(raw, &index); err != nil || index.Metadata.TotalSize != width*m.NumParams() || len(index.WeightMap) != len(m.Params()) {
			t.Errorf("%v: %s", err, raw)
		}
		names := slices.Compact(slices.Sorted(maps.Values(index.WeightMap)))
		for i, name := range names {
			if want := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(names)); name != want {
				t.Errorf("there is %s, want %s", name, want)
			}
			tensors, metadata, err := safetensors.ReadFile(filepath.Join(dir, name))
			if err != nil || metadata["format"] != "pt" {
				t.Fatal(metadata, err)
			}
			size := 0
			for _, p := range tensors {
				size += width * p.Value.Shape().TotalSize()
			}
			if size > most && len(tensors) > 1 {
				t.Errorf("%s has %d bytes of %d tensors", name, size, len(tensors))
			}
		}
		if len(names) < 5 {
			t.Errorf("%d files", len(names))
		}
		if as != safetensors.BF16 {
			wantSameParams(t, loaded(t, dir), m)
		}
	}
	if _, err := os.Stat(filepath.Join(savedAs(t, m, SaveConfig{MaxShardSize: 1 << 40}), weightsFile)); err != nil {
		t.Error(err)
	}
}

// TestSavingInHalfPrecisionKeepsWhatItCan: each number is the nearest, and the
// model that is loaded again is saved the same way.
func TestSavingInHalfPrecisionKeepsWhatItCan(t *testing.T) {
	for _, cfg := range []Config{smallConfig(), smallLarge(t, FusedWeights, tensor.Float32).Config()} {
		m := smallModel(t, cfg, tensor.Float64)
		for as, eps := range map[safetensors.Encoding]float64{safetensors.F16: 0x1p-11, safetensors.BF16: 0x1p-8, safetensors.F32: 0x1p-24, safetensors.F64: 0} {
			dir := savedAs(t, m, SaveConfig{Encoding: as, Layout: CUDA})
			again := loaded(t, dir, WithDtype(tensor.Float64))
			for _, p := range m.Params() {
				v, _ := again.Param(p.Name)
				for i, x := range p.Value.Float64s() {
					if d := math.Abs(v.Float64s()[i] - x); d > eps*math.Abs(x)+0x1p-25 {
						t.Fatalf("%s: %s holds %v for %v", as, p.Name, v.Float64s()[i], x)
					}
				}
			}
			wantSameFiles(t, savedAs(t, again, SaveConfig{AsLoaded: true}), dir)
		}
	}
}

func TestWhatCannotBeSavedIsAnError(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	for says, cfg := range map[string]SaveConfig{
		"made":       {AsLoaded: true},
		"no other":   {AsLoaded: true, Layout: CUDA},
		"F8":         {Encoding: "F8"},
		"-1 bytes":   {MaxShardSize: -1},
		"layout 3":   {Layout: CUDA + 1},
		"would be r": {MaxShardSize: 1},
	} {
		dir := saved(t, m)
		before, _ := os.ReadDir(dir)
		testutil.WantError(t, m.Save(dir, cfg), dir, says)
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Errorf("%s: there are %v now", says, after)
		}
	}
	m.Params()[1].Value.Float32s()[0] = 65520
	testutil.WantError(t, m.Save(t.TempDir(), SaveConfig{Encoding: safetensors.F16}), m.Params()[1].Name, "F16")
	savedAs(t, m, SaveConfig{Encoding: safetensors.BF16})
	m.Params()[1].Value.Float32s()[0] = math.MaxFloat32
	testutil.WantError(t, m.Save(t.TempDir(), SaveConfig{Encoding: safetensors.BF16}), m.Params()[1].Name, "BF16")
}

// TestIndexIsNotTakenAtItsWord: whatever does not fit is listed.
func TestIndexIsNotTakenAtItsWord(t *testing.T) {
	const one, two = "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"
	into := func(file string) func(string, map[string]string) {
		return func(_ string, places map[string]string) { places["x"] = file }
	}
	for _, c := range []struct {
		says string
		edit func(dir string, places map[string]string)
	}{
		{"is not in the index", func(_ string, places map[string]string) { delete(places, headName) }},
		{"where the index says", func(_ string, places map[string]string) { places["lm_head.bias"] = one }},
		{"but the index says", func(_ string, places map[string]string) { places[headName] = one }},
		{"no such file", func(dir string, _ map[string]string) { os.Remove(filepath.Join(dir, two)) }},
		{"not a safetensors file or a pickle beside it", into("../x.safetensors")},
		{"not a safetensors file or a pickle beside it", into("/x.safetensors")},
		{"not a safetensors file or a pickle beside it", into(`a\x.safetensors`)},
		{"not a safetensors file or a pickle beside it", into(configFile)},
		{"no weight_map", func(_ string, places map[string]string) { clear(places) }},
	} {
		dir := huggingFaceFolder(t, safetensors.F32)
		path := filepath.Join(dir, indexFile)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var index shardIndex
		if err := json.Unmarshal(raw, &index); err != nil {
			t.Fatal(err)
		}
		c.edit(dir, index.WeightMap)
		if raw, err = json.Marshal(index); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err = Load(dir)
		testutil.WantError(t, err, dir, c.says)
	}
}

// TestFolderOfSeveralFilesNeedsAName.
func TestFolderOfSeveralFilesNeedsAName(t *testing.T) {
	dir := goldenFolder(t, "v1_slstm", "weights.safetensors")
	for _, name := range []string{"a.safetensors", "b.safetensors"} {
		raw, _ := os.ReadFile(filepath.Join(goldenRoot, "v1_slstm", "weights.safetensors"))
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	loaded(t, dir)
	if err := os.Remove(filepath.Join(dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	testutil.WantError(t, err, dir, weightsFile, indexFile, "a.safetensors, b.safetensors")
	loaded(t, filepath.Join(dir, "b.safetensors"))
}

// TestLoadingTakesOneCopy: besides the model itself, loading allocates a
// fraction of it, whatever the encoding and however many the files.
func TestLoadingTakesOneCopy(t *testing.T) {
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 3000, 512, 2, 4
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, save := range []SaveConfig{{}, {Encoding: safetensors.BF16, MaxShardSize: 1 << 20}} {
		dir := savedAs(t, m, save)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := loaded(t, dir)
		runtime.ReadMemStats(&after)
		took, size := after.TotalAlloc-before.TotalAlloc, 4*uint64(got.NumParams())
		if took > size+size/4 {
			t.Errorf("loading %d bytes allocates %d", size, took)
		}
	}
}

// smallLarge is a small model of the xLSTM-7B architecture whose parameters are
// away from their initial values.
func smallLarge(t testing.TB, mode string, dt tensor.Dtype) *Model {
	t.Helper()
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 11, 16, 3
	cfg.Large.NumHeads, cfg.Large.WeightMode, cfg.Large.UseBias = 2, mode, true
	return smallModel(t, cfg, dt)
}

// FuzzLoad: a folder of foreign files gives an error or a model, and no more
// memory is taken than the files account for.
func FuzzLoad(f *testing.F) {
	tiny := DefaultConfig()
	tiny.VocabSize, tiny.EmbeddingDim, tiny.NumBlocks, tiny.SLSTMAt = 2, 4, 2, Blocks(1)
	tiny.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf, tiny.SLSTMBlock.FeedForward = 4, nil
	large := DefaultLargeConfig()
	large.VocabSize, large.EmbeddingDim, large.NumBlocks, large.Large.NumHeads, large.Large.FFNRoundUpToMultipleOf = 2, 4, 1, 1, 4
	for _, cfg := range []Config{tiny, large} {
		m, err := New(cfg)
		if err != nil {
			f.Fatal(err)
		}
		dir := f.TempDir()
		if err := m.Save(dir, SaveConfig{Encoding: safetensors.BF16, Layout: CUDA}); err != nil {
			f.Fatal(err)
		}
		config, _ := os.ReadFile(filepath.Join(dir, configFile))
		weights, _ := os.ReadFile(filepath.Join(dir, weightsFile))
		f.Add(config, weights, []byte(`{"weight_map": {"lm_head.weight": "a.safetensors"}}`))
	}
	for _, format := range []WeightFormat{WeightsInt8, WeightsInt4} {
		packable, cfg := large, *large.Large
		packable.EmbeddingDim, packable.Large = 32, &cfg
		from, dir := f.TempDir(), f.TempDir()
		if err := testutil.Must(New(packable)).Save(from, SaveConfig{}); err != nil {
			f.Fatal(err)
		}
		if err := Quantize(from, dir, QuantizeConfig{Weights: format}); err != nil {
			f.Fatal(err)
		}
		f.Add(testutil.Must(os.ReadFile(filepath.Join(dir, configFile))), testutil.Must(os.ReadFile(filepath.Join(dir, weightsFile))), []byte{})
	}
	pickled := filepath.Join(interchangeRoot, "xlstm_pickled")
	f.Add(testutil.Must(os.ReadFile(filepath.Join(pickled, configFile))), testutil.Must(os.ReadFile(filepath.Join(pickled, "model.pt"))), []byte{})
	f.Add([]byte(`{"model_type": "xlstm"}`), []byte{}, []byte(`{"weight_map": {"x": "a.safetensors", "y": "a.safetensors"}}`))
	f.Fuzz(func(t *testing.T, config, weights, index []byte) {
		dir := t.TempDir()
		for name, raw := range map[string][]byte{configFile: config, "a.safetensors": weights, indexFile: index} {
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{dir, filepath.Join(dir, "a.safetensors")} {
			m, err := Load(path)
			most := len(weights) / 2
			if bytes.HasPrefix(weights, []byte(pytorch.Zip)) {
				most *= 2 // where two tensors may lie in one place
			}
			if err == nil && m.NumParams() > most*map[WeightFormat]int{WeightsFloat32: 1, WeightsBF16: 1, WeightsInt8: 2, WeightsInt4: 4}[m.Weights()] {
				t.Errorf("%d parameters out of %d bytes", m.NumParams(), len(weights))
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q is not one sentence", err)
			}
		}
	})
}
