package xlstm

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// marksTokenizer returns a vocabulary whose token 0 ends a text; with template it
// begins texts with <s>, token 1.
func marksTokenizer(t *testing.T, template bool) *bpe.Tokenizer {
	t.Helper()
	tok, err := bpe.Train(t.Context(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 264, SpecialTokens: []string{bpe.EndOfText, "<s>"}})
	if err != nil {
		t.Fatal(err)
	}
	if template {
		if tok, err = tok.BeginWith(1); err != nil {
			t.Fatal(err)
		}
	}
	return tok
}

// marksModel saves a model in Hugging Face's form with some fields of its
// config.json, and a generation_config.json if it is not empty, and loads it.
func marksModel(t *testing.T, fields map[string]any, generation string) (*Model, error) {
	t.Helper()
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 272, 16, 1, 2
	cfg.Large.HuggingFace = &HuggingFaceConfig{}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(dir, SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, configFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		all[name] = value
	}
	if raw, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	// Some editors begin a file with a byte order mark.
	for name, content := range map[string]string{configFile: "\ufeff" + string(raw), generationFile: generation} {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(dir, "checksums.sha256")) // of the config.json as it was
	return Load(dir)
}

// TestMarks: what begins and ends a text, from all that can say so.
func TestMarks(t *testing.T) {
	chars, err := data.NewChars("a"+data.Separator, 1)
	if err != nil {
		t.Fatal(err)
	}
	few, err := data.NewChars("ab", 1)
	if err != nil {
		t.Fatal(err)
	}
	plain, begun := marksTokenizer(t, false), marksTokenizer(t, true)
	force := map[string]any{"force_bos_token_insert": true, "bos_token_id": 5}
	for name, c := range map[string]struct {
		fields     map[string]any
		generation string
		tok        data.Tokenizer
		want       Marks
	}{
		"nothing but the vocabulary": {nil, "", plain, Marks{nil, []int{0}}},
		"a number":                   {map[string]any{"eos_token_id": 7}, "", plain, Marks{nil, []int{0, 7}}},
		"a list":                     {map[string]any{"eos_token_id": []int{9, 7, 0}}, "", plain, Marks{nil, []int{0, 7, 9}}},
		"a number to generate with":  {map[string]any{"eos_token_id": 7}, `{"eos_token_id": 8}`, plain, Marks{nil, []int{0, 7, 8}}},
		"a list to generate with":    {nil, "\ufeff" + `{"eos_token_id": [8, 3], "do_sample": true}`, plain, Marks{nil, []int{0, 3, 8}}},
		"none to generate with":      {nil, `{"eos_token_id": null}`, plain, Marks{nil, []int{0}}},
		"ids that the model lacks":   {map[string]any{"eos_token_id": []int{7, 272, 50279}}, "", plain, Marks{nil, []int{0, 7}}},
		"a template":                 {nil, "", begun, Marks{[]int{1}, []int{0}}},
		"a beginning that is forced": {force, "", plain, Marks{[]int{5}, []int{0}}},
		"both, of which one counts":  {force, "", begun, Marks{[]int{1}, []int{0}}},
		"a beginning, not forced":    {map[string]any{"bos_token_id": 5}, "", plain, Marks{nil, []int{0}}},
		"bytes":                      {map[string]any{"eos_token_id": 7}, "", data.Bytes{}, Marks{nil, []int{0x1e}}},
		"characters":                 {force, `{"eos_token_id": 1}`, chars, Marks{nil, []int{1}}},
		"characters without a mark":  {nil, "", few, Marks{nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := marksModel(t, c.fields, c.generation)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Marks(c.tok); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if _, err := marksModel(t, nil, `{"eos_token_id": "seven"}`); err == nil || !strings.Contains(err.Error(), generationFile) {
		t.Errorf("a generation_config.json without sense gives %v", err)
	}
}

// TestTextsBeginOnce: at the start of a text alone, and not where the text has it
// written out; one by one and several at once.
func TestTextsBeginOnce(t *testing.T) {
	m, err := marksModel(t, map[string]any{"force_bos_token_insert": true, "bos_token_id": 5}, "")
	if err != nil {
		t.Fatal(err)
	}
	plain, begun := marksTokenizer(t, false), marksTokenizer(t, true)
	b, err := m.NewBatchGenerator(2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []struct {
		name   string
		tok    *bpe.Tokenizer
		before []int
		prompt string
		want   []int
	}{
		{"a template", begun, nil, "the", begun.EncodeWithSpecial("the")},
		{"forced", plain, nil, "the", append([]int{5}, plain.Encode("the")...)},
		{"written out", begun, nil, "<s>the", begun.Encode("<s>the")},
		{"after a text", begun, []int{3, 4}, "the", append([]int{3, 4}, begun.Encode("the")...)},
		{"without a prompt", begun, nil, "", []int{1}},
	} {
		want := alone(t, m, c.want...)
		first, err := want.Next(mustSampler(t, SamplerConfig{}))
		if err != nil {
			t.Fatal(err)
		}
		g := alone(t, m, c.before...)
		r := Request{Prompt: c.prompt, MaxTokens: 1, StopTokens: []int{}}
		got, err := g.Complete(t.Context(), c.tok, r, nil)
		if err != nil || !slices.Equal(got.Tokens, []int{first}) || !reflect.DeepEqual(g.State().Tensors(), want.State().Tensors()) {
			t.Errorf("%s: %v, %v, want token %d after %v", c.name, got, err, first, c.want)
		}
		if len(c.before) > 0 {
			r.After = alone(t, m, c.before...)
		}
		all, err := b.Complete(t.Context(), c.tok, []Request{r, r}, nil)
		if err != nil || !slices.Equal(all[1].Tokens, []int{first}) {
			t.Errorf("%s, several at once: %v, %v, want token %d", c.name, all, err, first)
		}
	}
}

func mustSampler(t *testing.T, cfg SamplerConfig) *Sampler {
	t.Helper()
	s, err := NewSampler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGenerationStopsAtEveryEnd that the configuration and the vocabulary name.
func TestGenerationStopsAtEveryEnd(t *testing.T) {
	tok := marksTokenizer(t, false)
	m, err := marksModel(t, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Prompt: "the gate", MaxTokens: 6, Sampler: SamplerConfig{Temperature: 1, Seed: 4, Exclude: []int{0}}}
	whole, err := alone(t, m).Complete(t.Context(), tok, r, nil)
	if err != nil || len(whole.Tokens) != 6 {
		t.Fatalf("%v, %v", whole, err)
	}
	end := whole.Tokens[3]
	at := slices.Index(whole.Tokens, end)
	generation := fmt.Sprintf(`{"eos_token_id": [%d]}`, end)
	for name, give := range map[string]func() (*Model, error){
		"a number": func() (*Model, error) { return marksModel(t, map[string]any{"eos_token_id": end}, "") },
		"a list":   func() (*Model, error) { return marksModel(t, map[string]any{"eos_token_id": []int{999, end}}, "") },
		"a file":   func() (*Model, error) { return marksModel(t, nil, generation) },
	} {
		m, err := give()
		if err != nil {
			t.Fatal(err)
		}
		got, err := alone(t, m).Complete(t.Context(), tok, r, nil)
		if err != nil || got.End != EndStop || !slices.Equal(got.Tokens, whole.Tokens[:at+1]) || got.Text != tok.Decode(whole.Tokens[:at]) {
			t.Errorf("%s: %+v, %v, want the beginning of %+v", name, got, err, whole)
		}
		free := r
		free.StopTokens = []int{}
		if got, err := alone(t, m).Complete(t.Context(), tok, free, nil); err != nil || !slices.Equal(got.Tokens, whole.Tokens) {
			t.Errorf("%s, without an end: %+v, %v, want %+v", name, got, err, whole)
		}
	}
}
