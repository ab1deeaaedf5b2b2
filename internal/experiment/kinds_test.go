package experiment

import (
	"context"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
)

// shortText is a text of a few thousand bytes.
func shortText(t *testing.T) *Corpus {
	t.Helper()
	text, err := corpusOf(strings.Repeat("the quick brown fox jumps over the lazy dog. ", 400), "a test")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEveryKindOfWork gives the curves and figures that charts and claims are made
// of, and the same ones again; what is measured of the machine is apart.
func TestEveryKindOfWork(t *testing.T) {
	text := shortText(t)
	cell, err := cellNamed(Mixed)
	if err != nil {
		t.Fatal(err)
	}
	p := plan{setting: Minutes, cell: cell, seed: 1, text: text}
	m := cell.model(size{vocab: textVocab, dim: 16, blocks: 2, heads: 2, conv: true})
	onText := Training{Model: m, Batch: 2, LR: 1e-3, Every: 2}.onText(16, 4, p)
	needle := cell.model(size{vocab: data.Needle{}.Vocab(), dim: 16, blocks: 2, heads: 2, conv: true})
	onNeedle := Training{Batch: 2, LR: 1e-3, Every: 2}.onNeedle(needle, 2, 1)
	onNeedle.Lessons[0].Needle.Length, onNeedle.Exams[0].Needle.Length = 128, 128
	onNeedle.Exams[1].Needle = &data.Needle{Length: 130, At: []int{64, 128}}
	for name, test := range map[string]struct {
		w       work
		curves  []string
		figures int
		machine bool
	}{
		"text":     {onText, []string{"training loss", heldLoss}, 1, false},
		"reading":  {reading{Training: onText, Sequences: 2, Length: 64, held: text.held}, []string{heldLoss, lossByPosition}, 1, false},
		"flow":     {flow{Training: onText, Sequences: 2, Length: 20, held: text.held}, []string{gradientAtFirst, gradientTrained, "forget gate of block 0", "forget gate of block 1"}, 1, false},
		"needle":   {onNeedle, []string{"recall, by distance"}, 2, false},
		"costs":    {costs{Model: m, Lengths: []int{512, 1024}, Training: []int{32, 64}}, []string{trainingMemory}, 1, true},
		"forecast": {forecast{Cell: Mixed, Seed: 1, Width: 8, Layers: 2, Batch: 2, Length: 8, Steps: 10, LR: 1e-3, Ahead: 4, Values: 400}, []string{forecastError}, 2, false},
	} {
		var texts [2]string
		for i := range texts {
			out, err := test.w.do(context.Background(), site{checkpoint: filepath.Join(t.TempDir(), "checkpoint")})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, c := range test.curves {
				if len(out.curve(c).X) == 0 {
					t.Errorf("%s: no curve %q", name, c)
				}
			}
			if len(out.Figures) != test.figures || out.Params == 0 || (len(out.Measured) > 0) != test.machine {
				t.Errorf("%s: %+v", name, out)
			}
			text, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(text)
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: two results of the same settings:\n%s\n%s", name, texts[0], texts[1])
		}
	}
}

// TestGradientNormsAreThoseOfTheEmbedding, whose rows have a gradient each if
// every token occurs once.
func TestGradientNormsAreThoseOfTheEmbedding(t *testing.T) {
	for _, name := range CellNames() {
		cell, err := cellNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := xlstm.New(cell.model(size{vocab: 20, dim: 16, blocks: 2, heads: 2}))
		if err != nil {
			t.Fatal(err)
		}
		tokens, targets := []int{3, 1, 4, 15, 9, 2, 6, 5}, []int{-1, -1, -1, -1, -1, -1, -1, 7}
		got, err := gradientNorms(m, 1, tokens, targets)
		if err != nil {
			t.Fatal(err)
		}
		// More tokens than the vocabulary are computed by other kernels.
		many, err := gradientNorms(m, 8, slices.Repeat(tokens, 8), slices.Repeat(targets, 8))
		if err != nil {
			t.Fatal(err)
		}
		for d, norm := range got {
			if math.Abs(8*many[d]-norm) > 1e-5*norm {
				t.Errorf("%s: the norm at a distance of %d is %g eight times, each %g, want %g", name, d, norm, many[d], norm/8)
			}
		}
		p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: len(tokens), Grad: true})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Run(xlstm.Input{Tokens: tokens, Targets: targets}); err != nil {
			t.Fatal(err)
		}
		grad, err := p.Model()[0].Grad()
		if err != nil {
			t.Fatal(err)
		}
		rows := grad.Data().([]float32)
		for i, id := range tokens {
			want := 0.0
			for _, x := range rows[id*16:][:16] {
				want += float64(x) * float64(x)
			}
			want = math.Sqrt(want)
			if d := len(tokens) - 1 - i; math.Abs(got[d]-want) > 1e-6*want || (want == 0) != (name == Simplified && d > 0) {
				t.Errorf("%s: the norm at a distance of %d is %g, want %g", name, d, got[d], want)
			}
		}
	}
}

// TestExamsScaleAccuracy between guessing and all right, and say it of every
// distance.
func TestExamsScaleAccuracy(t *testing.T) {
	e := &examination{Exam: Exam{Source: Source{Language: &data.Language{Name: data.CycleNavigation, Min: 3, Max: 9}}}}
	if e.scaled(0.2) != 0 || e.scaled(1) != 1 || math.Abs(e.scaled(0.6)-0.5) > 1e-12 {
		t.Errorf("%g, %g, %g", e.scaled(0.2), e.scaled(1), e.scaled(0.6))
	}
	var m marks
	m.right, m.asked = make([]int, 2), make([]int, 2)
	b := data.Batch{B: 2, T: 2, Inputs: make([]int, 4), Targets: []int{1, data.Ignore, 0, 2}}
	m.add(b, []float32{0, 5, 1, 9, 9, 9, 1, 0, 0, 0, 3, 2}, 3)
	if m.accuracy(0, 1) != 1 || m.accuracy(1, 2) != 0 || m.answers(0, 2) != 3 {
		t.Errorf("%+v", m)
	}
}
