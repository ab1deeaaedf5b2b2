package run

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// TestPresetsSayHowLargeTheyAre: what about says of the size is so.
func TestPresetsSayHowLargeTheyAre(t *testing.T) {
	last := int64(0)
	for _, p := range Presets() {
		vocab := 65
		if p.Tokens == tokensBPE {
			vocab, last = p.Settings().Vocab, 0
		}
		cost, err := p.Config(vocab).Cost(xlstm.CostOptions{Batch: p.Batch, Steps: p.Length})
		if err != nil {
			t.Fatal(p.Name, err)
		}
		n := cost.Total().Params
		for _, want := range []string{fmt.Sprintf("width %d,", p.Width), fmt.Sprintf("%d blocks,", p.Blocks), numbers.Commas(n) + " parameters"} {
			if !strings.Contains(p.About, want) {
				t.Errorf("%s is about %q, want %q in it", p.Name, p.About, want)
			}
		}
		if n <= last {
			t.Errorf("%s is not larger than the one before it", p.Name)
		}
		last = n
		if gb := float64(cost.TrainingMemory().Total()) / 1e9; gb > 4 {
			t.Errorf("%s takes %.1f GB to train", p.Name, gb)
		}
	}
}

func TestPresetsCanTrain(t *testing.T) {
	for _, p := range Presets() {
		if p.Batch < 1 || p.Length < 1 || p.LR <= 0 || p.Warmup < 1 || p.Warmup > p.Steps/4 {
			t.Errorf("%s makes no sense: %+v", p.Name, p)
		}
		if cfg := p.Config(65); cfg.ContextLength != p.Length || cfg.Dropout != p.Dropout || len(cfg.SLSTMAt.Indices) != len(p.SLSTMAt) {
			t.Errorf("the configuration of %s is not the preset's: %+v", p.Name, cfg)
		}
	}
}

func TestPresetNamed(t *testing.T) {
	for _, p := range Presets() {
		if got, err := PresetNamed(p.Name); err != nil || got.About != p.About {
			t.Errorf("%s: %+v, %v", p.Name, got, err)
		}
	}
	_, err := PresetNamed("huge")
	if err == nil {
		t.Fatal("no error for a preset that is not there")
	}
	for _, want := range []string{`"huge"`, "tiny, small, base, medium"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
}
