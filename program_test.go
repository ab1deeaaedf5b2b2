package xlstm

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// onTape compiles a program for the tape machine, whether or not it has gradients.
func onTape(t *testing.T, m *Model, cfg ProgramConfig) *Program {
	t.Helper()
	p, err := m.design(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.makeInputs(); err != nil {
		t.Fatal(err)
	}
	p.machine = gorgonia.NewTapeMachine(p.graph)
	t.Cleanup(func() { p.Close() })
	return p
}

func randomState(t *testing.T, m *Model, batch int) *State {
	t.Helper()
	s, err := m.NewState(batch)
	if err != nil {
		t.Fatal(err)
	}
	// What a model has come to after some text: arbitrary numbers are no state.
	p := onTape(t, m, ProgramConfig{Batch: batch, Steps: 5, Carry: true})
	runProgram(t, p, testutil.Tokens(6, 5*batch, 11), nil, s)
	return s
}

func wantSameStates(t *testing.T, what string, got, want *State) {
	t.Helper()
	wantStates(t, what, got, want, 0)
}

// wantStates wants states whose numbers are not further apart than allowed.
func wantStates(t *testing.T, what string, got, want *State, allowed float64) {
	t.Helper()
	for i, p := range want.Clone().Tensors() {
		q := got.Clone().Tensors()[i]
		if q.Name != p.Name || !(golden.Apart(floatsOf(q.Value), floatsOf(p.Value), 1) <= allowed) {
			t.Errorf("%s: the state's %s differs", what, p.Name)
		}
	}
}

// TestProgramsEqualTheTapeMachine runs programs as they run and on the tape
// machine: the same logits, losses and states to the bit and the same gradients to
// rounding, run after run, from a state and from the start.
func TestProgramsEqualTheTapeMachine(t *testing.T) {
	hostOnly(t)
	plain, dropping := smallConfig(), smallConfig()
	plain.SLSTMBlock.SLSTM.Conv1dKernelSize = 0
	dropping.Dropout, dropping.AddEmbeddingDropout = 0.2, true
	configs := otherCells()
	configs["plain"], configs["dropping"] = plain, dropping
	for name, cfg := range configs {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			m := smallModel(t, cfg, dt)
			for _, c := range []ProgramConfig{
				{Batch: 1, Steps: 1, Carry: true},
				{Batch: 2, Steps: 3, Carry: true, Loss: true, FwdConfig: FwdConfig{Training: true}},
				{Batch: 1, Steps: 70, Carry: true},
				{Batch: 2, Steps: 9, Carry: true, FwdConfig: FwdConfig{Form: nodes.Recurrent}},
				{Batch: 3, Steps: 7, Loss: true, FwdConfig: FwdConfig{Form: nodes.Parallel, Training: true}},
				{Batch: 2, Steps: 70, Grad: true, FwdConfig: FwdConfig{Training: true}},
				{Batch: 2, Steps: 9, Grad: true, Carry: true, WithResets: true, FwdConfig: FwdConfig{Training: true}},
				{Batch: 1, Steps: 5, Grad: true, Carry: true, FwdConfig: FwdConfig{Form: nodes.Recurrent}},
			} {
				t.Run(fmt.Sprintf("%s %v %d×%d %v", name, dt, c.Batch, c.Steps, c.Grad), func(t *testing.T) { equalsTape(t, m, c) })
			}
		}
	}
}

// TestLargeProgramsEqualTheTapeMachine is the same for the xLSTM-7B architecture.
func TestLargeProgramsEqualTheTapeMachine(t *testing.T) {
	hostOnly(t)
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		for _, mode := range []string{"single", "fused"} {
			m := smallLarge(t, mode, dt)
			for _, c := range []ProgramConfig{
				{Batch: 1, Steps: 1, Carry: true},
				{Batch: 2, Steps: 70, Grad: true},
				{Batch: 2, Steps: 9, Grad: true, Carry: true, WithResets: true},
			} {
				t.Run(fmt.Sprintf("%s %v %d×%d %v", mode, dt, c.Batch, c.Steps, c.Grad), func(t *testing.T) { equalsTape(t, m, c) })
			}
		}
	}
}

func equalsTape(t *testing.T, m *Model, c ProgramConfig) {
	p, tape := compileProgram(t, m, c), onTape(t, m, c)
	if _, ok := p.machine.(*nodes.Sequence); !ok {
		t.Fatalf("the program runs on a %T", p.machine)
	}
	var state, tapeState *State
	if c.Carry {
		state = randomState(t, m, c.Batch)
		tapeState = state.Clone()
	}
	for run := range 4 {
		if run == 3 {
			state, tapeState = nil, nil // from the start
		}
		in := Input{Tokens: testutil.Tokens(uint64(run), c.Batch*c.Steps, 11), Targets: testutil.Tokens(7, c.Batch*c.Steps, 11), Dropout: DropoutKey{Seed: 3, Step: run}}
		if c.WithResets {
			in.Starts = make([]bool, c.Batch*c.Steps)
			in.Starts[run], in.Starts[c.Steps+1] = true, true
		}
		in.State = state
		runInput(t, p, in)
		in.State = tapeState
		runInput(t, tape, in)
		wantSameOutputs(t, p, tape)
		if state != nil {
			wantSameStates(t, "after a run", state, tapeState)
		}
	}
	if at := p.FirstNonFinite(); at != "" {
		t.Errorf("%s is not finite", at)
	}
}

func wantSameOutputs(t *testing.T, p, tape *Program) {
	t.Helper()
	got, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	want, err := tape.Logits()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(floatsOf(got), floatsOf(want)) {
		t.Error("the logits differ")
	}
	for i, s := range p.States() {
		for k, n := range s.Nodes() {
			if !slices.Equal(floatsOf(n.Value()), floatsOf(tape.States()[i].Nodes()[k].Value())) {
				t.Errorf("block %d: the nodes of state %d differ", i, k)
			}
		}
	}
	if p.loss == nil {
		return
	}
	loss, err := p.Loss()
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := tape.Loss(); loss != want {
		t.Errorf("the loss is %v, want %v", loss, want)
	}
	for i, n := range p.Model() {
		if !p.cfg.Grad {
			continue
		}
		if d := golden.Apart(gradOf(t, n), gradOf(t, tape.Model()[i]), 0.1); d > rounding(p.model) {
			t.Errorf("the gradients of %s are %.2g apart", n.Name(), d)
		}
	}
}

// rounding is how far gradients may be apart, relative to the largest element, if
// fused operations add in another order.
func rounding(m *Model) float64 {
	if m.Dtype() == tensor.Float32 {
		return 1e-5
	}
	return 1e-13
}

func gradOf(t *testing.T, n *gorgonia.Node) []float64 {
	t.Helper()
	g, err := n.Grad()
	if err != nil {
		t.Fatal(err)
	}
	return floatsOf(g)
}

// TestStateIsGivenBackAfterAnError: a run that fails leaves the caller's state.
func TestStateIsGivenBackAfterAnError(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	p := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 2, Carry: true, Loss: true})
	state := randomState(t, m, 1)
	before := state.Clone()
	if err := p.Run(Input{Tokens: []int{1, 2}, Targets: []int{1, 11}, State: state}); err == nil {
		t.Fatal("a target outside the vocabulary is accepted")
	}
	wantSameStates(t, "after the error", state, before)
	runProgram(t, p, []int{1, 2}, []int{1, 3}, state)
	fresh := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 2, Carry: true})
	runProgram(t, fresh, []int{1, 2}, nil, before)
	wantSameStates(t, "in the next run", state, before)
}

// TestGeneratorCarriesItsStateBetweenPrograms reads texts that take programs of
// several sizes and compares the state with that of runs of those sizes. They
// agree to rounding, because a generator adds single steps to its memories in
// another order.
func TestGeneratorCarriesItsStateBetweenPrograms(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float64)
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	state, err := m.NewState(1)
	if err != nil {
		t.Fatal(err)
	}
	tokens := testutil.Tokens(8, 200, 11)
	at := 0
	read := func(n int, sizes ...int) {
		t.Helper()
		if err := g.Read(tokens[at : at+n]...); err != nil {
			t.Fatal(err)
		}
		for _, size := range sizes {
			p := onTape(t, m, ProgramConfig{Batch: 1, Steps: size, Carry: true})
			runProgram(t, p, tokens[at:at+size], nil, state)
			at += size
		}
		wantStates(t, fmt.Sprintf("after %d tokens", at), g.State(), state, 1e-12)
	}
	read(2, 1, 1)
	read(74, 64, 8, 1, 1)
	read(9, 8, 1)

	saved := g.State().Clone()
	read(1, 1)
	if err := g.State().Set(saved); err != nil { // and what was read last is unread
		t.Fatal(err)
	}
	at, state = at-1, saved
	read(65, 64, 1)

	if err := g.Read(11); err == nil {
		t.Error("a token outside the vocabulary is read")
	}
	wantStates(t, "after an error", g.State(), state, 1e-12)
	g.Reset()
	state.Reset()
	read(8, 8)
}
