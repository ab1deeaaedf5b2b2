package optim

import (
	"math"

	"github.com/pkg/errors"
)

// Schedule gives the learning rate of a step. The first step of a solver is step 1. It must be a pure function
// of the step: a solver asks more than once and, after SetState, from the middle.
type Schedule func(step int) float64

// at returns the rate of a step, or an error if it makes no sense as one.
func (s Schedule) at(step int) (float64, error) {
	rate := s(step)
	if err := notNegative("learning rate", rate); err != nil {
		return 0, errors.Wrapf(err, "step %d", step)
	}
	return rate, nil
}

// Constant returns the schedule that is always rate.
func Constant(rate float64) Schedule {
	return func(int) float64 { return rate }
}

// WarmupConstant returns the schedule that rises linearly for warmup steps and stays at peak:
//
//	lr(t) = peak · min(1, t/warmup)
//
// So the first step has the rate peak/warmup, not 0, and step number warmup is the first at peak. With warmup
// of 0 or less there is no rise.
func WarmupConstant(peak float64, warmup int) Schedule {
	return func(step int) float64 {
		if step >= warmup {
			return peak
		}
		return peak * float64(step) / float64(warmup)
	}
}

// WarmupCosine returns the schedule that rises linearly to peak for warmup steps, as WarmupConstant does, falls
// to floor along half a cosine until step number total, and stays there: Loshchilov & Hutter, "SGDR" (2017),
// equation 5, without restarts.
//
//	lr(t) = floor + (peak-floor) · ½(1 + cos(π·(t-warmup)/(total-warmup)))    for warmup ≤ t ≤ total
//
// So step number total, the last of a run of that many, is the first at floor. If total is not above warmup,
// the rate is floor right after the rise.
func WarmupCosine(peak, floor float64, warmup, total int) Schedule {
	rise := WarmupConstant(peak, warmup)
	warmup = max(warmup, 0)
	return func(step int) float64 {
		switch {
		case step <= warmup:
			return rise(step)
		case step >= total:
			return floor
		}
		progress := float64(step-warmup) / float64(total-warmup)
		return floor + (peak-floor)*(1+math.Cos(math.Pi*progress))/2
	}
}
