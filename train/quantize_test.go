package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestQuantizeCommand: what it writes reads and writes as the model does that holds
// its weights in that format, and is smaller.
func TestQuantizeCommand(t *testing.T) {
	text, dir := sampleText(t), filepath.Join(t.TempDir(), "run")
	mustRun(t, small(text, dir, "-steps", "4", "-dim", "32")...)
	for _, format := range []string{"bf16", "int8", "int4"} {
		out := filepath.Join(t.TempDir(), format)
		if said := mustRun(t, "quantize", dir, "-to", format, "-o", out); !strings.Contains(said, format) {
			t.Errorf("quantize says %q", said)
		}
		for _, args := range [][]string{
			{"sample", "", "-prompt", "the", "-max-tokens", "20"},
			{"score", "", "-text", "the cell forgets"},
			{"evaluate", "", "-data", text},
		} {
			at := func(path string, more ...string) string {
				args[1] = path
				return mustRun(t, append(append([]string{}, args...), more...)...)
			}
			if got, want := at(out), at(best(t, dir), "-weights", format); got != want {
				t.Errorf("%s of a folder in %s gives\n%.500s\nand of the run\n%.500s", args[0], format, got, want)
			}
		}
	}
}

// TestQuantizeReportsWhatIsMissing in one sentence.
func TestQuantizeReportsWhatIsMissing(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "model.safetensors"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"needs a folder":                {"quantize", "-to", "int8", "-o", out},
		"needs a format":                {"quantize", dir, "-o", out},
		"a folder to write":             {"quantize", dir, "-to", "int8"},
		"config.json":                   {"quantize", dir, "-to", "int8", "-o", out},
		`there is no weight format "x"`: {"sample", dir, "-weights", "x"},
	} {
		_, _, err := runHere(context.Background(), args...)
		testutil.WantError(t, err, want)
	}
}
