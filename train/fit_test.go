package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// shortText writes a text of so many characters.
func shortText(t *testing.T, from string, chars int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text.txt")
	text := []rune(strings.Repeat(from, chars/len([]rune(from))+1))[:chars]
	if err := os.WriteFile(path, []byte(string(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	english = "What the gate lets go, the cell forgets; the rest it keeps.\n"
	chinese = "道可道非常道名可名非常名無名天地之始有名萬物之母故常無欲以觀其妙常有欲以觀其徼此兩者同出而異名同謂之玄玄之又玄眾妙之門\n"
)

// TestShortTextsTrain: with the defaults, in one line that says what was
// changed, and a run that continues with it.
func TestShortTextsTrain(t *testing.T) {
	for _, test := range []struct {
		name, text string
		args       []string
		want       string
	}{
		{"300 bytes", shortText(t, english, 300), nil,
			"fitted  -warmup 0, a tenth of -steps 2, instead of 40; -rare 1, instead of 10, to a text of 300 characters; -val 0.2, instead of 0.05, to a text of 300 characters; -length 56, instead of 128, to a text of 300 tokens\n"},
		{"1500 Chinese characters", shortText(t, chinese, 1500), []string{"-warmup", "1"},
			"fitted  -rare 1, instead of 10, to a text of 1,500 characters; -val 0.1, instead of 0.05, to a text of 1,500 characters\n"},
		{"subwords", shortText(t, english, 600), []string{"-tokens", "bpe", "-warmup", "1"}, "-length"},
		{"streams", shortText(t, english, 1500), []string{"-carry", "-warmup", "1", "-rare", "1"}, "-val 0.1, instead of 0.05, to a text of 1,500 characters\n"},
		{"few", shortText(t, english, 10), []string{"-warmup", "1"}, "-length 1, instead of 128"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			out := mustRun(t, append([]string{"train", "-preset", "tiny", "-data", test.text, "-out", dir, "-steps", "2", "-dim", "16", "-heads", "2", "-sample-tokens", "0"}, test.args...)...)
			if !strings.Contains(out, test.want) {
				t.Errorf("no %q in\n%s", test.want, out)
			}
			again := mustRun(t, "resume", dir)
			if strings.Contains(again, "fitted") || !strings.Contains(again, "All 2 steps are done") {
				t.Errorf("resumed:\n%s", again)
			}
		})
	}
}

// TestTextsTooShortForWhatWasGiven: the error names flags that would do, and they
// do.
func TestTextsTooShortForWhatWasGiven(t *testing.T) {
	text := shortText(t, english, 300)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-data", text, "-length", "200"},
			"the text has 300 tokens, of which -val 0.2 holds out 60; sequences of -length 200 need 201 in each part: use more text, or -length 56"},
		{[]string{"-data", text, "-length", "50", "-val", "0.05"},
			"the text has 300 tokens, of which -val 0.05 holds out 15; sequences of -length 50 need 51 in each part: use more text, or -length 14, or -val 0.2 with -length 50"},
		{[]string{"-data", text, "-carry", "-batch", "8"},
			"the text has 240 tokens to train on, too few for -carry with 8 streams of -length 56: -batch 4 would do"},
		{[]string{"-data", shortText(t, english, 3)}, "the text has 3 tokens; it takes at least 4"},
		{[]string{"-data", shortText(t, english, 6)}, "use more text, or -val 0.34 with -length 1"},
	} {
		p, _, err := parseTrain(test.args, console{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = run.LoadFitting(context.Background(), p.fit, nil, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.args[2:], err, test.want)
		}
	}
	for _, args := range [][]string{{"-length", "14", "-val", "0.05"}, {"-val", "0.2", "-length", "50"}, {"-carry", "-batch", "4"}} {
		p, _, err := parseTrain(append(args, "-data", text), console{})
		if err != nil {
			t.Fatal(err)
		}
		txt, err := run.LoadFitting(context.Background(), p.fit, nil, nil)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		p.Model.EmbeddingDim = 16
		txt.FitModel(&p.Settings)
		r, err := run.New(p.Settings, txt, run.Where{}, nil)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		r.Close()
	}
}

// TestSettingsOfAFileStay, whatever text they are for.
func TestSettingsOfAFileStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(file, []byte(`{"steps": 100, "warmup": 60}`), 0o644); err != nil {
		t.Fatal(err)
	}
	p, _, err := parseTrain([]string{"-config", file, "-data", shortText(t, english, 300)}, console{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = run.LoadFitting(context.Background(), p.fit, nil, nil); err == nil || p.Warmup != 60 || len(p.fit.Changes()) != 0 {
		t.Errorf("warm-up %d, fitted %q, error %v", p.Warmup, p.fit.Changes(), err)
	}
}
