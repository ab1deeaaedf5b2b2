package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherCellsTrainLikeTheXLSTM: a run of each is trained, sampled, evaluated,
// inspected, drawn and reported by the same commands.
func TestOtherCellsTrainLikeTheXLSTM(t *testing.T) {
	text := sampleText(t)
	for name, c := range map[string]struct {
		flags []string
		model string
	}{
		"LSTM blocks": {[]string{"-slstm-at", "none", "-lstm-at", "all"}, "LSTM: all"},
		"simplified":  {[]string{"-simplified-at", "0,1"}, "simplified: 0,1"},
		"plain LSTM":  {[]string{"-lstm", "24"}, "2 layers of 24 units (LSTM)"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			out := mustRun(t, small(text, dir, append(c.flags, "-steps", "4")...)...)
			if !strings.Contains(out, c.model) {
				t.Errorf("the run does not say %q:\n%s", c.model, out)
			}
			for _, args := range [][]string{
				{"sample", dir, "-max-tokens", "5"}, {"evaluate", dir}, {"inspect", dir}, {"graph", dir, "-length", "4"},
				{"graph", dir, "-symbolic", "-forward"}, {"report", dir},
			} {
				if out := mustRun(t, args...); out == "" {
					t.Errorf("%v says nothing", args)
				}
			}
		})
	}
}

// TestLastListOfBlocksWins: a flag takes its blocks out of the other lists.
func TestLastListOfBlocksWins(t *testing.T) {
	for _, c := range []struct{ flags, slstm, lstm string }{
		{"-slstm-at 1 -lstm-at 1", "none", "1"},
		{"-slstm-at 0,1 -lstm-at 1", "0", "1"},
		{"-lstm-at all -slstm-at all", "all", "none"},
		{"-slstm-at all -lstm-at all", "none", "all"},
	} {
		p, _, err := parseTrain(strings.Fields("-preset tiny "+c.flags), console{})
		if err != nil || blockNames(p.Model.SLSTMAt) != c.slstm || blockNames(p.Model.LSTMAt) != c.lstm {
			t.Errorf("%s: sLSTM %s, LSTM %s, %v", c.flags, blockNames(p.Model.SLSTMAt), blockNames(p.Model.LSTMAt), err)
		}
	}
}
