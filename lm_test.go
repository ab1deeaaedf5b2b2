package xlstm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

func openCountdown(t *testing.T) *LM {
	t.Helper()
	lm, err := Open("testdata/countdown")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lm.Close(); err != nil {
			t.Error(err)
		}
	})
	return lm
}

// TestOpen: a model's folder, a file in it, and a run, of which the best model
// comes before the last checkpoint.
func TestOpen(t *testing.T) {
	lm := openCountdown(t)
	run := t.TempDir()
	put := func(name string, tok data.Tokenizer) {
		t.Helper()
		dir := filepath.Join(run, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := lm.Model().Save(dir, SaveConfig{}); err != nil {
			t.Fatal(err)
		}
		if err := data.WriteTokenizer(dir, tok); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(run, rundir.SettingsFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(run)
	testutil.WantError(t, err, "no checkpoint yet")
	for _, step := range []int{3, 12} {
		put(rundir.CheckpointName(rundir.LastKind, step), lm.Tokenizer())
	}
	for path, dir := range map[string]string{
		"testdata/countdown":                   "testdata/countdown",
		"testdata/countdown/model.safetensors": "testdata/countdown",
		run:                                    filepath.Join(run, rundir.CheckpointName(rundir.LastKind, 12)),
	} {
		opened, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if opened.Dir() != dir {
			t.Errorf("%s is read from %s, want %s", path, opened.Dir(), dir)
		}
	}
	put(rundir.CheckpointName(rundir.BestKind, 7), lm.Tokenizer())
	opened, err := Open(run)
	if err != nil || filepath.Base(opened.Dir()) != rundir.CheckpointName(rundir.BestKind, 7) {
		t.Errorf("the run is read from %v, %v; want its best model", opened, err)
	}
	put(rundir.CheckpointName(rundir.BestKind, 8), data.Bytes{})
	_, err = Open(run)
	testutil.WantError(t, err, "the vocabulary has 256 tokens", "do not belong together")
	_, err = Open(filepath.Join(run, "nothing"))
	testutil.WantError(t, err, "nothing")
}

// TestGenerateAndStreamAgree, also from many goroutines, and with a Generator.
func TestGenerateAndStreamAgree(t *testing.T) {
	lm := openCountdown(t)
	opts := []RequestOption{MaxTokens(15), Temperature(1.5), TopP(1), TopK(5), RepetitionPenalty(1.1), Seed(7)}
	g, err := lm.Model().NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	want, err := g.Complete(t.Context(), lm.Tokenizer(), lm.Request("9 8", opts...), nil)
	if err != nil || len(want.Tokens) == 0 {
		t.Fatal(want, err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			text, err := lm.Generate(t.Context(), "9 8", opts...)
			if err != nil || text != want.Text {
				t.Errorf("generated %q, %v; want %q", text, err, want.Text)
			}
			var streamed strings.Builder
			for piece, err := range lm.Stream(t.Context(), "9 8", opts...) {
				if err != nil {
					t.Error(err)
				}
				streamed.WriteString(piece)
			}
			if streamed.String() != want.Text {
				t.Errorf("streamed %q, want %q", streamed.String(), want.Text)
			}
		})
	}
	wg.Wait()
}

// TestGenerateEnds with its context, its loop, and its language model.
func TestGenerateEnds(t *testing.T) {
	lm := openCountdown(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got string
	var failed error
	for piece, err := range lm.Stream(ctx, "9 8 7 ", Temperature(0), MaxTokens(1e6)) {
		if got += piece; len(got) == 3 {
			cancel()
		}
		failed = err
	}
	if len(got) < 3 || failed != context.Canceled {
		t.Errorf("%q, %v", got, failed)
	}
	if text, err := lm.Generate(ctx, "9"); text != "" || err != context.Canceled {
		t.Errorf("%q, %v", text, err)
	}
	for range lm.Stream(t.Context(), "9 8 7 ", MaxTokens(1e6)) {
		break
	}
	_, err := lm.Generate(t.Context(), "9", TopP(2))
	testutil.WantError(t, err, "probability of 2")
	if err := lm.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = lm.Generate(t.Context(), "9")
	testutil.WantError(t, err, "closed")
}

// TestPositionsContinue: a generator, and a text among others, continue from a
// position as the one that it is of, to the bit, and do not change it.
func TestPositionsContinue(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	b, err := m.NewBatchGenerator(3)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := g.Read(1, 2, 3, 4, 5, 6, 7, 8, 9); err != nil {
		t.Fatal(err)
	}
	at := g.Position()
	if at.Tokens() != 9 || at.Bytes() < 8*int64(m.Config().VocabSize) {
		t.Errorf("%d tokens, %d bytes", at.Tokens(), at.Bytes())
	}
	read := func(tokens ...int) []float64 {
		t.Helper()
		if err := g.Read(tokens...); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(g.logits)
	}
	want := read(4, 4, 4)
	read(1)
	for range 2 {
		if err := g.Resume(at); err != nil {
			t.Fatal(err)
		}
		if got := read(4, 4, 4); !slices.Equal(got, want) || g.Tokens() != 12 {
			t.Errorf("the generator continues otherwise, at %d", g.Tokens())
		}
	}
	for i := range 3 {
		if err := b.Resume(i, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Read(1, 4, 4, 4); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Logits(1); err != nil || !slices.Equal(got, want) || b.Tokens(1) != 12 {
		t.Errorf("the text continues otherwise, at %d: %v", b.Tokens(1), err)
	}
	if err := b.Step([]int{5, 6, -1}); err != nil {
		t.Fatal(err)
	}
	seated, err := b.Position(1) // in a row of the program
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(2, seated); err != nil {
		t.Fatal(err)
	}
	if err := b.Step([]int{-1, 7, 7}); err != nil {
		t.Fatal(err)
	}
	one, _ := b.Logits(1)
	two, _ := b.Logits(2)
	if !slices.Equal(one, two) {
		t.Error("a text continues otherwise than the one whose position it got")
	}
	if err := b.Resume(0, &Position{state: at.state, logits: []float64{1}}); err == nil {
		t.Error("a position of another vocabulary is accepted")
	}
	if err := b.Resume(3, at); err == nil {
		t.Error("a text that there is not is resumed")
	}
}

// TestModelWithoutHead: its hidden states times the head are the logits, and it
// has no loss.
func TestModelWithoutHead(t *testing.T) {
	for _, tie := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt, cfg.TieWeights = 11, 16, 2, Blocks(1), tie
		m, err := New(cfg, WithDtype(tensor.Float64))
		if err != nil {
			t.Fatal(err)
		}
		run := func(pc ProgramConfig) *Program {
			t.Helper()
			p, err := m.Compile(pc)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			if err := p.Run(Input{Tokens: []int{1, 2, 3, 4, 5, 6}}); err != nil {
				t.Fatal(err)
			}
			return p
		}
		whole, body := run(ProgramConfig{Batch: 2, Steps: 3}), run(ProgramConfig{Batch: 2, Steps: 3, FwdConfig: FwdConfig{WithoutHead: true}})
		hidden, err := body.Hidden()
		if err != nil {
			t.Fatal(err)
		}
		logits, err := whole.Logits()
		if err != nil {
			t.Fatal(err)
		}
		name := headName
		if tie {
			name = cfg.blueprint().embeddingName()
		}
		head, _ := m.Param(name)
		h, w, l := hidden.Float64s(), head.Float64s(), logits.Float64s()
		for i := range 6 {
			for v := range 11 {
				sum := 0.0
				for k := range 16 {
					sum += h[i*16+k] * w[v*16+k]
				}
				if d := sum - l[i*11+v]; d > 1e-12 || d < -1e-12 {
					t.Fatalf("tied %v: logit %d of token %d is %v, and %v of the hidden state", tie, v, i, l[i*11+v], sum)
				}
			}
		}
		_, err = body.Logits()
		testutil.WantError(t, err, "without the head")
		_, err = whole.Hidden()
		testutil.WantError(t, err, "WithoutHead")
		_, err = m.Compile(ProgramConfig{Batch: 1, Steps: 1, Loss: true, FwdConfig: FwdConfig{WithoutHead: true}})
		testutil.WantError(t, err, "a loss needs the head")
	}
}
