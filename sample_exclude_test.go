package xlstm

import "testing"

// TestExcludedTokensAreNeverDrawn whatever the settings.
func TestExcludedTokensAreNeverDrawn(t *testing.T) {
	logits := []float64{9, 0, 8, 1, 7} // what is excluded would be likeliest
	for _, cfg := range []SamplerConfig{
		{}, {Temperature: 1}, {Temperature: 1, TopK: 4}, {Temperature: 1, TopP: 0.9}, {Temperature: 5, RepetitionPenalty: 2},
	} {
		cfg.Exclude = []int{4, 0, 2, 2, 99}
		s, err := NewSampler(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if got, err := s.Sample(logits); err != nil || got != 1 && got != 3 {
				t.Fatalf("%+v: drew %d, %v", cfg, got, err)
			}
		}
	}
	if logits[0] != 9 {
		t.Error("the logits given were changed")
	}
	s, err := NewSampler(SamplerConfig{Temperature: 1, Exclude: []int{0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sample([]float64{1, 2}); err == nil {
		t.Error("a token is drawn although all are excluded")
	}
	if _, err := NewSampler(SamplerConfig{Exclude: []int{-1}}); err == nil {
		t.Error("a token below 0 is excluded")
	}
}
