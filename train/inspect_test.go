package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

func inspected(t *testing.T, cfg xlstm.Config, batch, length int) string {
	t.Helper()
	var page bytes.Buffer
	if err := printInspect(&page, cfg, xlstm.CostOptions{Batch: batch, Steps: length}); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func presetConfig(t *testing.T, name string) xlstm.Config {
	t.Helper()
	p, err := run.PresetNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Config(65)
}

func TestInspectPage(t *testing.T) {
	const want = `An xLSTM of 4 blocks of width 128 for a vocabulary of 65: 453,144 parameters.

part                            parameters    share   multiply-adds   shapes
embedding                            8,320    1.8 %               0   65×128
mLSTM blocks                       328,344   72.5 %         522,240   in 0, 2, 3
  norm                                 384    0.1 %               0   128
  up projection                    196,608   43.4 %         196,608   512×128
  convolution                        3,840    0.8 %           3,072   256×1×4, 256
  q, k, v                            9,216    2.0 %           9,216   64×4×4, 64×4×4, 64×4×4
  gates                             18,456    4.1 %          18,432   4×768, 4, 4×768, 4
  cell                                   0    0.0 %         196,608
  skip and output gate               1,536    0.3 %               0   256, 256
  down projection                   98,304   21.7 %          98,304   128×256
sLSTM blocks                       108,032   23.8 %         107,008   in 1
  norm                                 128  < 0.1 %               0   128
  convolution                          640    0.1 %             512   128×1×4, 128
  gates                             16,384    3.6 %          16,384   4×32×32, 4×32×32, 4×32×32, 4×32×32
  cell                              16,896    3.7 %          16,384   4×128×32, 512
  head norm                            128  < 0.1 %               0   128
  feed-forward                      73,856   16.3 %          73,728   128, 384×128, 128×192
post norm                              128  < 0.1 %               0   128
head                                 8,320    1.8 %           8,320   65×128
total                              453,144  100.0 %         637,568

Parameters and multiply-adds of blocks are summed up, shapes are those of one.
Multiply-adds are those of a forward pass, per token.

Memory to train on 8 × 128 tokens, in float32:
  parameters                       1.81 MB
  gradients                        1.81 MB
  AdamW's moments                  3.63 MB
  activations                      30.3 MB
  total                            37.5 MB

Memory to generate:
  parameters                       1.81 MB
  graphs                           2.66 MB
  total                            4.47 MB

The state of a text, however long, is 216,112 bytes (216 kB).

Arithmetic per token:
  training                      3.98 MFLOP
  evaluation                    1.28 MFLOP
  generation                    1.08 MFLOP

A training step of 1,024 tokens is 4.08 GFLOP.
`
	if got := inspected(t, presetConfig(t, "small"), 8, 128); got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
}

func TestInspectGroupsBlocksOfAKind(t *testing.T) {
	cfg := presetConfig(t, "medium")
	cfg.SLSTMAt = xlstm.AllBlocks()
	if page := inspected(t, cfg, 1, 1); !strings.Contains(page, "in 0–7\n") || strings.Contains(page, "mLSTM") {
		t.Errorf("a model of sLSTM blocks alone:\n%s", page)
	}
	cfg.SLSTMAt, cfg.TieWeights, cfg.NumBlocks = xlstm.Blocks(), true, 1
	page := inspected(t, cfg, 1, 1)
	if !strings.Contains(page, "1 block of") || !strings.Contains(page, "in 0\n") || strings.Contains(page, "sLSTM blocks") {
		t.Errorf("a model of one mLSTM block:\n%s", page)
	}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasSuffix(line, " ") {
			t.Errorf("the line %q ends in a space", line)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestInspectReportsErrors(t *testing.T) {
	if err := printInspect(brokenWriter{}, presetConfig(t, "tiny"), xlstm.CostOptions{Batch: 1, Steps: 1}); err == nil {
		t.Error("no error for a page that cannot be written")
	}
	if err := printInspect(&bytes.Buffer{}, xlstm.Config{}, xlstm.CostOptions{Batch: 1, Steps: 1}); err == nil {
		t.Error("no error for a configuration that makes no sense")
	}
}

func TestRanges(t *testing.T) {
	for want, blocks := range map[string][]int{"0": {0}, "0, 1": {0, 1}, "0–2, 4, 5, 7–9": {0, 1, 2, 4, 5, 7, 8, 9}} {
		if got := ranges(blocks); got != want {
			t.Errorf("%v is %q, want %q", blocks, got, want)
		}
	}
}

// TestInspectComputesWithTheRunsOwnBatch and length, or with a preset's.
func TestInspectComputesWithTheRunsOwnBatch(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	mustRun(t, small(sampleText(t), run, "-steps", "4")...)
	for want, args := range map[string][]string{
		"Memory to train on 2 × 16 tokens":  {run},
		"Memory to train on 2 × 64 tokens":  {run, "-length", "64"},
		"Memory to train on 8 × 128 tokens": {"-preset", "tiny"},
		"AdamW's moments, 1/8":              {"-preset", "tiny", "-shards", "8"},
		"Memory to train on 8 × 256 tokens": {newest(t, run)},
	} {
		if out := mustRun(t, append([]string{"inspect"}, args...)...); !strings.Contains(out, want) {
			t.Errorf("inspect %v does not say %q:\n%s", args, want, out)
		}
	}
}

// TestInspectFitsTheTerminal: with fewer columns on a narrow one.
func TestInspectFitsTheTerminal(t *testing.T) {
	cfg := presetConfig(t, "medium")
	cost, err := cfg.Cost(xlstm.CostOptions{Batch: 1, Steps: 8})
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{60, 80} {
		var page bytes.Buffer
		printParts(&page, cost, width)
		for line := range strings.Lines(page.String()) {
			if n := utf8.RuneCountInString(line) - 1; n >= width && !strings.Contains(line, "summed up") {
				t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
			}
		}
	}
}

// TestInspectSaysWhichBatchFits on a device with so much memory.
func TestInspectSaysWhichBatchFits(t *testing.T) {
	for _, c := range []struct {
		card string
		says string
	}{{"1", "A device of 1 GiB can train on "}, {"0.001", "cannot train on a single sequence of 256 tokens"}} {
		if out := mustRun(t, "inspect", "-preset", "tiny", "-length", "256", "-card", c.card); !strings.Contains(out, c.says) {
			t.Errorf("-card %s: %s", c.card, out)
		}
	}
	wantComplaint(t, []string{"inspect", "-preset", "tiny", "-card", "-3"}, "-card is -3")
	wantComplaint(t, []string{"inspect", "-preset", "tiny", "-precision", "bf16"}, "-device cuda")
}
