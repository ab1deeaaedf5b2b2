package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/machine"
)

// TestBenchLeavesOutWhatDoesNotFit into memory, before it takes a step.
func TestBenchLeavesOutWhatDoesNotFit(t *testing.T) {
	if _, known := machine.FreeMemory(); !known {
		t.Skip("this system does not say how much memory is free")
	}
	huge := Workload{Name: "huge", Prepare: func() (*Task, error) {
		return &Task{Bytes: 1 << 60, Close: func() error { return nil }}, nil
	}}
	_, err := Bench{Seconds: 1}.Here(context.Background(), huge)
	if err == nil || !strings.Contains(err.Error(), "huge needs 1.15e+09 GB of memory") {
		t.Error(err)
	}
}

// TestQuantiles of a few known times.
func TestQuantiles(t *testing.T) {
	timed := timings{times: []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Second}}
	for q, want := range map[float64]float64{0: 1, 0.25: 1.75, 0.5: 3, 1: 10} {
		if got := timed.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}
