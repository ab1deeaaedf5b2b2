package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// TestCommandsTakeAFileOfWeights wherever they take the folder it is in, and say
// the same.
func TestCommandsTakeAFileOfWeights(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	mustRun(t, small(text, dir, "-steps", "4", "-tokens", "bpe", "-vocab", "260")...)
	folder := newest(t, dir)
	file := filepath.Join(folder, run.WeightsFile)
	for _, args := range [][]string{
		{"sample", "", "-prompt", "the", "-max-tokens", "20"},
		{"score", "", "-text", "the cell forgets"},
		{"evaluate", "", "-data", text},
		{"inspect", ""},
		{"graph", "", "-forward"},
	} {
		at := func(path string) string {
			args[1] = path
			return mustRun(t, args...)
		}
		if got, want := at(file), at(folder); got != want {
			t.Errorf("%s FILE gives\n%.500s\nand with its folder\n%.500s", args[0], got, want)
		}
	}
	_, _, err := runHere(context.Background(), "evaluate", file)
	if err == nil || !strings.Contains(err.Error(), "-data") {
		t.Errorf("evaluate of a file without a text: %v", err)
	}
}

// TestCommandsTakeModelsOfOtherPrograms: a file of torch.save, and a configuration
// in YAML; what was passed over is said once, beside the output.
func TestCommandsTakeModelsOfOtherPrograms(t *testing.T) {
	characters, err := data.NewChars("abcdefghij", 1) // and one for all others
	if err != nil {
		t.Fatal(err)
	}
	for name, notes := range map[string]int{"xlstm_pickled/model.pt": 0, "xlstm_experiment/last.pt": 0, "transformers4_tied/pytorch_model.bin": 0, "transformers5_tied/model.safetensors": 1} {
		dir := t.TempDir()
		from, file := filepath.Split(name)
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "testdata", "interchange", from))); err != nil {
			t.Fatal(err)
		}
		if err := data.WriteTokenizer(dir, characters); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		for _, args := range [][]string{{"sample", path, "-prompt", "abc", "-max-tokens", "5"}, {"score", path, "-text", "abcabc"}} {
			_, errs, err := runHere(context.Background(), args...)
			if err != nil {
				t.Errorf("%v: %v", args, err)
			}
			if n := strings.Count(errs, "Note: "); n != notes {
				t.Errorf("%v: %d notes: %q", args, n, errs)
			}
		}
		if out := mustRun(t, "inspect", path); !strings.Contains(out, "a vocabulary of 11") {
			t.Errorf("inspect %s: %.300s", name, out)
		}
	}
}

// TestUnknownFieldsAreNamed by commands that need no weights, too.
func TestUnknownFieldsAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(`{"model_type": "xlstm", "hidden_size": 64, "num_blocks": 1, "num_hidden_layers": 1, "num_experts": 8}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"inspect", path}, {"inspect", "-model", path}, {"inspect", filepath.Dir(path)}} {
		if _, errs, err := runHere(context.Background(), args...); err != nil || !strings.Contains(errs, "num_experts") {
			t.Errorf("%v: %q, %v", args, errs, err)
		}
	}
}

// TestTokenizerConfigIsBesideTheTokenizer of subwords, in every checkpoint, and not
// beside others, which Hugging Face's libraries do not read.
func TestTokenizerConfigIsBesideTheTokenizer(t *testing.T) {
	text := sampleText(t)
	for tokens, want := range map[string]bool{"bpe": true, "chars": false} {
		dir := filepath.Join(t.TempDir(), "run")
		mustRun(t, small(text, dir, "-steps", "4", "-tokens", tokens, "-vocab", "260")...)
		raw, err := os.ReadFile(filepath.Join(newest(t, dir), data.TokenizerConfigFile))
		if (err == nil) != want {
			t.Errorf("-tokens %s: %v", tokens, err)
		}
		var config struct {
			Class string `json:"tokenizer_class"`
			End   string `json:"eos_token"`
		}
		if want && (json.Unmarshal(raw, &config) != nil || config.Class != "PreTrainedTokenizerFast" || config.End != "<|endoftext|>") {
			t.Errorf("-tokens %s: %s", tokens, raw)
		}
	}
}
