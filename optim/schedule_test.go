package optim

import (
	"math"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

func TestSchedules(t *testing.T) {
	quarter := 0.2 + 0.8*(1+math.Sqrt2/2)/2
	for name, c := range map[string]struct {
		s    Schedule
		want map[int]float64
	}{
		"constant": {Constant(0.3), map[int]float64{1: 0.3, 1000000: 0.3}},
		"warm-up":  {WarmupConstant(2, 4), map[int]float64{1: 0.5, 2: 1, 3: 1.5, 4: 2, 5: 2, 1000000: 2}},
		"no rise":  {WarmupConstant(2, 0), map[int]float64{1: 2, 2: 2}},
		"negative": {WarmupConstant(2, -3), map[int]float64{1: 2, 2: 2}},
		"one step": {WarmupConstant(2, 1), map[int]float64{1: 2, 2: 2}},
		"cosine": {WarmupCosine(1, 0.2, 10, 18), map[int]float64{
			1: 0.1, 9: 0.9, 10: 1, 12: quarter, 14: 0.6, 16: 1.2 - quarter, 18: 0.2, 19: 0.2, 1000000: 0.2}},
		"cosine only":         {WarmupCosine(1, 0, 0, 2), map[int]float64{1: 0.5, 2: 0, 3: 0}},
		"cosine, negative":    {WarmupCosine(1, 0, -4, 2), map[int]float64{1: 0.5, 2: 0, 3: 0}},
		"cosine of no length": {WarmupCosine(1, 0.1, 4, 4), map[int]float64{2: 0.5, 4: 1, 5: 0.1}},
		"total below warm-up": {WarmupCosine(1, 0.1, 4, 2), map[int]float64{2: 0.5, 4: 1, 5: 0.1}},
	} {
		for step, want := range c.want {
			if got := c.s(step); math.Abs(got-want) > 1e-15 {
				t.Errorf("%s: step %d has rate %v, want %v", name, step, got, want)
			}
		}
	}
}

func TestFirstStepHasTheScheduleOfOne(t *testing.T) {
	var asked []int
	s := testutil.Must(NewSGD(SGDConfig{LR: func(step int) float64 {
		asked = append(asked, step)
		return float64(step)
	}}))
	if s.LR() != 0 {
		t.Errorf("LR() = %v before the first step", s.LR())
	}
	trajectory(t, s, 1)
	if s.LR() != 1 {
		t.Errorf("LR() = %v after one step", s.LR())
	}
	for _, step := range asked {
		if step != 1 {
			t.Errorf("the schedule was asked about step %d", step)
		}
	}
}
