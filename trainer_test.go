package xlstm

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

func newTestTrainer(t *testing.T, m *Model, cfg TrainerConfig) *Trainer {
	t.Helper()
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.WarmupCosine(1e-2, 1e-3, 2, 20), WeightDecay: 0.1, ClipNorm: 1})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := m.NewTrainer(solver, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func streams(t *testing.T, b, steps int) *data.Streams {
	t.Helper()
	s, err := data.NewStreams(testutil.Tokens(8, 40*b, 11), b, steps)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func weightsOf(m *Model) (all []float64) {
	if err := m.Fetch(); err != nil {
		panic(err)
	}
	for _, p := range m.Params() {
		all = append(all, floatsOf(p.Value)...)
	}
	return all
}

// TestAccumulatedStepEqualsOneLargeBatch: the mean gradient of two half batches
// is that of the whole.
func TestAccumulatedStepEqualsOneLargeBatch(t *testing.T) {
	whole, halves := smallModel(t, smallConfig(), tensor.Float64), smallModel(t, smallConfig(), tensor.Float64)
	tokens := testutil.Tokens(9, 4*9, 11)
	inputs, targets := columns(tokens, 9, 0, 8), columns(tokens, 9, 1, 8)
	one := newTestTrainer(t, whole, TrainerConfig{Batch: 4, Steps: 8})
	if _, err := one.Step(func() data.Batch { return data.Batch{Inputs: inputs, Targets: targets, B: 4, T: 8} }); err != nil {
		t.Fatal(err)
	}
	two := newTestTrainer(t, halves, TrainerConfig{Batch: 2, Steps: 8, Accumulate: 2})
	k := 0
	rep, err := two.Step(func() data.Batch {
		b := data.Batch{Inputs: inputs[k*16 : (k+1)*16], Targets: targets[k*16 : (k+1)*16], B: 2, T: 8}
		k++
		return b
	})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Tokens != 32 || rep.Targets != 32 || rep.Step != 1 {
		t.Errorf("report %+v", rep)
	}
	if d := golden.Apart(weightsOf(halves), weightsOf(whole), 0); d > 1e-10 {
		t.Errorf("weights are %.3g away", d)
	}
}

// TestAccumulationWeighsByTargets: batches in which 4, none and 1 of the targets
// count step as one batch in which 5 do.
func TestAccumulationWeighsByTargets(t *testing.T) {
	tokens := testutil.Tokens(9, 3*9, 11)
	inputs, targets := columns(tokens, 9, 0, 8), columns(tokens, 9, 1, 8)
	for i := range targets {
		if i >= 4 && i != 16 {
			targets[i] = data.Ignore
		}
	}
	step := func(cfg TrainerConfig) (StepReport, []float64) {
		m := smallModel(t, smallConfig(), tensor.Float64)
		k := 0
		rep, err := newTestTrainer(t, m, cfg).Step(func() data.Batch {
			n := cfg.Batch * 8
			b := data.Batch{Inputs: inputs[k : k+n], Targets: targets[k : k+n], B: cfg.Batch, T: 8}
			k += n
			return b
		})
		if err != nil {
			t.Fatal(err)
		}
		return rep, weightsOf(m)
	}
	one, whole := step(TrainerConfig{Batch: 3, Steps: 8})
	three, parts := step(TrainerConfig{Batch: 1, Steps: 8, Accumulate: 3})
	if one.Targets != 5 || three.Targets != 5 || three.Tokens != 24 {
		t.Errorf("targets %d and %d, tokens %d", one.Targets, three.Targets, three.Tokens)
	}
	if math.Abs(three.Loss-one.Loss) > 1e-12 || math.Abs(three.GradNorm-one.GradNorm) > 1e-10*one.GradNorm {
		t.Errorf("loss %v and norm %v, in one batch %v and %v", three.Loss, three.GradNorm, one.Loss, one.GradNorm)
	}
	if d := golden.Apart(parts, whole, 0); d > 1e-10 {
		t.Errorf("weights are %.3g away", d)
	}
}

// TestStepWithoutTargetsUpdatesNothing: neither weight decay nor the moments'
// decay may act, and the schedule of the learning rate must not advance.
func TestStepWithoutTargetsUpdatesNothing(t *testing.T) {
	for _, accumulate := range []int{1, 2} {
		m := smallModel(t, smallConfig(), tensor.Float32)
		tr := newTestTrainer(t, m, TrainerConfig{Batch: 2, Steps: 8, Accumulate: accumulate})
		batches := streams(t, 2, 8)
		if _, err := tr.Step(batches.Next); err != nil {
			t.Fatal(err)
		}
		weights, before := weightsOf(m), solverNumbers(tr)
		rep, err := tr.Step(func() data.Batch {
			b := batches.Next()
			for i := range b.Targets {
				b.Targets[i] = data.Ignore
			}
			return b
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := (StepReport{Step: 2, Tokens: 16 * accumulate}); rep != want {
			t.Errorf("report %+v, want %+v", rep, want)
		}
		if !slices.Equal(weightsOf(m), weights) || !slices.Equal(solverNumbers(tr), before) {
			t.Errorf("with %d batches a step, something was updated", accumulate)
		}
	}
}

// solverNumbers returns a solver's step and all its moments.
func solverNumbers(tr *Trainer) []float64 {
	st := tr.solver.State()
	all := []float64{float64(st.Step)}
	for _, name := range slices.Sorted(maps.Keys(st.Tensors)) {
		all = append(all, floatsOf(st.Tensors[name])...)
	}
	return all
}

// TestNonFiniteStepIsReportedAndNotApplied: the first node is named, and nothing
// has changed but the position in the data.
func TestNonFiniteStepIsReportedAndNotApplied(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	tr := newTestTrainer(t, m, TrainerConfig{Batch: 2, Steps: 8, Carry: true})
	batches := streams(t, 2, 8)
	if _, err := tr.Step(batches.Next); err != nil {
		t.Fatal(err)
	}
	state := tr.state.Clone()
	const name = "xlstm_block_stack.blocks.0.xlstm.proj_up.weight"
	w, _ := m.Param(name)
	good := w.Clone().(*tensor.Dense)
	for i := range w.Data().([]float32) {
		w.Data().([]float32)[i] = 3e38
	}
	broken := weightsOf(m)
	_, err := tr.Step(batches.Next)
	var bad *NonFiniteError
	if !errors.As(err, &bad) {
		t.Fatalf("error %v", err)
	}
	if bad.Step != 2 || bad.Node != "xlstm_block_stack.blocks.0.xlstm.proj_up" || !strings.Contains(err.Error(), bad.Node) {
		t.Errorf("%+v", bad)
	}
	if golden.Apart(weightsOf(m), broken, 0) != 0 {
		t.Error("the weights have changed")
	}
	for i, part := range tr.state.tensors {
		if golden.Apart(floatsOf(part.Value), floatsOf(state.tensors[i].Value), 1) != 0 {
			t.Errorf("the carried %s has changed", part.Name)
		}
	}
	copy(w.Data().([]float32), good.Data().([]float32))
	if rep, err := tr.Step(batches.Next); err != nil || math.IsNaN(rep.Loss) || rep.Step != 3 {
		t.Errorf("the step after: %+v, %v", rep, err)
	}
}

func TestTrainerRestoresToTheBit(t *testing.T) {
	configs := otherCells()
	configs["xLSTM"] = smallConfig()
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) { restoresToTheBit(t, cfg) })
	}
}

func restoresToTheBit(t *testing.T, cfg Config) {
	cfg.Dropout = 0.1
	tcfg := TrainerConfig{Batch: 2, Steps: 8, Carry: true, Accumulate: 2, Seed: 5}
	run := func(tr *Trainer, b *data.Streams, n int) (losses []float64) {
		for range n {
			rep, err := tr.Step(b.Next)
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, rep.Loss)
		}
		return losses
	}
	m := smallModel(t, cfg, tensor.Float32)
	tr, b := newTestTrainer(t, m, tcfg), streams(t, 2, 8)
	run(tr, b, 3)
	dir := t.TempDir()
	if err := tr.Save(dir, map[string]string{"batches": string(b.State())}); err != nil {
		t.Fatal(err)
	}
	want := run(tr, b, 3)

	again, err := New(cfg, WithSeed(99), WithDevice(testDevice))
	if err != nil {
		t.Fatal(err)
	}
	tr2, b2 := newTestTrainer(t, again, tcfg), streams(t, 2, 8)
	extra, err := tr2.Restore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b2.SetState([]byte(extra["batches"])); err != nil {
		t.Fatal(err)
	}
	if tr2.Steps() != 3 {
		t.Errorf("restored to step %d, want 3", tr2.Steps())
	}
	for i, loss := range run(tr2, b2, 3) {
		if loss != want[i] {
			t.Errorf("loss %d after restoring is %v, want %v", i, loss, want[i])
		}
	}
	if golden.Apart(weightsOf(again), weightsOf(m), 0) != 0 {
		t.Error("the weights differ")
	}
	other := newTestTrainer(t, smallModel(t, cfg, tensor.Float32), TrainerConfig{Batch: 2, Steps: 8})
	if _, err := other.Restore(dir); err == nil || !strings.Contains(err.Error(), "settings") {
		t.Errorf("restoring a carried state without Carry: %v", err)
	}
}
