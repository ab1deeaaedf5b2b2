package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// TestHeldOutLossIsOfTheWholeText: the text's end is harder than the rest, which an
// evaluation of a few batches must see, and the bigram model beside it too.
func TestHeldOutLossIsOfTheWholeText(t *testing.T) {
	text, err := os.ReadFile(sampleText(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "text.txt")
	hard := strings.ToUpper(string(text[:400])) // what the model never saw
	if err := os.WriteFile(path, append(text, hard...), 0o644); err != nil {
		t.Fatal(err)
	}
	trained := func(batches string) (v run.View, dir, out string) {
		dir = filepath.Join(t.TempDir(), "run")
		out = mustRun(t, small(path, dir, "-val", "0.125", "-steps", "5", "-eval-batches", batches, "-sample-tokens", "0", "-dropout", "0")...)
		if v, err = run.Read(dir); err != nil {
			t.Fatal(err)
		}
		return v, dir, out
	}
	all, _, out := trained("0")
	some, dir, sampled := trained("6")
	if want := (run.Share{Batches: 25, Of: 25}); all.About.HeldOut != want || !strings.Contains(out, "judge   on all of 25 batches, held out, every 5 steps") {
		t.Errorf("measured on %+v:\n%s", all.About.HeldOut, out)
	}
	if want := (run.Share{Batches: 6, Of: 25}); some.About.HeldOut != want || !strings.Contains(sampled, "judge   on 6 of 25 batches, evenly spread, held out, every 5 steps") {
		t.Errorf("measured on %+v:\n%s", some.About.HeldOut, sampled)
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 0.15*want {
			t.Errorf("%s is %.3f on a sample and %.3f on the whole", what, got, want)
		}
	}
	near("the loss", *some.Best().Val, *all.Best().Val)
	near("the bigram model's loss", float64(some.About.Bigram), float64(all.About.Bigram))
	if d := *all.Best().Val - float64(all.About.Judged.Loss); math.Abs(d) > 1e-9 {
		t.Errorf("the loss on all batches is %v away from the final one", d)
	}
	for _, file := range []string{"loss.svg", run.ReportFile} {
		if text := read(t, dir, file); !strings.Contains(text, "held out (6 of 25 batches)") {
			t.Errorf("%s does not say what the loss was measured on", file)
		}
	}
}

// TestFailedSessionClosesWhatItOpened: at every point at which building one can
// fail, close finds what there is.
func TestFailedSessionClosesWhatItOpened(t *testing.T) {
	text := sampleText(t)
	p, _, err := parseTrain(small(text, "")[1:], console{})
	if err != nil {
		t.Fatal(err)
	}
	txt, err := run.LoadText(context.Background(), p.Settings, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Model.VocabSize = txt.Tokenizer.Size()
	for name, spoil := range map[string]func(s *run.Settings){
		"the streams are too short": func(s *run.Settings) { s.Carry, s.Batch = true, 5000 },
		"the solver refuses":        func(s *run.Settings) { s.Beta2 = 2 },
		"the model is none":         func(s *run.Settings) { s.Model.NumBlocks = -1 },
		"accumulates nothing":       func(s *run.Settings) { s.Accumulate = -1 },
	} {
		s := p.Settings
		spoil(&s)
		if r, err := run.New(s, txt, run.Where{}, nil); err == nil || r != nil {
			t.Errorf("%s: session %v, error %v", name, r != nil, err)
		}
	}
}

// TestEvaluateByPosition prints a table or JSON whose ranges cover a sequence, and
// the run's report shows what was measured.
func TestEvaluateByPosition(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "5", "-val", "0.5", "-sample-tokens", "0")...)
	out := mustRun(t, "evaluate", "-by-position", "-length", "40", "-json", dir)
	var from, tokens int
	for line := range strings.Lines(out) {
		var p xlstm.PositionLoss
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if p.From != from || p.To <= p.From || !(p.Nats > 0) {
			t.Errorf("after %d follows %+v", from, p)
		}
		from, tokens = p.To, tokens+p.Targets
	}
	if from != 40 || tokens == 0 || tokens%40 != 0 {
		t.Errorf("the ranges end at %d, with %d tokens:\n%s", from, tokens, out)
	}
	if table := mustRun(t, "evaluate", "-by-position", "-length", "40", dir); !strings.Contains(table, "positions") || !strings.Contains(table, "32–39") {
		t.Errorf("the table is\n%s", table)
	}
	mustRun(t, "report", dir)
	if page := read(t, dir, run.ReportFile); !strings.Contains(page, "Loss by position in a sequence") {
		t.Error("the report does not show the loss by position")
	}
	for _, args := range [][]string{{"evaluate", "-json", dir}, {"evaluate", "-by-position", "-length", "100000", dir}} {
		if _, _, err := runHere(context.Background(), args...); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
