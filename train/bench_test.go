package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/bench"
)

// TestBenchPrintsALineForEachMeasurement measures in processes of their own,
// which are this test binary as the program.
func TestBenchPrintsALineForEachMeasurement(t *testing.T) {
	t.Setenv(asMain, "1")
	out := mustRun(t, "bench", "-seconds", "0.05", "generate-A", "-threads", "1", "gemm/256", "generate-A")
	var lines []bench.Measurement
	for line := range strings.Lines(out) {
		var m bench.Measurement
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
		if m.Threads != 1 || m.Steps < bench.FewestSteps || m.WarmUp < 1 || m.Go == "" || m.System == "" {
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
		{[]string{"E"}, `no "E" to measure; there are A, B, C1, C4, C16, C64, D, LSTM-A, LSTM-B, generate-A, generate-B, generate-LSTM-A, generate-LSTM-B, weights, mlstm-64, mlstm-128, gemm, flat, start`},
		{[]string{"-seconds", "0"}, "-seconds is 0"},
		{[]string{"-threads", "-1"}, "-threads -1"},
		{[]string{"-child", "gemm"}, "one thing, not 4"},
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
	var out, said bytes.Buffer
	b := bench.Bench{Seconds: -1, Child: benchChild(-1, 0, onDevice{name: "cpu"})}
	chosen, err := bench.Choose([]string{"gemm/64"}, false)
	if err != nil {
		t.Fatal(err)
	}
	err = measureAll(context.Background(), b, chosen, console{out: &out, err: &said})
	if err == nil || !strings.Contains(err.Error(), "1 of 1 measurements failed: gemm/64") {
		t.Error(err)
	}
	if said := said.String(); !strings.Contains(said, "gemm/64: -seconds is -1") {
		t.Errorf("it says %q", said)
	}
}
