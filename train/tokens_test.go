package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// interrupter cancels a context when the table of a run appears.
type interrupter struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (w *interrupter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("grad norm")) {
		w.cancel()
	}
	return w.Buffer.Write(p)
}

// TestSubwordRunResumedEqualsUnbrokenOne with tokens in memory and on disk, where
// a new run makes its own cache, and a resumed one finds it or must make it again.
func TestSubwordRunResumedEqualsUnbrokenOne(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	subwords := []string{"-tokens", "bpe", "-vocab", "280"}
	for name, more := range map[string][]string{
		"memory": nil, "disk": {"-cache", filepath.Join(dir, "cache")}, "disk, streams": {"-cache", filepath.Join(dir, "cache"), "-carry"},
	} {
		t.Run(name, func(t *testing.T) {
			unbroken, broken := filepath.Join(dir, name, "unbroken"), filepath.Join(dir, name, "broken")
			mustRun(t, small(text, unbroken, append(subwords, more...)...)...)
			ctx, cancel := context.WithCancel(context.Background())
			out := &interrupter{cancel: cancel}
			if err := dispatch(ctx, small(text, broken, append(subwords, more...)...), console{in: strings.NewReader(""), out: out, err: out}); err != nil {
				t.Fatal(err)
			}
			if n := len(losses(t, broken)); n == 24 {
				t.Fatal("the run was not stopped")
			}
			if err := os.RemoveAll(filepath.Join(dir, "cache")); err != nil {
				t.Fatal(err)
			}
			mustRun(t, "resume", broken)
			sameRun(t, name, broken, unbroken)
		})
	}
	// Where tokens are kept changes nothing but the checksum that a position has.
	a, b := losses(t, filepath.Join(dir, "memory", "unbroken")), losses(t, filepath.Join(dir, "disk", "unbroken"))
	if !slices.Equal(a, b) {
		t.Errorf("tokens on disk give\n%s\nthose in memory\n%s", b[0], a[0])
	}
}

// TestVocabularyOfAFile: that of one run trains another.
func TestVocabularyOfAFile(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	mustRun(t, small(text, first, "-tokens", "bpe", "-vocab", "270", "-steps", "4")...)
	mustRun(t, small(text, second, "-tokens", filepath.Join(newest(t, first), data.TokenizerFile), "-steps", "4")...)
	sameRun(t, "the vocabulary from a file", second, first)
	_, _, err := runHere(context.Background(), small(text, filepath.Join(dir, "none"), "-tokens", "words")...)
	if err == nil || !strings.Contains(err.Error(), `-tokens is "words"; it must be chars, bytes, bpe or the path`) {
		t.Errorf("%v", err)
	}
}

// TestBitsPerByteAreToldEverywhere, and are those of the losses.
func TestBitsPerByteAreToldEverywhere(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	out := mustRun(t, small(text, dir, "-tokens", "bytes")...)
	if n := strings.Count(out, "bits per byte"); n != 2 || !strings.Contains(out, "bits/byte") {
		t.Errorf("%d times in the words, want those of the bigrams and of the end:\n%s", n, out)
	}
	if out := mustRun(t, "evaluate", dir); !strings.Contains(out, "bits per byte") {
		t.Errorf("an evaluation does not tell them:\n%s", out)
	}
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if math.Abs(r.Bits-r.Loss/math.Ln2) > 1e-9 {
			t.Errorf("step %d: %v bits for %v nats of a byte", r.Step, r.Bits, r.Loss)
		}
		if (r.Val == nil) != (r.ValBits == nil) || r.Val != nil && math.Abs(*r.ValBits-*r.Val/math.Ln2) > 1e-9 {
			t.Errorf("step %d: held-out bits are not those of the loss", r.Step)
		}
	}
}

// TestRowsWithoutTokenAreNeverWritten: a model with more rows than its vocabulary
// has tokens, and all its favour on the others.
func TestRowsWithoutTokenAreNeverWritten(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	trained := filepath.Join(dir, "run")
	mustRun(t, small(text, trained, "-tokens", "bpe", "-vocab", "260", "-steps", "4")...)
	tok, err := data.ReadTokenizer(newest(t, trained))
	if err != nil {
		t.Fatal(err)
	}
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength = 1000, 16, 1, 16
	cfg.SLSTMAt = xlstm.Blocks()
	model, err := xlstm.New(cfg, xlstm.WithSeed(3))
	if err != nil {
		t.Fatal(err)
	}
	padded := filepath.Join(dir, "padded")
	if err := os.Mkdir(padded, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := model.Save(padded, xlstm.SaveConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := data.WriteTokenizer(padded, tok); err != nil {
		t.Fatal(err)
	}
	for _, temperature := range []string{"0", "1"} {
		out := mustRun(t, "sample", padded, "-max-tokens", "200", "-prompt", "the", "-temperature", temperature, "-top-p", "1")
		// That is how an id without a token would be written. The part of a
		// character is not: it stays the byte that it is.
		if strings.Contains(out, "\ufffd") {
			t.Errorf("temperature %s: a row without a token was written: %q", temperature, out)
		}
	}
	mustRun(t, "evaluate", padded, "-data", text)
	if err := data.WriteTokenizer(padded, data.Bytes{}); err != nil {
		t.Fatal(err)
	}
	if _, err := openModel(padded, io.Discard); err == nil {
		t.Error("bytes are taken for the vocabulary of 1000 tokens")
	}
}

// TestFilesLeftOutAreCountedByReason: and listed if asked for.
func TestFilesLeftOutAreCountedByReason(t *testing.T) {
	folder, dir := t.TempDir(), t.TempDir()
	place(t, read(t, filepath.Dir(sampleText(t)), "text.txt"), folder, "text.txt")
	place(t, "", folder, "empty")
	place(t, "\x00", folder, "photo")
	place(t, "a\x00", folder, "picture")
	place(t, "\xff", folder, "latin")
	out := mustRun(t, small(folder, filepath.Join(dir, "a"), "-steps", "4")...)
	if !strings.Contains(out, "4 files left out (2 binary, 1 empty, 1 not UTF-8)") || strings.Contains(out, "photo") {
		t.Errorf("the run says\n%s", out)
	}
	out = mustRun(t, small(folder, filepath.Join(dir, "b"), "-steps", "4", "-v")...)
	for name, why := range map[string]string{"empty": "empty", "photo": "binary", "picture": "binary", "latin": "not UTF-8"} {
		if want := fmt.Sprintf("left out: %s (%s)\n", filepath.Join(folder, name), why); !strings.Contains(out, want) {
			t.Errorf("-v does not print %q:\n%s", want, out)
		}
	}
}

// TestCacheIsNotNamedWhereSizeIsNotTheMatter: for texts that are not there or
// empty.
func TestCacheIsNotNamedWhereSizeIsNotTheMatter(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none.txt"), write(t, "empty.txt", "")} {
		_, _, err := runHere(context.Background(), small(path, filepath.Join(t.TempDir(), "run"))...)
		if err == nil || strings.Contains(err.Error(), "-cache") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
