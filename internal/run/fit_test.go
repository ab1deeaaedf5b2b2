package run

import "testing"

// TestLongTextsAreLeftAlone, and so are settings that must stay.
func TestLongTextsAreLeftAlone(t *testing.T) {
	for _, test := range []struct {
		given bool
		size  int
		fits  bool
	}{{false, 1 << 20, true}, {true, 300, false}} {
		s := Presets()[1].Settings()
		before := s
		f := NewFitter(&s, func(string) bool { return test.given })
		f.Warmup()
		f.vocabulary(test.size, test.size)
		err := f.shape(test.size)
		if (err == nil) != test.fits || len(f.Changes()) != 0 || s.Rare != before.Rare || s.Val != before.Val || s.Length != before.Length {
			t.Errorf("%d characters: changed %q, error %v", test.size, f.Changes(), err)
		}
	}
}
