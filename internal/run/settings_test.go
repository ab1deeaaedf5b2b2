package run

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestErrorsNameSettingsAsTheProgramDoes, and by their names in JSON without one.
func TestErrorsNameSettingsAsTheProgramDoes(t *testing.T) {
	s := Presets()[0].Settings()
	s.MinLR = -1
	testutil.WantError(t, s.Check(), "min_lr is -1; it must be between 0 and lr")
	s.Name = func(setting string) string { return "<" + setting + ">" }
	testutil.WantError(t, s.Check(), "<min_lr> is -1; it must be between 0 and <lr>")
	f := NewFitter(&s, func(string) bool { return true })
	testutil.WantError(t, f.shape(100), "of which <val> 0.05 holds out", "or <val> 0.2 with <length>")
}
