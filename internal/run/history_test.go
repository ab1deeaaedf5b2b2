package run

import (
	"math"
	"reflect"
	"testing"
)

// TestShortHistoryIsTheWholeLog.
func TestShortHistoryIsTheWholeLog(t *testing.T) {
	all := someRecords(maxPast)
	var h history
	for _, r := range all {
		h.add(r)
	}
	if !reflect.DeepEqual(h.records(), all) {
		t.Error("a log that fits is thinned")
	}
}

// TestLongHistoryStaysSmall, goes from the beginning to the end, and keeps the
// best.
func TestLongHistoryStaysSmall(t *testing.T) {
	var h history
	const steps, best = 1_000_000, 765_431
	for step := 1; step <= steps; step++ {
		r := Record{Step: step, Loss: 1 / math.Sqrt(float64(step))}
		val := r.Loss
		if step == best {
			val = -1
		}
		if step%2 == 1 {
			r.Val = &val
		}
		h.add(r)
		if len(h.steps.kept) > maxPast || len(h.evals.kept) > maxPast {
			t.Fatalf("step %d: %d steps and %d evaluations", step, len(h.steps.kept), len(h.evals.kept))
		}
	}
	all := h.records()
	if len(all) < maxPast/2 || all[0].Step != 1 || all[len(all)-1].Step != steps {
		t.Errorf("%d records from step %d to %d", len(all), all[0].Step, all[len(all)-1].Step)
	}
	found := false
	for i, r := range all {
		found = found || r.Step == best
		if i > 0 && r.Step <= all[i-1].Step {
			t.Fatalf("step %d after %d", r.Step, all[i-1].Step)
		}
	}
	if !found {
		t.Error("the best is lost")
	}
}
