package xlstm

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var packedFormats = []WeightFormat{WeightsBF16, WeightsInt8, WeightsInt4}

// packableModels are models of every form whose weights can be packed.
func packableModels(t *testing.T) map[string]*Model {
	t.Helper()
	paper := smallConfig()
	paper.EmbeddingDim, paper.Bias = 32, true
	tied := paper
	tied.TieWeights = true
	large := DefaultLargeConfig()
	large.VocabSize, large.EmbeddingDim, large.NumBlocks, large.Large.NumHeads = 11, 64, 2, 2
	fused, cfg := large, *large.Large
	cfg.WeightMode, cfg.UseBias = FusedWeights, true
	fused.Large = &cfg
	models := make(map[string]*Model)
	for name, c := range map[string]Config{"paper": paper, "tied": tied, "large": large, "fused": fused} {
		m, err := New(c, WithSeed(3))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(4, 4))
		for _, p := range m.Params() {
			testutil.Perturb(r, p.Value.Data())
		}
		models[name] = m
	}
	return models
}

// logitsOf returns the logits of a model for some tokens, read at once.
func logitsOf(t *testing.T, m *Model, tokens []int) []float64 {
	t.Helper()
	p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: len(tokens)})
	runProgram(t, p, tokens, nil, nil)
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(floatsOf(logits))
}

var someTokens = []int{1, 5, 3, 0, 2, 2, 7, 10, 4, 9, 6, 8, 1, 3, 3, 0, 5, 7, 2, 1}

// TestPackedModelsComputeWithTheNumbersStored: a packed model gives the logits of a
// model in float32 whose weights are the packed ones, and the packed ones are near
// the original. Everything that can be packed is.
func TestPackedModelsComputeWithTheNumbersStored(t *testing.T) {
	for name, m := range packableModels(t) {
		want := logitsOf(t, m, someTokens)
		for _, format := range packedFormats {
			p := testutil.Must(m.Packed(format))
			if p.Weights() != format || p.NumParams() != m.NumParams() || m.Weights() != WeightsFloat32 {
				t.Errorf("%s in %s: weights in %s, %d numbers of %d", name, format, p.Weights(), p.NumParams(), m.NumParams())
			}
			rounded := testutil.Must(m.Packed(WeightsFloat32))
			for _, w := range p.store.Packed() {
				value, _ := rounded.Param(w.Name)
				unpack(w.Format, w.In, w.Data, w.Scales, value.Float32s())
			}
			packed, floats := logitsOf(t, p, someTokens), logitsOf(t, rounded, someTokens)
			// With integers the activations are rounded too.
			wantClose(t, fmt.Sprintf("%s in %s: logits", name, format), packed, floats,
				map[WeightFormat]float64{WeightsBF16: 2e-5, WeightsInt8: 0.2, WeightsInt4: 0.2}[format])
			wantClose(t, fmt.Sprintf("%s in %s: logits and those in float32", name, format), packed, want,
				map[WeightFormat]float64{WeightsBF16: 0.1, WeightsInt8: 0.3, WeightsInt4: 1.5}[format])
		}
	}
}

// unpack writes the numbers of a packed weight.
func unpack(f nodes.Format, in int, data, scales *tensor.Dense, to []float32) {
	m := weights.Matrix{Format: f, In: in, Data: data.Data().([]byte)}
	if scales != nil {
		m.Scales = scales.Data().([]byte)
	}
	for r := range m.Rows() {
		m.Unpack(r, to[r*in:][:in])
	}
}

// wantClose reports numbers that are further apart than a share of the largest.
func wantClose(t *testing.T, what string, got, want []float64, within float64) {
	t.Helper()
	top, apart := 0.0, 0.0
	for i := range want {
		top, apart = math.Max(top, math.Abs(want[i])), math.Max(apart, math.Abs(got[i]-want[i]))
	}
	if !(apart <= within*top) {
		t.Errorf("%s: %.3g apart, the largest is %.3g", what, apart, top)
	}
}

// TestOnlyLinearMapsArePacked: norms, gates, biases, convolutions and recurrent
// kernels stay parameters.
func TestOnlyLinearMapsArePacked(t *testing.T) {
	for name, want := range map[string]string{
		"paper": "lm_head.weight token_embedding.weight " +
			"xlstm_block_stack.blocks.0.xlstm.proj_down.weight xlstm_block_stack.blocks.0.xlstm.proj_up.weight " +
			"xlstm_block_stack.blocks.1.ffn.proj_down.weight xlstm_block_stack.blocks.1.ffn.proj_up.weight " +
			"xlstm_block_stack.blocks.2.xlstm.proj_down.weight xlstm_block_stack.blocks.2.xlstm.proj_up.weight",
		"fused": "backbone.blocks.0.ffn.proj_down.weight backbone.blocks.0.ffn.proj_up_gate_z.weight " +
			"backbone.blocks.0.mlstm_layer.out_proj.weight backbone.blocks.0.mlstm_layer.qkv_opreact.weight " +
			"backbone.blocks.1.ffn.proj_down.weight backbone.blocks.1.ffn.proj_up_gate_z.weight " +
			"backbone.blocks.1.mlstm_layer.out_proj.weight backbone.blocks.1.mlstm_layer.qkv_opreact.weight " +
			"embedding.weight lm_head.weight",
	} {
		var got []string
		for _, p := range testutil.Must(packableModels(t)[name].Packed(WeightsInt8)).store.Packed() {
			got = append(got, p.Name)
		}
		testutil.Equal(t, name, strings.Join(got, " "), want)
	}
}

// TestQuantizedFoldersLoad: what Quantize writes gives the same bits as what is
// packed when it is loaded, from every form of a model on the disk, in one file
// and in several, and takes the space that the format has.
func TestQuantizedFoldersLoad(t *testing.T) {
	sources := make(map[string]string)
	for name, m := range packableModels(t) {
		sources[name] = saved(t, m)
		if name == "paper" {
			sources["CUDA"] = savedAs(t, m, SaveConfig{Layout: CUDA, Encoding: safetensors.BF16, MaxShardSize: 1 << 14})
		}
	}
	sources["Hugging Face"] = huggingFaceFolder(t, safetensors.BF16)
	for name, from := range sources {
		for _, format := range packedFormats {
			for _, most := range []int64{0, 1 << 14} {
				want := loaded(t, from, WithWeights(format))
				dir := t.TempDir()
				if err := Quantize(from, dir, QuantizeConfig{Weights: format, MaxShardSize: most}); err != nil {
					t.Fatal(err)
				}
				for _, opts := range [][]Option{nil, {WithWeights(format)}} {
					got := loaded(t, dir, opts...)
					testutil.Equal(t, name+": weights", got.Weights(), format)
					testutil.Equal(t, fmt.Sprintf("%s in %s: logits", name, format), logitsOf(t, got, someTokens), logitsOf(t, want, someTokens))
				}
			}
		}
	}
}

// TestBF16FoldersAreMapped: a folder in BF16, no matter which program wrote it, is
// mapped and not copied if it is loaded in bf16.
func TestBF16FoldersAreMapped(t *testing.T) {
	m := loaded(t, huggingFaceFolder(t, safetensors.BF16), WithWeights(WeightsBF16))
	defer runtime.KeepAlive(m) // its files are unmapped with it
	for _, p := range m.store.Packed() {
		at := fmt.Sprintf("%x-", p.Data.Uintptr()&^uintptr(os.Getpagesize()-1))
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("this system does not list what is mapped")
		}
		mapped := slices.ContainsFunc(strings.Split(string(maps), "\n"), func(line string) bool {
			var from, to uintptr
			_, err := fmt.Sscanf(line, "%x-%x", &from, &to)
			return err == nil && from <= p.Data.Uintptr() && p.Data.Uintptr() < to && strings.Contains(line, ".safetensors")
		})
		if !mapped {
			t.Errorf("%s is not in a mapped file, but at %s", p.Name, at)
		}
	}
}

// mappedFiles counts the mapped files in a folder, again until no more than most are
// left, or the cleanups, which run at some time after a collection, have had their time.
func mappedFiles(t *testing.T, dir string, most int) (n int) {
	t.Helper()
	for range 100 {
		runtime.GC()
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("this system does not list what is mapped")
		}
		if n = strings.Count(string(maps), dir); n <= most {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return n
}

// TestMappedFilesAreUnmapped when their model is garbage, not before, and not while a
// graph of the user's may have them.
func TestMappedFilesAreUnmapped(t *testing.T) {
	dir := t.TempDir()
	if err := Quantize(saved(t, packableModels(t)["large"]), dir, QuantizeConfig{Weights: WeightsInt8}); err != nil {
		t.Fatal(err)
	}
	func() {
		p := testutil.Must(loaded(t, dir).Compile(ProgramConfig{Batch: 1, Steps: 3}))
		defer p.Close()
		if n := mappedFiles(t, dir, 1); n != 1 {
			t.Errorf("%d files are mapped while a program uses one", n)
		}
		runProgram(t, p, []int{1, 2, 3}, nil, nil)
	}()
	for range 50 {
		func() { loaded(t, dir) }()
	}
	if n := mappedFiles(t, dir, 0); n != 0 {
		t.Errorf("%d files are mapped for models that are gone", n)
	}
	g := gorgonia.NewGraph()
	if _, err := loaded(t, dir).Fwd(g, GraphInput{Batch: 1, Tokens: idsInput(g, "ids", 1)}, FwdConfig{}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the cleanups have had their time
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	if n := mappedFiles(t, dir, 1); n != 1 {
		t.Errorf("%d files are mapped, want 1 for a graph that outlives its model", n)
	}
}

// TestPackedGeneratorsPredictWhatTheWholeSequenceDoes: token by token, in chunks,
// and in a batch.
func TestPackedGeneratorsPredictWhatTheWholeSequenceDoes(t *testing.T) {
	for name, m := range packableModels(t) {
		for _, format := range packedFormats {
			p := testutil.Must(m.Packed(format))
			want := logitsOf(t, p, someTokens)
			want = want[len(want)-m.cfg.VocabSize:]
			one, chunks := testutil.Must(p.NewGenerator()), testutil.Must(p.NewGenerator())
			several := testutil.Must(p.NewBatchGenerator(3))
			for _, token := range someTokens {
				if err := one.Read(token); err != nil {
					t.Fatal(err)
				}
				if err := several.Step([]int{-1, token, token}); err != nil {
					t.Fatal(err)
				}
			}
			if err := chunks.Read(someTokens...); err != nil {
				t.Fatal(err)
			}
			for how, got := range map[string][]float64{"by token": testutil.Must(one.Logits()), "in chunks": testutil.Must(chunks.Logits()), "in a batch": testutil.Must(several.Logits(1))} {
				// With integers, a number halfway between two may become the other one.
				wantClose(t, fmt.Sprintf("%s in %s, %s", name, format, how), got, want,
					map[WeightFormat]float64{WeightsBF16: 3e-5, WeightsInt8: 5e-3, WeightsInt4: 5e-3}[format])
			}
			testutil.Equal(t, "texts of a batch", testutil.Must(several.Logits(1)), testutil.Must(several.Logits(2)))
		}
	}
}

// TestPackedModelsRefuseWhatTheyCannot with a sentence.
func TestPackedModelsRefuseWhatTheyCannot(t *testing.T) {
	m := packableModels(t)["large"]
	p := testutil.Must(m.Packed(WeightsInt8))
	dir, solver := saved(t, m), testutil.Must(optim.NewAdamW(optim.AdamWConfig{}))
	_, noGrad := p.Compile(ProgramConfig{Batch: 1, Steps: 4, Grad: true})
	_, noTrainer := p.NewTrainer(solver, TrainerConfig{Batch: 1, Steps: 4})
	_, again := p.Packed(WeightsInt4)
	_, double := Load(dir, WithDtype(tensor.Float64), WithWeights(WeightsInt8))
	_, unknown := Load(dir, WithWeights("int3"))
	_, unknownNew := New(m.Config(), WithWeights("int3"))
	quantized := t.TempDir()
	if err := Quantize(dir, quantized, QuantizeConfig{Weights: WeightsInt8}); err != nil {
		t.Fatal(err)
	}
	_, other := Load(quantized, WithWeights(WeightsInt4))
	_, float := Load(quantized, WithWeights(WeightsFloat32))
	_, double64 := Load(quantized, WithDtype(tensor.Float64))
	for what, c := range map[string]struct {
		err   error
		parts []string
	}{
		"gradients":        {noGrad, []string{"int8", "no gradients"}},
		"training":         {noTrainer, []string{"int8", "no gradients"}},
		"saving":           {p.Save(t.TempDir(), SaveConfig{}), []string{"int8", "Quantize"}},
		"other weights":    {p.LoadWeights(filepath.Join(dir, weightsFile)), []string{"int8", "float32"}},
		"packing twice":    {again, []string{"int8"}},
		"float64":          {double, []string{"float64"}},
		"no format":        {unknown, []string{`"int3"`, "int4"}},
		"no format of new": {unknownNew, []string{`"int3"`, "int4"}},
		"another format":   {other, []string{"stored in int8", "int4"}},
		"floats":           {float, []string{"stored in int8", "float32"}},
		"float64 of int8":  {double64, []string{"float64"}},
		"quantizing twice": {Quantize(quantized, t.TempDir(), QuantizeConfig{Weights: WeightsInt4}), []string{"stored in int8 already"}},
		"a full folder":    {Quantize(dir, quantized, QuantizeConfig{Weights: WeightsInt4}), []string{"has a model.safetensors already"}},
		"quantizing to":    {Quantize(dir, t.TempDir(), QuantizeConfig{Weights: WeightsFloat32}), []string{`"float32"`, "int8"}},
		"negative shards":  {Quantize(dir, t.TempDir(), QuantizeConfig{Weights: WeightsInt8, MaxShardSize: -1}), []string{"-1"}},
	} {
		t.Run(what, func(t *testing.T) { testutil.WantError(t, c.err, c.parts...) })
	}
}

// TestDamagedQuantizedFoldersAreErrors: what a header says of packed weights must
// fit, and scales must be finite. No file remains mapped.
func TestDamagedQuantizedFoldersAreErrors(t *testing.T) {
	from := t.TempDir()
	if err := Quantize(saved(t, packableModels(t)["large"]), from, QuantizeConfig{Weights: WeightsInt8}); err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(list map[string]safetensors.Tensor){
		"lm_head.weight_scale is missing": func(l map[string]safetensors.Tensor) { delete(l, "lm_head.weight_scale") },
		"lm_head.weight_scale is F32":     func(l map[string]safetensors.Tensor) { l["lm_head.weight_scale"] = ofBytes("F32", 11, 2) },
		"of shape (11, 4)":                func(l map[string]safetensors.Tensor) { l["lm_head.weight_scale"] = ofBytes("BF16", 11, 4) },
		"lm_head.weight has shape":        func(l map[string]safetensors.Tensor) { l["lm_head.weight"] = ofBytes("U8", 11, 64) },
		"out_norm.weight is of dtype I8":  func(l map[string]safetensors.Tensor) { l["backbone.out_norm.weight"] = ofBytes("I8", 64) },
		"scales that are not finite": func(l map[string]safetensors.Tensor) {
			bad := ofBytes("BF16", 11, 2)
			b := testutil.Must(bad.Stored.Bytes())
			b[20], b[21] = 0xc0, 0x7f
			bad.Stored.Bytes = func() ([]byte, error) { return b, nil }
			l["lm_head.weight_scale"] = bad
		},
	} {
		dir := t.TempDir()
		raw := testutil.Must(os.ReadFile(filepath.Join(from, configFile)))
		if err := os.WriteFile(filepath.Join(dir, configFile), raw, 0o666); err != nil {
			t.Fatal(err)
		}
		f := testutil.Must(safetensors.Open(filepath.Join(from, weightsFile)))
		list := make(map[string]safetensors.Tensor)
		for _, e := range f.Entries {
			list[e.Name] = safetensors.Tensor{As: e.Encoding, Stored: &safetensors.Stored{Shape: e.Shape, Bytes: e.Bytes}}
		}
		edit(list)
		var tensors []safetensors.Tensor
		for _, name := range slices.Sorted(maps.Keys(list)) {
			t := list[name]
			t.Name = name
			tensors = append(tensors, t)
		}
		if err := safetensors.WriteFile(filepath.Join(dir, weightsFile), tensors, f.Metadata); err != nil {
			t.Fatal(err)
		}
		f.Close()
		_, err := Load(dir)
		testutil.WantError(t, err, want)
		if n := mappedFiles(t, dir, 0); n != 0 {
			t.Errorf("%s: %d files remain mapped", want, n)
		}
	}
}

// ofBytes is a tensor of zeros.
func ofBytes(as safetensors.Encoding, shape ...int) safetensors.Tensor {
	n := map[safetensors.Encoding]int{"F32": 4, "BF16": 2, "I8": 1, "U8": 1}[as] * tensor.Shape(shape).TotalSize()
	return safetensors.Tensor{As: as, Stored: &safetensors.Stored{Shape: shape, Bytes: func() ([]byte, error) { return make([]byte, n), nil }}}
}

// TestQuantizeReportsWhatIsNotFinite, and leaves no model.
func TestQuantizeReportsWhatIsNotFinite(t *testing.T) {
	for _, name := range []string{"lm_head.weight", "backbone.out_norm.weight"} {
		dir, to := saved(t, packableModels(t)["large"]), t.TempDir()
		edited(t, dir, func(list []safetensors.Tensor) []safetensors.Tensor {
			for _, p := range list {
				if p.Name == name {
					p.Value.Float32s()[3] = float32(math.Inf(1))
				}
			}
			return list
		})
		testutil.WantError(t, Quantize(dir, to, QuantizeConfig{Weights: WeightsInt4}), name, "not finite")
		if _, err := Load(to); err == nil {
			t.Error("a model is there all the same")
		}
	}
}

// TestQuantizeKeepsWhatBelongsToAModel: the vocabulary and what ends a text; and the
// metadata says what is stored.
func TestQuantizeKeepsWhatBelongsToAModel(t *testing.T) {
	dir, to := saved(t, packableModels(t)["large"]), t.TempDir()
	for name, content := range map[string]string{"tokenizer.json": "{}", generationFile: `{"eos_token_id": [7, 9]}`, "notes.txt": "not for a model"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := Quantize(dir, to, QuantizeConfig{Weights: WeightsInt4}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range testutil.Must(os.ReadDir(to)) {
		names = append(names, e.Name())
	}
	testutil.Equal(t, "files", names, []string{"checksums.sha256", "config.json", generationFile, "model.safetensors", "tokenizer.json"})
	testutil.Equal(t, "ends", loaded(t, to).generationEnds, []int{7, 9})
	f := testutil.Must(safetensors.Open(filepath.Join(to, weightsFile)))
	defer f.Close()
	testutil.Equal(t, "metadata", f.Metadata, map[string]string{"format": "pt", "xlstm.weights": "int4", "xlstm.group": "32"})
	var config map[string]any
	if err := json.Unmarshal(testutil.Must(os.ReadFile(filepath.Join(to, configFile))), &config); err != nil || config["vocab_size"] != 11.0 {
		t.Errorf("the configuration is %v, %v", config, err)
	}
}

// TestStatesOfPackedModelsAreTheirOwn: a state goes with the weights that it was made
// with, packed ones too.
func TestStatesOfPackedModelsAreTheirOwn(t *testing.T) {
	m := packableModels(t)["large"]
	path := filepath.Join(t.TempDir(), "state")
	g := testutil.Must(testutil.Must(m.Packed(WeightsInt8)).NewGenerator())
	if err := g.Read(someTokens...); err != nil {
		t.Fatal(err)
	}
	if err := g.SaveState(path); err != nil {
		t.Fatal(err)
	}
	if err := testutil.Must(testutil.Must(m.Packed(WeightsInt8)).NewGenerator()).LoadState(path); err != nil {
		t.Error(err)
	}
	testutil.WantError(t, testutil.Must(testutil.Must(m.Packed(WeightsInt4)).NewGenerator()).LoadState(path), "other weights")
}

// TestAdaptersArePackedWithTheirWeights, or refused, but never left out.
func TestAdaptersArePackedWithTheirWeights(t *testing.T) {
	m := packableModels(t)["large"]
	if err := m.Adapt(AdapterConfig{Rank: 2}); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Adapters() {
		testutil.Perturb(rand.New(rand.NewPCG(5, 5)), p.Value.Data())
	}
	_, err := m.Packed(WeightsInt8)
	testutil.WantError(t, err, "adapters")
	dir := saved(t, m)
	testutil.WantError(t, Quantize(dir, t.TempDir(), QuantizeConfig{Weights: WeightsInt8}), "adapters")
	merged := saved(t, loaded(t, dir))
	testutil.Equal(t, "logits", logitsOf(t, loaded(t, dir, WithWeights(WeightsInt8)), someTokens), logitsOf(t, loaded(t, merged, WithWeights(WeightsInt8)), someTokens))
}
