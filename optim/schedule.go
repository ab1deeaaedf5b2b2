package optim

import (
	"math"

	"github.com/pkg/errors"
)

// Schedule returns the learning rate of a step. The first step of a solver is
// step 1. A schedule must be a pure function: a solver may call it more than
// once for a step and, after SetState, start with any step.
type Schedule func(step int) float64

// at returns the rate of a step, or an error if the rate is negative or not
// finite.
func (s Schedule) at(step int) (float64, error) {
	rate := s(step)
	if err := notNegative("learning rate", rate); err != nil {
		return 0, errors.Wrapf(err, "step %d", step)
	}
	return rate, nil
}

// Constant returns a schedule with a constant rate.
func Constant(rate float64) Schedule {
	return func(int) float64 { return rate }
}

// WarmupConstant returns a schedule that rises linearly for warmup steps and
// then stays at peak:
//
//	lr(t) = peak · min(1, t/warmup)
//
// The first step has the rate peak/warmup, not 0, and step number warmup is the
// first at peak. If warmup is 0 or less, every step is at peak.
func WarmupConstant(peak float64, warmup int) Schedule {
	return func(step int) float64 {
		if step >= warmup {
			return peak
		}
		return peak * float64(step) / float64(warmup)
	}
}

// WarmupCosine returns a schedule that rises linearly to peak for warmup steps,
// as WarmupConstant does, falls to floor along half a cosine until step number
// total, and then stays at floor: Loshchilov & Hutter, "SGDR" (2017), equation
// 5, without restarts.
//
//	lr(t) = floor + (peak-floor) · ½(1 + cos(π·(t-warmup)/(total-warmup)))    for warmup ≤ t ≤ total
//
// Step number total, the last step of a run of total steps, is the first at
// floor. If total is at most warmup, the rate is floor immediately after the
// rise.
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
