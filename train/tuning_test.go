package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// ran runs the program, which must not fail, and returns its output.
func ran(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := runHere(t.Context(), args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, errs)
	}
	return out
}

// tuned are the arguments of a run that begins with another model.
func tuned(from, text, out string, more ...string) []string {
	return append([]string{"train", "-from", from, "-data", text, "-out", out, "-preset", "tiny", "-batch", "2", "-length", "16", "-steps", "12", "-warmup", "2", "-eval-every", "4", "-eval-batches", "2", "-save-every", "4",
		"-val", "0.1", "-sample-tokens", "6"}, more...)
}

// numbersOf returns the numbers of a model's parameters by name.
func numbersOf(t *testing.T, path string) map[string][]float64 {
	t.Helper()
	m, err := xlstm.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]float64)
	for _, p := range m.Params() {
		all[p.Name] = slices.Clone(floats.Of(p.Value.Data()).Float64s())
	}
	return all
}

// TestTrainFrom begins with the weights and the vocabulary of a run or a model,
// trains what is not frozen, and when it is resumed, it continues as if it had
// not stopped.
func TestTrainFrom(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	origin := filepath.Join(dir, "origin")
	ran(t, small(text, origin)...)
	best, err := rundir.ModelPath(origin)
	if err != nil {
		t.Fatal(err)
	}
	before := numbersOf(t, best)
	for name, more := range map[string][]string{
		"all": nil, "frozen": {"-freeze", "*.blocks.0.*", "-freeze", "token_embedding.*"}, "lora": {"-lora-rank", "2", "-lora-alpha", "4"},
	} {
		whole, stopped := filepath.Join(dir, name), filepath.Join(dir, name+"-stopped")
		said := ran(t, tuned(origin, text, whole, more...)...)
		if !strings.Contains(said, "from    "+origin) {
			t.Errorf("%s: the origin is not told:\n%s", name, said)
		}
		ran(t, tuned(best, text, stopped, append(slices.Clone(more), "-steps", "6")...)...)
		ran(t, "resume", stopped, "-steps", "12")
		for _, one := range []string{whole, stopped} {
			at := filepath.Join(one, rundir.CheckpointName(rundir.LastKind, 12))
			after := numbersOf(t, at)
			same := 0
			for p, v := range after {
				if slices.Equal(v, before[p]) {
					same++
					if frozen := strings.Contains(p, ".blocks.0.") || strings.Contains(p, "token_embedding"); name == "all" || name == "frozen" && !frozen {
						t.Errorf("%s: %s has not changed", name, p)
					}
				}
			}
			if name != "all" && same == 0 || same == len(after) {
				t.Errorf("%s: %d of %d parameters are the same", name, same, len(after))
			}
			if _, err := os.Stat(filepath.Join(at, "adapter.safetensors")); (err == nil) != (name == "lora") {
				t.Errorf("%s: adapters: %v", name, err)
			}
		}
	}
	losses := func(run string) string {
		raw, err := os.ReadFile(filepath.Join(dir, run, "log.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if all, frozen := losses("all"), losses("frozen"); all == frozen {
		t.Error("what is frozen makes no difference")
	}
	first, _, err := run.ReadLog(filepath.Join(dir, "all", run.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	fresh, _, err := run.ReadLog(filepath.Join(origin, run.LogFile))
	if err != nil || first[0].Loss > fresh[0].Loss-0.5 {
		t.Errorf("the first loss is %v, of new weights it is %v", first[0].Loss, fresh[0].Loss)
	}
}

// TestMergeCommand: the merged model writes what the tuned one does, without
// adapters, with its vocabulary and the chat template.
func TestMergeCommand(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	origin, lora, merged := filepath.Join(dir, "origin"), filepath.Join(dir, "lora"), filepath.Join(dir, "merged")
	ran(t, small(text, origin)...)
	best, err := rundir.ModelPath(origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(best, "chat_template.jinja"), []byte("{{ messages[0].content }}"), 0o644); err != nil {
		t.Fatal(err)
	}
	ran(t, tuned(origin, text, lora, "-lora-rank", "3", "-lora-on", "*proj*")...)
	ran(t, "merge", lora, "-o", merged)
	args := []string{"-prompt", "the", "-max-tokens", "30", "-temperature", "0"}
	if a, b := ran(t, append([]string{"sample", lora}, args...)...), ran(t, append([]string{"sample", merged}, args...)...); a != b {
		t.Errorf("%q, merged %q", a, b)
	}
	if template, err := os.ReadFile(filepath.Join(merged, "chat_template.jinja")); err != nil || string(template) != "{{ messages[0].content }}" {
		t.Errorf("the chat template is %q, %v", template, err)
	}
	if _, err := os.Stat(filepath.Join(merged, "adapter.safetensors")); err == nil {
		t.Error("the merged model has adapters")
	}
	_, _, err = runHere(t.Context(), "merge", lora, "-o", merged)
	testutil.WantError(t, err, merged, "exists already")
	_, _, err = runHere(t.Context(), "merge", lora)
	testutil.WantError(t, err, "merge needs a folder to write")
	_, _, err = runHere(t.Context(), "quantize", lora, "-to", "int8", "-o", filepath.Join(dir, "packed"))
	testutil.WantError(t, err, "adapters")
}

// TestNewSpecialTokens are added to the vocabulary and the model, whose old rows
// stay.
func TestNewSpecialTokens(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	origin, out := filepath.Join(dir, "origin"), filepath.Join(dir, "tuned")
	ran(t, small(text, origin, "-tokens", "bpe", "-vocab", "270")...)
	ran(t, tuned(origin, text, out, "-special", "<|user|>", "-special", "<|bot|>", "-freeze", "*.blocks.*")...)
	lm, err := xlstm.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if n := lm.Model().Config().VocabSize; n != 272 || lm.Tokenizer().Size() != 272 || len(lm.Tokenizer().Encode("<|user|>the<|bot|>")) > 6 {
		t.Errorf("a vocabulary of %d and %d", n, lm.Tokenizer().Size())
	}
	ran(t, "resume", out, "-steps", "14")
	_, _, err = runHere(t.Context(), tuned(countdown, text, filepath.Join(dir, "x"), "-special", "<x>")...)
	testutil.WantError(t, err, "special tokens are for vocabularies of subwords")
}

// TestResumeWithChanges records what changed, and says what may not change.
func TestResumeWithChanges(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	ran(t, small(text, dir)...)
	ran(t, "resume", dir, "-steps", "30", "-lr", "1e-3", "-sample-tokens", "3")
	s, err := run.SettingsAt(dir)
	if err != nil || s.Steps != 30 || s.LR != 1e-3 || s.MinLR != 1e-4 || s.SampleChars != 3 || s.Batch != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	about, err := os.ReadFile(filepath.Join(dir, run.AboutFile))
	if err != nil || !strings.Contains(string(about), "steps from 24 to 30") || !strings.Contains(string(about), "lr from ") {
		t.Errorf("%s, %v", about, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, run.ReportFile))
	if err != nil || !strings.Contains(string(page), "steps from 24 to 30") {
		t.Errorf("the report does not tell of the changes: %v", err)
	}
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	if err != nil || len(records) != 30 {
		t.Errorf("%d records, %v", len(records), err)
	}
	for args, want := range map[string]string{
		"-batch 4": "-batch cannot change: a run keeps its model", "-dim 8": "-dim cannot change", "-data x": "-data cannot change", "-from x": "-from cannot change", "-seed 2": "-seed cannot change",
		"-steps 5": "-steps is 5, and the run has taken 30 steps", "-lr x": `-lr is "x"; it must be a number`, "-lr -1": "-lr is -1", "-step 9": "did you mean -steps",
	} {
		_, _, err := runHere(t.Context(), append([]string{"resume", dir}, strings.Fields(args)...)...)
		testutil.WantError(t, err, want)
	}
	if now, err := run.SettingsAt(dir); err != nil || now.Steps != 30 || now.LR != 1e-3 {
		t.Errorf("a refused change is recorded: %+v, %v", now, err)
	}
}

// TestTuningThatCannotBe says why in a sentence.
func TestTuningThatCannotBe(t *testing.T) {
	text := sampleText(t)
	for args, want := range map[string]string{
		"-from nowhere":                                     "reading -from",
		"-from " + countdown + " -dim 8":                    "-dim is that of the model that -from names",
		"-from " + countdown + " -tokens chars":             "-tokens is that of the model",
		"-from " + countdown + " -model x":                  "leave -model out",
		"-from " + countdown + " -freeze [":                 "is no pattern",
		"-from " + countdown + " -freeze nothing":           "which matches none of the",
		"-from " + countdown + " -freeze *":                 "all parameters are frozen",
		"-from " + countdown + " -lora-alpha 2":             "give -lora-rank too",
		"-from " + countdown + " -lora-rank -1":             "-lora-rank is -1",
		"-lora-rank 2":                                      "give -from too",
		"-special <x>":                                      "give -from too",
		"-from " + countdown + " -lora-rank 2 -freeze *":    "-freeze does not go with -lora-rank",
		"-from " + countdown + " -lora-rank 2 -lora-on x":   "none of the linear maps",
		"-from " + countdown + " -lora-rank 2 -special <x>": "-special does not go with -lora-rank",
	} {
		_, _, err := runHere(t.Context(), append([]string{"train", "-data", text, "-out", filepath.Join(t.TempDir(), "x")}, strings.Fields(args)...)...)
		testutil.WantError(t, err, want)
	}
}
