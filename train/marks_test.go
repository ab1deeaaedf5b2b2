package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// subwordsThatBegin saves a vocabulary of subwords that puts <s>, token 1, before
// a text, and returns it and its path.
func subwordsThatBegin(t *testing.T) (*bpe.Tokenizer, string) {
	t.Helper()
	tok, err := bpe.Train(t.Context(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 264, SpecialTokens: []string{bpe.EndOfText, "<s>"}})
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = tok.BeginWith(1); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := tok.Save(&file); err != nil {
		t.Fatal(err)
	}
	return tok, write(t, "tokenizer.json", file.String())
}

// TestTextsBeginTheSameEverywhere: what a vocabulary puts before a text is there
// once in training, evaluation, scores and samples, and not after a saved state.
func TestTextsBeginTheSameEverywhere(t *testing.T) {
	tok, path := subwordsThatBegin(t)
	dir, text := filepath.Join(t.TempDir(), "run"), sampleText(t)
	more := write(t, "more.txt", "the gate and the cell")
	mustRun(t, small(text, dir, "-data", more, "-tokens", path, "-steps", "4", "-reset-documents")...)

	s, err := run.SettingsAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	txt, err := run.LoadText(t.Context(), s, tok, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first := data.Head(txt.Train, 1); first[0] != 1 {
		t.Errorf("the text to train on begins with token %d", first[0])
	}
	held := data.Head(txt.HeldOut, txt.HeldOut.Len())
	if end := slices.Index(held, 0); end < 0 || held[end+1] != 1 || slices.Contains(held[end+2:], 1) {
		t.Errorf("the second document begins %v", held)
	}

	lm, err := openModel(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	model := lm.Model()
	g, err := model.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ids := tok.EncodeWithSpecial("the gate")
	var want []float64
	for _, part := range [][]int{ids[:1], ids[1:]} { // what begins a text is read by itself, and parts of other lengths are rounded differently
		want = append(want, testutil.Must(g.LogProbs(part...))...)
	}
	for _, given := range [][]string{{"-text", "the gate"}, {"-data", write(t, "t.txt", "\ufeffthe gate")}} {
		got := lines[scoredToken](t, mustRun(t, append([]string{"score", dir, "-json"}, given...)...))
		for i, id := range ids {
			if got[i].Token != id || (got[i].LogProb == nil) != (i == 0) || i > 0 && math.Abs(*got[i].LogProb-want[i]) > 1e-9 {
				t.Errorf("%q: token %d is %+v, want %d with %v", given, i, got[i], id, want[i])
			}
		}
	}

	state := filepath.Join(t.TempDir(), "book.state")
	mustRun(t, "sample", dir, "-read", more, "-save-state", state)
	g.Reset()
	if err := g.LoadState(state); err != nil {
		t.Fatal(err)
	}
	if n := len(tok.EncodeWithSpecial("the gate and the cell")); g.Tokens() != n {
		t.Errorf("%d tokens were read, want %d", g.Tokens(), n)
	}
	after := lines[scoredToken](t, mustRun(t, "score", dir, "-json", "-state", state, "-text", "the gate"))
	if after[0].Token != ids[1] || after[0].LogProb == nil {
		t.Errorf("after a state the text begins with %+v", after[0])
	}
	for name, args := range map[string][]string{"the start of a text": nil, "a state": {"-state", state}} {
		one := lines[written](t, mustRun(t, append([]string{"sample", dir, "-json", "-max-tokens", "5"}, args...)...))
		if one[0].Prompt != "" || one[0].Tokens == 0 {
			t.Errorf("without a prompt, from %s: %+v", name, one)
		}
	}
}

// TestForcedBeginningIsSavedWithARun: the configuration's is in the run's own
// vocabulary, where every program finds it.
func TestForcedBeginningIsSavedWithARun(t *testing.T) {
	tok, err := bpe.Train(t.Context(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 264, SpecialTokens: []string{bpe.EndOfText, "<s>"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := xlstm.DefaultLargeConfig()
	bos := 1
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = tok.Size(), 16, 1, 2
	cfg.Large.HuggingFace = &xlstm.HuggingFaceConfig{BOSTokenID: &bos, EOSTokenIDs: []int{2}, ForceBOSTokenInsert: true}
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := tok.Save(&file); err != nil {
		t.Fatal(err)
	}
	config, vocabulary := write(t, "config.json", "\ufeff"+string(raw)), write(t, "tokenizer.json", file.String())
	args := func(dir string, more ...string) []string {
		return append([]string{"train", "-data", sampleText(t), "-model", config, "-out", dir, "-batch", "2", "-length", "16", "-steps", "4", "-warmup", "1", "-sample-tokens", "6"}, more...)
	}
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, args(dir, "-tokens", vocabulary)...)
	saved, err := data.ReadTokenizer(best(t, dir))
	if err != nil || !slices.Equal(data.Beginning(saved), []int{1}) {
		t.Errorf("the run's vocabulary begins texts with %v, %v", data.Beginning(saved), err)
	}
	// With a vocabulary that is made of the text, ids of another mean nothing.
	own := filepath.Join(t.TempDir(), "own")
	mustRun(t, args(own, "-tokens", "bpe", "-vocab", "264")...)
	lm, err := openModel(own, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	model, ownTok := lm.Model(), lm.Tokenizer()
	if m := model.Marks(ownTok); len(m.Begin) != 0 || !slices.Equal(m.Ends, []int{0}) {
		t.Errorf("marks of a vocabulary of its own: %+v", m)
	}
}

// TestTextsEndBetweenCharacters: a text of so many tokens that the last is the
// beginning of a character.
func TestTextsEndBetweenCharacters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	text := write(t, "text.txt", strings.Repeat("世界は広い。", 300))
	mustRun(t, small(text, dir, "-tokens", "bytes", "-steps", "24", "-lr", "0.05")...)
	cut := false
	for n := range 12 {
		args := []string{"sample", dir, "-prompt", "世", "-temperature", "0", "-max-tokens", string(rune('0' + n%10)), "-stop-token", "0"}
		got := lines[written](t, mustRun(t, append(args, "-json")...))[0]
		if strings.Contains(got.Text, "\ufffd") {
			t.Errorf("%+v", got)
		}
		cut = cut || len(got.Text) < got.Tokens
		if plain := mustRun(t, args...); plain != "世"+got.Text+"\n" || !utf8.ValidString(plain) {
			t.Errorf("%q, as JSON %+v", plain, got)
		}
	}
	if !cut {
		t.Error("no text would have ended within a character")
	}
}

// TestPromptsWithoutByteOrderMark in files of prompts.
func TestPromptsWithoutByteOrderMark(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	prompts := write(t, "prompts.txt", "\ufeffgate\ncell\n")
	got := lines[written](t, mustRun(t, "sample", dir, "-prompts", prompts, "-json", "-max-tokens", "2"))
	if len(got) != 2 || got[0].Prompt != "gate" {
		t.Errorf("%+v", got)
	}
}

// TestWrongFlagsOfSamplesPrintNothing before the error.
func TestWrongFlagsOfSamplesPrintNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	for flag, value := range map[string]string{"-temperature": "-1", "-penalty": "1e-310", "-top-p": "-0.5", "-top-k": "-3"} {
		out, errs, err := runHere(t.Context(), "sample", dir, "-prompt", "gate", flag, value)
		if err == nil || !strings.HasPrefix(err.Error(), flag+":") || out+errs != "" {
			t.Errorf("%s %s: %q, %q, %v", flag, value, out, errs, err)
		}
	}
	for _, value := range []string{"0.001", "1000"} {
		mustRun(t, "sample", dir, "-prompt", "gate", "-max-tokens", "5", "-penalty", value)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
}
