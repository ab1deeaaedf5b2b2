package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/workloads"
)

// TestBenchPrintsALineForEachMeasurement measures in processes of their own,
// which are this test binary as the program.
func TestBenchPrintsALineForEachMeasurement(t *testing.T) {
	t.Setenv(asMain, "1")
	out := mustRun(t, "bench", "-seconds", "0.05", "generate-A", "-threads", "1", "gemm/256", "generate-A")
	var lines []measurement
	for line := range strings.Lines(out) {
		var m measurement
		read := json.NewDecoder(strings.NewReader(line))
		read.DisallowUnknownFields()
		if err := read.Decode(&m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 2 || lines[0].Name != "generate-A" || lines[1].Name != "gemm/256" {
		t.Fatalf("measured %+v", lines)
	}
	for _, m := range lines {
		if m.Threads != 1 || m.Steps < fewestSteps || m.WarmUp < 1 || m.Go == "" || m.System == "" {
			t.Errorf("%+v", m)
		}
		if q := m.StepMSQuartiles; m.StepMS <= 0 || q == nil || q[0] > m.StepMS || m.StepMS > q[1] {
			t.Errorf("%s: a step takes %v ms, quartiles %v", m.Name, m.StepMS, q)
		}
		if m.GFLOPS <= 0 || m.GemmGFLOPS <= 0 || m.ShareOfGemmPeak <= 0 {
			t.Errorf("%s: %v of %v GFLOP/s, %v", m.Name, m.GFLOPS, m.GemmGFLOPS, m.ShareOfGemmPeak)
		}
	}
	if q := lines[0].TokPerSQuartiles; lines[0].TokPerS <= 0 || q == nil || q[0] > lines[0].TokPerS || lines[0].TokPerS > q[1] {
		t.Errorf("%v tok/s, quartiles %v", lines[0].TokPerS, q)
	}
	if lines[1].TokPerS != 0 {
		t.Errorf("a product of matrices makes %v tok/s", lines[1].TokPerS)
	}
}

// TestBenchReportsBadInput in a sentence that lists what there is.
func TestBenchReportsBadInput(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"E"}, `no "E" to measure; there are A, B, C1, C4, C16, C64, D, generate-A, generate-B, mlstm-64, mlstm-128, gemm, flat, start`},
		{[]string{"-seconds", "0"}, "-seconds is 0"},
		{[]string{"-threads", "-1"}, "-threads -1"},
		{[]string{"-child", "gemm"}, "one thing, not 3"},
	} {
		_, _, err := runHere(context.Background(), append([]string{"bench"}, c.args...)...)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

// TestBenchNamesWhatFailed: a measurement that fails is told of, and the program
// fails after the others.
func TestBenchNamesWhatFailed(t *testing.T) {
	t.Setenv(asMain, "1")
	b := bench{console: console{out: new(bytes.Buffer), err: new(bytes.Buffer)}, seconds: -1}
	chosen, err := choose([]string{"gemm/64"})
	if err != nil {
		t.Fatal(err)
	}
	err = b.all(context.Background(), chosen)
	if err == nil || !strings.Contains(err.Error(), "1 of 1 measurements failed: gemm/64") {
		t.Error(err)
	}
	if said := b.err.(*bytes.Buffer).String(); !strings.Contains(said, "gemm/64: -seconds is -1") {
		t.Errorf("it says %q", said)
	}
}

// TestBenchLeavesOutWhatDoesNotFit into memory, before it takes a step.
func TestBenchLeavesOutWhatDoesNotFit(t *testing.T) {
	if _, known := freeMemory(); !known {
		t.Skip("this system does not say how much memory is free")
	}
	huge := workloads.Workload{Name: "huge", Prepare: func() (*workloads.Task, error) {
		return &workloads.Task{Bytes: 1 << 60, Close: func() error { return nil }}, nil
	}}
	err := bench{seconds: 1}.here(context.Background(), huge)
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
