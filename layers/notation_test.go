package layers_test

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/layers"
)

func TestSymbol(t *testing.T) {
	for name, want := range map[string]string{
		"blocks.0.xlstm.q_proj":                "q",
		"blocks.0.xlstm.mlstm_cell.igate":      "ĩ",
		"blocks.0.xlstm.mlstm_cell.fgate":      "f̃",
		"blocks.1.xlstm.igate":                 "Wᶠx", // the sLSTM's names are swapped
		"blocks.1.xlstm.fgate":                 "Wⁱx",
		"blocks.0.xlstm.mlstm_cell":            "h",
		"blocks.0.xlstm.mlstm_cell.C":          "C",
		"blocks.0.xlstm.mlstm_cell.zero_C":     "C₀",
		"blocks.0.xlstm.mlstm_cell.step.12.C":  "C₁₂",
		"blocks.1.xlstm.slstm_cell.step.1.f~":  "f̃₁",
		"state.block_0.mlstm_n":                "n₀",
		"blocks.0.xlstm.proj_up":               "",
		"blocks.0.xlstm.mlstm_cell.step.1.foo": "",
		"":                                     "",
	} {
		if got := layers.Symbol(name); got != want {
			t.Errorf("Symbol(%q) = %q, want %q", name, got, want)
		}
	}
}
