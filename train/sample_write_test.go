package main

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// lines reads lines of JSON.
func lines[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

// TestSeveralPromptsAreAnsweredAsEachAlone, however many at once, in order.
func TestSeveralPromptsAreAnsweredAsEachAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	prompts := []string{"the gate", "cell\nkeeps", "w"}
	var want []written
	for _, p := range prompts {
		for _, seed := range []string{"7", "8"} {
			want = append(want, lines[written](t, mustRun(t, "sample", dir, "-json", "-prompt", p, "-seed", seed, "-max-tokens", "12", "-stop", "zz"))...)
		}
	}
	if want[3].Prompt != prompts[1] || want[3].Tokens != 12 || want[3].End != xlstm.EndLength || want[3].Seed != 8 || want[3].Text == want[2].Text {
		t.Errorf("%+v", want)
	}
	file := write(t, "prompts.txt", "cell\\nkeeps\n\nw\r\n")
	for _, batch := range []string{"1", "2", "8"} {
		args := []string{"sample", dir, "-prompt", prompts[0], "-prompts", file, "-n", "2", "-seed", "7", "-max-tokens", "12", "-batch", batch}
		got := lines[written](t, mustRun(t, append(args, "-json")...))
		if len(got) != len(want) {
			t.Fatalf("%d texts, want %d", len(got), len(want))
		}
		var plain string
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s at once: text %d is %+v, alone %+v", batch, i, got[i], want[i])
			}
			plain += "--- " + string(rune('1'+i)) + "\n" + want[i].Prompt + want[i].Text + "\n"
		}
		if out := mustRun(t, args...); out != plain {
			t.Errorf("%q, want %q", out, plain)
		}
	}
}

// TestStopsOnTheCommandLine: a string, and a token by its text and by its number.
func TestStopsOnTheCommandLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), dir, "-steps", "4")...)
	whole := mustRun(t, "sample", dir, "-prompt", "the", "-max-tokens", "40", "-temperature", "1")
	lm, err := openModel(dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	tok := lm.Tokenizer()
	text := strings.TrimPrefix(strings.TrimSuffix(whole, "\n"), "the")
	stop := text[20:21]
	want := "the" + text[:strings.Index(text, stop)] + "\n"
	number, _ := json.Marshal(tok.Encode(stop)[0])
	for _, flags := range [][]string{{"-stop", stop}, {"-stop-token", stop}, {"-stop-token", string(number)}} {
		args := append([]string{"sample", dir, "-prompt", "the", "-max-tokens", "40", "-temperature", "1"}, flags...)
		if got := mustRun(t, args...); got != want && !(flags[0] == "-stop-token" && strings.ContainsAny(stop, "0123456789")) {
			t.Errorf("%q gives %q, want %q of %q", flags, got, want, whole)
		}
	}
}

// TestEndOfTextEndsATextByDefault where the vocabulary has such a token.
func TestEndOfTextEndsATextByDefault(t *testing.T) {
	tok, err := bpe.Train(t.Context(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 300, SpecialTokens: []string{bpe.EndOfText}})
	if err != nil {
		t.Fatal(err)
	}
	end, _ := tok.ID(bpe.EndOfText)
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 300, 16, 1
	model, err := xlstm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tok   data.Tokenizer
		given []string
		want  []int
	}{{tok, nil, []int{end}}, {tok, []string{"t", "3"}, []int{tok.Encode("t")[0], 3}}, {data.Bytes{}, nil, []int{0x1e}}, {data.Bytes{}, []string{`\n`, "a"}, []int{10, 97}}} {
		got, err := stopTokens(model, c.tok, c.given)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%T %q: %v, %v, want %v", c.tok, c.given, got, err, c.want)
		}
	}
}

// TestTextReadOnceIsContinuedOften: from a saved state as from the text itself.
func TestTextReadOnceIsContinuedOften(t *testing.T) {
	dir, text := filepath.Join(t.TempDir(), "run"), sampleText(t)
	mustRun(t, small(text, dir, "-steps", "4")...)
	state := filepath.Join(t.TempDir(), "book.state")
	if out := mustRun(t, "sample", dir, "-read", text, "-save-state", state); out != "" {
		t.Errorf("it writes %q", out)
	}
	for _, more := range [][]string{{"-prompt", "the"}, {}, {"-prompt", "the", "-prompt", "cell", "-json"}} {
		args := append([]string{"sample", dir, "-max-tokens", "30"}, more...)
		whole, again := mustRun(t, append(args, "-read", text)...), mustRun(t, append(args, "-state", state)...)
		if whole != again || len(whole) < 30 {
			t.Errorf("%q: %q from the text, %q from its state", more, whole, again)
		}
		if fresh := mustRun(t, args...); fresh == whole {
			t.Errorf("%q: the text before makes no difference", more)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	mustRun(t, small(text, other, "-steps", "8")...)
	_, _, err := runHere(t.Context(), "sample", other, "-state", state)
	if err == nil || !strings.Contains(err.Error(), "other weights") {
		t.Errorf("the state of another model gives %v", err)
	}
}

// TestScoreAddsUp: tokens to the text's sum, with and without a text before.
func TestScoreAddsUp(t *testing.T) {
	dir, text := filepath.Join(t.TempDir(), "run"), sampleText(t)
	mustRun(t, small(text, dir, "-steps", "4")...)
	state := filepath.Join(t.TempDir(), "s")
	mustRun(t, "sample", dir, "-read", write(t, "begin.txt", "the c"), "-save-state", state)
	whole := lines[scoredToken](t, mustRun(t, "score", dir, "-json", "-data", write(t, "whole.txt", "the cell forgets")))
	rest := lines[scoredToken](t, mustRun(t, "score", dir, "-json", "-state", state, "-text", "ell forgets"))
	if len(whole) != 17 || len(rest) != 12 || whole[0].LogProb != nil || whole[4].Text != "c" {
		t.Fatalf("%v\n%v", whole, rest)
	}
	for i, r := range rest[:11] {
		if w := whole[5+i]; w.Text != r.Text || math.Abs(*w.LogProb-*r.LogProb) > 1e-5 {
			t.Errorf("%q has %v, in the whole %q has %v", r.Text, *r.LogProb, w.Text, *w.LogProb)
		}
	}
	out := mustRun(t, "score", dir, "-json", "-text", "the cell forgets")
	total := lines[scoredText](t, out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])[0]
	var sum float64
	for _, w := range whole[1:16] {
		sum += *w.LogProb
	}
	if total.Tokens != 15 || math.Abs(total.LogProb-sum) > 1e-9 || math.Abs(total.BitsPerByte+sum/15/math.Ln2) > 1e-9 || math.Abs(total.Nats+sum/15) > 1e-9 {
		t.Errorf("%+v, want the sum %v", total, sum)
	}
	table := mustRun(t, "score", dir, "-text", "the cell")
	if strings.Count(table, "\n") != 10 || !strings.Contains(table, `–  "t"`) || !strings.Contains(table, "7 tokens: -") {
		t.Error(table)
	}
}

// TestScoreOfAModelThatDivergesIsNoNumber: finite weights whose results are not,
// from one character on.
func TestScoreOfAModelThatDivergesIsNoNumber(t *testing.T) {
	dir := t.TempDir()
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim = 256, 16
	model, err := xlstm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	embedding, _ := model.Param("token_embedding.weight")
	row := embedding.Float32s()['x'*16:][:16]
	for i := range row {
		row[i] = 3e38 * float32(1-2*(i%2))
	}
	if err := model.Save(dir, xlstm.SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := data.WriteTokenizer(dir, data.Bytes{}); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "score", dir, "-text", "the gate")
	for _, format := range [][]string{nil, {"-json"}} {
		out, _, err := runHere(t.Context(), append([]string{"score", dir, "-text", "the fox ends"}, format...)...)
		if err == nil || !strings.Contains(err.Error(), `at " "`) || !strings.Contains(err.Error(), "number 7 of the text") {
			t.Errorf("%q: the error is %v", format, err)
		}
		if strings.Contains(out, "bits per byte") || strings.Contains(out, "bits_per_byte") || !strings.Contains(out, `"x"`) || strings.Contains(out, `"d"`) {
			t.Errorf("%q: what is printed is\n%s", format, out)
		}
	}
}

// TestFolderWithSubwords: a model as others give it away, with a tokenizer.json of
// subwords and a vocabulary that is rounded up.
func TestFolderWithSubwords(t *testing.T) {
	tok, err := bpe.Train(t.Context(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 262, SpecialTokens: []string{bpe.EndOfText}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 272, 16, 1
	model, err := xlstm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := model.Save(dir, xlstm.SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := data.WriteTokenizer(dir, tok); err != nil {
		t.Fatal(err)
	}
	got := lines[written](t, mustRun(t, "sample", dir, "-prompt", "the gate", "-prompt", "é", "-max-tokens", "9", "-json"))
	if len(got) != 2 || got[1].Prompt != "é" || got[0].Tokens == 0 {
		t.Errorf("%+v", got)
	}
	out := mustRun(t, "score", dir, "-text", "the gate and")
	if !strings.Contains(out, "bits per byte") || !strings.Contains(out, `"the"`) && !strings.Contains(out, `"th"`) {
		t.Error(out)
	}
	cfg.VocabSize = 200
	if model, err = xlstm.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := model.Save(dir, xlstm.SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := runHere(t.Context(), "sample", dir); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("a vocabulary that is too large for the model: %v", err)
	}
}

// TestTerminalIsShownNoControls: what a model writes cannot move the cursor, and an
// error that quotes a file neither.
func TestTerminalIsShownNoControls(t *testing.T) {
	var shown strings.Builder
	const text = "é\x1b]0;title\a\n"
	if n, err := (visible{&shown}).Write([]byte(text)); n != len(text) || err != nil || shown.String() != "é␛]0;title␇\n" {
		t.Errorf("%q, %d, %v", shown.String(), n, err)
	}
	if line := complaint(errors.New("the field \x1b[2J is unknown")); strings.ContainsRune(line, '\x1b') {
		t.Errorf("%q", line)
	}
	shown.Reset()
	if err := printJSON(&shown, "\u009b2J"); err != nil || shown.String() != `"\u009b2J"`+"\n" {
		t.Errorf("%q, %v", shown.String(), err)
	}
}
