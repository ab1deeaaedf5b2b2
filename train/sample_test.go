package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
)

// chunks remembers what was written piece by piece.
type chunks []string

func (c *chunks) Write(p []byte) (int, error) {
	*c = append(*c, string(p))
	return len(p), nil
}

// TestCompletionStreamsExactlyWhatItReturns for every place where a stop string
// can be.
func TestCompletionStreamsExactlyWhatItReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	lm, err := openModel(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	model, tok := lm.Model(), lm.Tokenizer()
	g, err := model.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	write := func(stops []string) (string, chunks) {
		g.Reset()
		var streamed chunks
		text, err := run.Complete(context.Background(), g, tok, xlstm.Request{Prompt: "the", MaxTokens: 40, Stop: stops, Sampler: xlstm.SamplerConfig{Temperature: 1, Seed: 3}}, &streamed)
		if err != nil {
			t.Fatal(err)
		}
		return text, streamed
	}
	whole, streamed := write(nil)
	if len([]rune(whole)) != 40 || strings.Join(streamed, "") != whole || len(streamed) < 30 {
		t.Fatalf("%q was streamed as %q", whole, streamed)
	}
	for at := range len(whole) - 3 {
		stop := whole[at : at+3]
		text, streamed := write([]string{stop, "never this"})
		if want := whole[:strings.Index(whole, stop)]; text != want || strings.Join(streamed, "") != want {
			t.Errorf("stopping at %q gives %q, streamed %q, want %q", stop, text, streamed, want)
		}
	}
}

func TestSampleCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	one := mustRun(t, "sample", dir, "-prompt", "gate", "-max-tokens", "20", "-seed", "5")
	if !strings.HasPrefix(one, "gate") || len([]rune(strings.TrimSuffix(one, "\n"))) != 24 {
		t.Errorf("%q", one)
	}
	if again := mustRun(t, "sample", "-prompt", "gate", "-max-tokens", "20", "-seed", "5", dir); again != one {
		t.Errorf("the same seed gives %q, then %q", one, again)
	}
	three := mustRun(t, "sample", dir, "-n", "3", "-prompt", "gate", "-max-tokens", "20", "-seed", "5")
	if !strings.HasPrefix(three, "--- 1\n"+one) || strings.Count(three, "gate") < 3 {
		t.Errorf("%q", three)
	}
	var out, errs bytes.Buffer
	err := dispatch(context.Background(), []string{"sample", dir, "-prompt", "-", "-max-tokens", "2"}, console{in: strings.NewReader("from a pipe"), out: &out, err: &errs})
	if err != nil || !strings.HasPrefix(out.String(), "from a pipe") || !strings.Contains(errs.String(), "unknown to the model") {
		t.Errorf("%q, %q, %v", &out, &errs, err)
	}
}

// TestEvaluateCommandAgreesWithTheRun: the same model on the same held-out part.
func TestEvaluateCommandAgreesWithTheRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	trained := mustRun(t, small(sampleText(t), dir)...)
	evaluated := mustRun(t, "evaluate", dir, "-batch", "2", "-length", "16")
	_, quality, _ := strings.Cut(evaluated, ": ")
	if quality == "" || !strings.Contains(trained, strings.TrimSpace(quality)) {
		t.Errorf("the run says\n%s\nevaluate says\n%s", trained, evaluated)
	}
}

// TestSettingsComeFromPresetFileAndFlagsInThisOrder, and what is in force is
// what is saved.
func TestSettingsComeFromPresetFileAndFlagsInThisOrder(t *testing.T) {
	file := write(t, "s.json", `{"batch": 5, "lr": 0.5, "min_lr": 0.1, "model": {"vocab_size": 1, "embedding_dim": 48, "mlstm_block": {"mlstm": {"num_heads": 2}}, "slstm_block": {"slstm": {"num_heads": 2}}}}`)
	s, dir, err := parseTrain([]string{"-preset", "tiny", "-config", file, "-lr", "0.25", "-blocks", "3", "-slstm-at", "0,2", "-out", "x"}, console{})
	if err != nil {
		t.Fatal(err)
	}
	tiny, _ := run.PresetNamed("tiny")
	if s.Batch != 5 || s.LR != 0.25 || s.Length != tiny.Length || s.Model.EmbeddingDim != 48 || s.Model.NumBlocks != 3 || blockNames(s.Model.SLSTMAt) != "0,2" || dir != "x" {
		t.Errorf("%+v", s)
	}
	folder := filepath.Join(t.TempDir(), "run")
	s.Model.VocabSize = 7
	unlock, err := run.Begin(folder, s.Settings)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	again, err := run.SettingsAt(folder)
	if err != nil || blockNames(again.Model.SLSTMAt) != "0,2" || again.LR != 0.25 || again.Model.VocabSize != 7 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestEarlyStopAndBestModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	// A learning rate that wrecks the model: held-out loss rises at once.
	out := mustRun(t, small(sampleText(t), dir, "-lr", "3", "-min-lr", "3", "-warmup", "0", "-steps", "200", "-eval-every", "2", "-patience", "3", "-non-finite", "skip")...)
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) >= 200 || !strings.Contains(out, "no better held-out loss in 3 evaluations") {
		t.Errorf("%d steps:\n%s", len(records), out)
	}
	lowest, at := 1e9, 0
	for _, r := range records {
		if r.Val != nil && *r.Val < lowest {
			lowest, at = *r.Val, r.Step
		}
	}
	found, err := rundir.Checkpoints(dir, rundir.BestKind)
	if err != nil || len(found) != 1 || found[0].Step != at {
		t.Errorf("the best model is of %v, the lowest held-out loss of step %d (%v)", found, at, err)
	}
}
