package xlstm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/tensor"
)

// interchangeRoot holds models that other programs have made and saved, with the
// logits that those programs compute from the files: see the head of
// interchange.py there.
const interchangeRoot = "testdata/interchange"

// ioFile returns the file that has the token ids and the logits of the model in a
// folder.
func ioFile(dir string) string { return dir + ioSuffix }

const ioSuffix = ".io.safetensors"

// withIO returns the folders under root that have such a file beside them.
func withIO(t *testing.T, root string) (dirs []string) {
	t.Helper()
	for _, path := range testutil.Must(filepath.Glob(filepath.Join(root, "*"+ioSuffix))) {
		dirs = append(dirs, strings.TrimSuffix(path, ioSuffix))
	}
	if len(dirs) < 3 {
		t.Fatalf("only %v in %s", dirs, root)
	}
	return dirs
}

// logitsApart loads the model in a folder and returns how far its logits are from
// those beside it, over the largest.
func logitsApart(t *testing.T, dir string, dt tensor.Dtype) float64 {
	t.Helper()
	io, err := golden.Read(ioFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	return golden.Apart(logitsFor(t, loaded(t, dir, WithDtype(dt)), io["input_ids"]), io["logits"].Data, 0)
}

// logitsFor computes a model's logits for token ids of shape (B, T).
func logitsFor(t *testing.T, m *Model, ids golden.Tensor) []float64 {
	t.Helper()
	p := compileProgram(t, m, ProgramConfig{Batch: ids.Shape[0], Steps: ids.Shape[1]})
	runProgram(t, p, ids.Ints(), nil, nil)
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	return floatsOf(logits)
}

// TestModelsOfOtherProgramsComputeTheSame: whatever the setting, a model that
// transformers or the official code has saved gives here the logits that it gives
// there, up to float32.
func TestModelsOfOtherProgramsComputeTheSame(t *testing.T) {
	for _, dir := range withIO(t, interchangeRoot) {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			if d := logitsApart(t, dir, dt); d > 1e-5 {
				t.Errorf("%s: logits in %v are %.3g away", dir, dt, d)
			}
		}
	}
}

// TestTransformersHeadIsReadAsItIs: what the configuration calls tied has a
// head of its own in transformers from 5.0 on. It is used, with a warning.
func TestTransformersHeadIsReadAsItIs(t *testing.T) {
	dir := filepath.Join(interchangeRoot, "transformers5_tied")
	m := loaded(t, dir)
	if _, own := m.Param(headName); !own || m.Config().TieWeights {
		t.Error("the head is not a parameter of its own")
	}
	if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], headName) || !strings.Contains(w[0], "tie_word_embeddings") {
		t.Errorf("warnings %q", w)
	}
	as := savedAs(t, m, SaveConfig{AsLoaded: true})
	if got, want := testutil.Must(os.ReadFile(filepath.Join(as, weightsFile))), testutil.Must(os.ReadFile(filepath.Join(dir, weightsFile))); !bytes.Equal(got, want) {
		t.Error("saved as it was, the weights are others")
	}
	again := savedAs(t, m, SaveConfig{})
	wantSameParams(t, loaded(t, again), m)
	if w := loaded(t, again).Warnings(); len(w) != 0 {
		t.Errorf("saved again: warnings %q", w)
	}
}

// TestTiedModelsAreWrittenWithTheirHead: in every form, since transformers from 5.0
// on makes a new head at random where the file has none.
func TestTiedModelsAreWrittenWithTheirHead(t *testing.T) {
	m := smallHuggingFace(t, func(cfg *Config) { cfg.TieWeights = true })
	dir := saved(t, m)
	tensors, _, err := safetensors.ReadFile(filepath.Join(dir, weightsFile))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]safetensors.Tensor)
	for _, p := range tensors {
		byName[p.Name] = p
	}
	head, embedding := byName[headName].Value, byName["backbone.embeddings.weight"].Value
	if head == nil || testutil.Bits(head.Shape(), head.Data()) != testutil.Bits(embedding.Shape(), embedding.Data()) {
		t.Error("the file has no head that equals the embedding")
	}
	got := loaded(t, dir)
	wantSameParams(t, got, m)
	wantSameFiles(t, savedAs(t, got, SaveConfig{AsLoaded: true}), dir)
	if !got.Config().TieWeights || len(got.Warnings()) > 0 {
		t.Errorf("it is read as %+v, with warnings %q", got.Config(), got.Warnings())
	}
	// A file without the head, as transformers 4 writes it, is the same model.
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		return slices.DeleteFunc(tensors, func(p safetensors.Tensor) bool { return p.Name == headName })
	})
	wantSameParams(t, loaded(t, dir), m)
	wantSameFiles(t, savedAs(t, loaded(t, dir), SaveConfig{AsLoaded: true}), dir)
}

// TestHeadThatDiffersCannotReplaceATiedOne: a model that is there keeps its
// parameters.
func TestHeadThatDiffersCannotReplaceATiedOne(t *testing.T) {
	m := smallHuggingFace(t, func(cfg *Config) { cfg.TieWeights = true })
	dir := saved(t, m)
	edited(t, dir, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		for _, p := range tensors {
			if p.Name == headName {
				p.Value.Float32s()[3]++
			}
		}
		return tensors
	})
	testutil.WantError(t, m.LoadWeights(filepath.Join(dir, weightsFile)), headName+" differs", "tie_word_embeddings")
}

// TestTransformersNormHasNoBias, whatever use_bias says: neither is one written nor
// asked for, nor counted.
func TestTransformersNormHasNoBias(t *testing.T) {
	m := smallHuggingFace(t, func(cfg *Config) { cfg.Large.UseBias = true })
	if _, there := m.Param("backbone.out_norm.bias"); there {
		t.Error("out_norm has a bias")
	}
	if _, there := m.Param("backbone.blocks.0.norm_mlstm.bias"); !there {
		t.Error("the norms in the blocks have no bias")
	}
	if n := costOf(t, m.Config(), CostOptions{Batch: 1, Steps: 1}).Total().Params; n != int64(m.NumParams()) {
		t.Errorf("%d parameters are counted, there are %d", n, m.NumParams())
	}
	cfg := m.Config()
	large := *cfg.Large
	large.HuggingFace = nil
	cfg.Large = &large
	if _, there := smallModel(t, cfg, tensor.Float32).Param("backbone.out_norm.bias"); !there {
		t.Error("in the official form out_norm has no bias")
	}
}

// TestTransformersAlwaysHasTheNorm: add_out_norm false is read as transformers
// computes it, and a model without the norm cannot be made in its form.
func TestTransformersAlwaysHasTheNorm(t *testing.T) {
	cfg := parsed(t, `{"model_type": "xlstm", "add_out_norm": false}`)
	if !cfg.Large.AddOutNorm {
		t.Error("the norm is left out")
	}
	cfg.Large.AddOutNorm = false
	_, err := New(cfg)
	testutil.WantError(t, err, "add_out_norm", "false", "Hugging Face")
	dir := filepath.Join(interchangeRoot, "transformers5_no_norm")
	copied := t.TempDir()
	for _, name := range []string{configFile, weightsFile} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	edited(t, copied, func(tensors []safetensors.Tensor) []safetensors.Tensor {
		return slices.DeleteFunc(tensors, func(p safetensors.Tensor) bool { return p.Name == "backbone.out_norm.weight" })
	})
	_, err = Load(copied)
	testutil.WantError(t, err, "backbone.out_norm.weight is missing")
}

// smallHuggingFace is a small model in Hugging Face's form whose parameters are
// away from their initial values.
func smallHuggingFace(t *testing.T, edit func(*Config)) *Model {
	t.Helper()
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 11, 16, 2
	cfg.Large.NumHeads, cfg.Large.FFNRoundUpToMultipleOf, cfg.Large.HuggingFace = 2, 16, &HuggingFaceConfig{EOSTokenIDs: []int{2}}
	edit(&cfg)
	return smallModel(t, cfg, tensor.Float32)
}

// TestFloatsAreWrittenAsFloats in every form: the official configurations are
// typed. Every field of type float64 is tried, so that none is forgotten.
func TestFloatsAreWrittenAsFloats(t *testing.T) {
	paper, large := DefaultConfig(), DefaultLargeConfig()
	paper.SLSTMBlock.SLSTM.GradientRecurrentClipval = new(float64)
	hugging := large
	hf := *large.Large
	hf.HuggingFace = &HuggingFaceConfig{}
	hugging.Large = &hf
	for _, cfg := range []Config{paper, large, hugging} {
		names := make(map[string]bool)
		for _, x := range []float64{1, -3, 0, 1e25, 0.5, 1e-6} {
			setFloatFields(reflect.ValueOf(&cfg).Elem(), x, names)
			raw, err := json.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for name := range names {
				if m := regexp.MustCompile(`"`+name+`":([^,}]+)`).FindAllSubmatch(raw, -1); m != nil {
					for _, m := range m {
						if v := string(m[1]); !strings.ContainsAny(v, ".e") {
							t.Errorf("%s is written as %s", name, v)
						}
					}
				}
			}
		}
		if len(names) < 3 {
			t.Errorf("only %v", names)
		}
	}
}

// setFloatFields sets all fields of type float64 and notes their names in JSON.
func setFloatFields(v reflect.Value, x float64, names map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			setFloatFields(v.Elem(), x, names)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			f := v.Field(i)
			if f.Kind() == reflect.Pointer && !f.IsNil() {
				f = f.Elem()
			}
			if f.Kind() == reflect.Float64 {
				f.SetFloat(x)
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				names[name] = true
			} else {
				setFloatFields(f, x, names)
			}
		}
	}
}

// TestFieldsOfTransformersBaseClassArePassedOver, and what is not known is named in
// a warning.
func TestFieldsOfTransformersBaseClassArePassedOver(t *testing.T) {
	const base = `"model_type": "xlstm", "return_dict": true, "output_attentions": false, "is_decoder": true, "tokenizer_class": "PreTrainedTokenizerFast",
		"auto_map": {"AutoModel": "x.y"}, "use_cache": false, "id2label": {"0": "LABEL_0"}, "_name_or_path": "x", "temperature": 1.0`
	cfg := parsed(t, `{`+base+`}`)
	if w := cfg.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
	cfg = parsed(t, `{`+base+`, "num_experts": 8, "Attention": "new"}`)
	if w := cfg.Warnings(); len(w) != 1 || !strings.Contains(w[0], "Attention, num_experts;") {
		t.Errorf("warnings %q", w)
	}
	raw, err := json.Marshal(cfg)
	if err != nil || strings.Contains(string(raw), "num_experts") {
		t.Errorf("%s, %v", raw, err)
	}
	dir := saved(t, smallHuggingFace(t, func(*Config) {}))
	if err := os.Remove(filepath.Join(dir, files.SumsFile)); err != nil {
		t.Fatal(err)
	}
	raw, err = os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(strings.Replace(string(raw), "{", `{"num_experts": 8,`, 1))
	overwrite(t, filepath.Join(dir, configFile), raw)
	if w := loaded(t, dir).Warnings(); len(w) != 1 || !strings.Contains(w[0], "num_experts") {
		t.Errorf("warnings %q", w)
	}
}

// TestConfigNamesTheBackendOfTheLayout: without it the official code takes the one
// for GPUs, and fails without a GPU or misreads the weights.
func TestConfigNamesTheBackendOfTheLayout(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	for layout, want := range map[Layout]string{AnyLayout: "vanilla", Vanilla: "vanilla", CUDA: "cuda"} {
		dir := savedAs(t, m, SaveConfig{Layout: layout})
		var config struct {
			SLSTMBlock struct {
				SLSTM struct{ Backend string } `json:"slstm"`
			} `json:"slstm_block"`
		}
		if err := json.Unmarshal(testutil.Must(os.ReadFile(filepath.Join(dir, configFile))), &config); err != nil {
			t.Fatal(err)
		}
		if got := config.SLSTMBlock.SLSTM.Backend; got != want {
			t.Errorf("layout %v: backend %q, want %q", layout, got, want)
		}
		again := loaded(t, dir)
		if !reflect.DeepEqual(again.Config(), m.Config()) {
			t.Errorf("layout %v: the configuration becomes %+v", layout, again.Config())
		}
		if got := savedAs(t, again, SaveConfig{}); layout == CUDA && !bytes.Contains(testutil.Must(os.ReadFile(filepath.Join(got, configFile))), []byte(`"backend": "vanilla"`)) {
			t.Error("saved in the other layout, the backend is the old one")
		}
	}
}

// TestInterchangeWithTheRealPrograms runs the round trips in both directions with
// the interpreters that XLSTM_PYTHON lists, separated by colons: each has
// transformers or xlstm installed. See docs/pretrained.md.
func TestInterchangeWithTheRealPrograms(t *testing.T) {
	interpreters := os.Getenv("XLSTM_PYTHON")
	if interpreters == "" {
		t.Skip("XLSTM_PYTHON is not set")
	}
	ours := t.TempDir()
	writeOurs(t, ours)
	writeTokens(t, filepath.Join(ours, "tokens"))
	for python := range strings.SplitSeq(interpreters, ":") {
		run := func(what, dir string) {
			out, err := exec.Command(python, filepath.Join(interchangeRoot, "interchange.py"), what, dir).CombinedOutput()
			t.Logf("%s %s\n%s", python, what, out)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		run("read", ours)
		theirs := t.TempDir()
		run("write", theirs)
		for _, dir := range withIO(t, theirs) {
			d := logitsApart(t, dir, tensor.Float32)
			t.Logf("here: %s: logits %.1e apart", filepath.Base(dir), d)
			if d > 2e-5 {
				t.Errorf("%s: logits are %.3g away", dir, d)
			}
		}
	}
}

// writeOurs saves small models in all settings, and what they compute.
func writeOurs(t *testing.T, root string) {
	ids := golden.Tensor{Shape: []int{2, 13}}
	for i := range 26 {
		ids.Data = append(ids.Data, float64(i*7%11))
	}
	write := func(name string, m *Model, save SaveConfig) {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := m.Save(dir, save); err != nil {
			t.Fatal(err)
		}
		writeIO(t, ioFile(dir), ids, logitsFor(t, loaded(t, dir), ids))
	}
	for name, edit := range map[string]func(*Config){
		"hf_plain":     func(*Config) {},
		"hf_tied":      func(c *Config) { c.TieWeights = true },
		"hf_bias":      func(c *Config) { c.Large.UseBias = true },
		"hf_fused":     func(c *Config) { c.Large.WeightMode = FusedWeights },
		"hf_tied_bias": func(c *Config) { c.TieWeights, c.Large.UseBias = true, true },
		"hf_whole_factors": func(c *Config) {
			c.Large.QKDimFactor, c.Large.VDimFactor, c.Large.FFNProjFactor, c.Large.GateSoftCap = 1, 2, 3, 12
		},
	} {
		write(name, smallHuggingFace(t, edit), SaveConfig{})
	}
	write("hf_shards", smallHuggingFace(t, func(*Config) {}), SaveConfig{MaxShardSize: 3000})
	for name, edit := range map[string]func(*Config){
		"large_plain":   func(*Config) {},
		"large_bias":    func(c *Config) { c.Large.UseBias = true },
		"large_no_norm": func(c *Config) { c.Large.AddOutNorm = false },
		"large_fused":   func(c *Config) { c.Large.WeightMode = FusedWeights },
	} {
		write(name, smallHuggingFace(t, func(c *Config) { c.Large.HuggingFace = nil; edit(c) }), SaveConfig{})
	}
	for name, edit := range map[string]func(*Config){
		"v1_mixed": func(*Config) {},
		"v1_tied":  func(c *Config) { c.TieWeights = true },
		"v1_bias":  func(c *Config) { c.Bias = true },
		"v1_mlstm": func(c *Config) { c.SLSTMAt = Blocks() },
		"v1_slstm": func(c *Config) { c.SLSTMAt = AllBlocks() },
	} {
		cfg := smallConfig()
		cfg.VocabSize, cfg.ContextLength = 11, 16
		edit(&cfg)
		write(name, smallModel(t, cfg, tensor.Float32), SaveConfig{})
	}
}

// writeTokens saves a tokenizer beside a model, as the training program does, and
// how it encodes pieces of a text, at every place, and characters of all kinds.
func writeTokens(t *testing.T, dir string) {
	text := string(testutil.Must(os.ReadFile(filepath.Join("testdata", "subwords.txt"))))
	tok := testutil.Must(bpe.Train(t.Context(), slices.Values([]string{text}), bpe.TrainConfig{VocabSize: 600, SpecialTokens: []string{bpe.EndOfText}, Pattern: bpe.Llama3}))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// For this kind of model transformers guesses a class where it is not told.
	if err := smallHuggingFace(t, func(c *Config) { c.VocabSize = 600 }).Save(dir, SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	for name, save := range map[string]func(io.Writer, data.Tokenizer) error{"tokenizer.json": data.SaveTokenizer, "tokenizer_config.json": data.SaveTokenizerConfig} {
		if err := files.WriteFile(filepath.Join(dir, name), func(w io.Writer) error { return save(w, tok) }); err != nil {
			t.Fatal(err)
		}
	}
	type encoded struct {
		Text string `json:"text"`
		IDs  []int  `json:"ids"`
	}
	r, runes := rand.New(rand.NewPCG(1, 2)), []rune(text)
	odd := []rune(" \t\n\r\u00a0'sLLre0129.,!?-éÉß日本語한🙂\u0301\u200b<|>")
	var cases []encoded
	for range 2600 {
		at := r.IntN(len(runes) - 40)
		piece := runes[at : at+r.IntN(40)]
		if r.IntN(2) == 0 {
			piece = nil
			for range r.IntN(20) {
				piece = append(piece, odd[r.IntN(len(odd))])
			}
		}
		cases = append(cases, encoded{string(piece), append([]int{}, tok.Encode(string(piece))...)})
	}
	overwrite(t, filepath.Join(dir, "tokens.json"), testutil.Must(json.Marshal(cases)))
}

// writeIO writes token ids and logits as interchange.py reads them.
func writeIO(t *testing.T, path string, ids golden.Tensor, logits []float64) {
	t.Helper()
	shape := append(slices.Clone(ids.Shape), len(logits)/len(ids.Data))
	if err := safetensors.WriteFile(path, []safetensors.Tensor{
		{Name: "input_ids", Value: tensor.New(tensor.WithShape(ids.Shape...), tensor.WithBacking(ids.Data))},
		{Name: "logits", Value: tensor.New(tensor.WithShape(shape...), tensor.WithBacking(logits))},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(logits, math.IsNaN) {
		t.Fatal(fmt.Sprint("logits that are not numbers: ", path))
	}
}
