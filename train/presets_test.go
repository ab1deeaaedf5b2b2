package main

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
	for _, p := range presets() {
		vocab := 65
		if p.tokens == tokensBPE {
			vocab, last = settingsOf(p).Vocab, 0
		}
		cost, err := p.cfg(vocab).Cost(xlstm.CostOptions{Batch: p.batch, Steps: p.length})
		if err != nil {
			t.Fatal(p.name, err)
		}
		n := cost.Total().Params
		for _, want := range []string{fmt.Sprintf("width %d,", p.width), fmt.Sprintf("%d blocks,", p.blocks), numbers.Commas(n) + " parameters"} {
			if !strings.Contains(p.about, want) {
				t.Errorf("%s is about %q, want %q in it", p.name, p.about, want)
			}
		}
		if n <= last {
			t.Errorf("%s is not larger than the one before it", p.name)
		}
		last = n
		if gb := float64(cost.TrainingMemory().Total()) / 1e9; gb > 4 {
			t.Errorf("%s takes %.1f GB to train", p.name, gb)
		}
	}
}

func TestPresetsCanTrain(t *testing.T) {
	for _, p := range presets() {
		if p.batch < 1 || p.length < 1 || p.lr <= 0 || p.warmup < 1 || p.warmup > p.steps/4 {
			t.Errorf("%s makes no sense: %+v", p.name, p)
		}
		if cfg := p.cfg(65); cfg.ContextLength != p.length || cfg.Dropout != p.dropout || len(cfg.SLSTMAt.Indices) != len(p.slstmAt) {
			t.Errorf("the configuration of %s is not the preset's: %+v", p.name, cfg)
		}
	}
}

func TestPresetNamed(t *testing.T) {
	for _, p := range presets() {
		if got, err := presetNamed(p.name); err != nil || got.about != p.about {
			t.Errorf("%s: %+v, %v", p.name, got, err)
		}
	}
	_, err := presetNamed("huge")
	if err == nil {
		t.Fatal("no error for a preset that is not there")
	}
	for _, want := range []string{`"huge"`, "tiny, small, base, medium"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
}
