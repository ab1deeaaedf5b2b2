package main

import (
	"flag"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
)

// TestModelFlagsOfTheLargeArchitecture: those that it has a field for are set.
func TestModelFlagsOfTheLargeArchitecture(t *testing.T) {
	cfg := xlstm.DefaultLargeConfig()
	cfg.VocabSize = 5
	f := flag.NewFlagSet("", flag.ContinueOnError)
	newModelFlags().register(f, &cfg)
	if err := f.Parse([]string{"-dim", "32", "-blocks", "3", "-heads", "4", "-ffn-factor", "2"}); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil || cfg.EmbeddingDim != 32 || cfg.NumBlocks != 3 || cfg.Large.NumHeads != 4 || cfg.Large.FFNProjFactor != 2 {
		t.Errorf("%+v, %+v: %v", cfg, cfg.Large, err)
	}
}
