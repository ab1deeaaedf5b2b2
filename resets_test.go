package xlstm

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

const resetSteps = 9

// resetModels are models of all architectures.
func resetModels(t *testing.T) map[string]*Model {
	models := map[string]*Model{"paper": smallModel(t, smallConfig(), tensor.Float64), "large": smallLarge(t, SingleWeights, tensor.Float64)}
	for name, cfg := range otherCells() {
		models[name] = smallModel(t, cfg, tensor.Float64)
	}
	return models
}

// startsAt marks the steps of two sequences.
func startsAt(steps [2][]int) []bool {
	starts := make([]bool, 2*resetSteps)
	for b, ts := range steps {
		for _, t := range ts {
			starts[b*resetSteps+t] = true
		}
	}
	return starts
}

// resetRun is what a run leaves.
type resetRun struct {
	logits []float64
	grads  [][]float64
	state  *State
}

// runResets runs a program from a copy of state; starts may be nil.
func runResets(t *testing.T, p *Program, starts []bool, inputs, targets []int, state *State) resetRun {
	t.Helper()
	r := resetRun{state: state.Clone()}
	runInput(t, p, Input{Tokens: inputs, Targets: targets, Starts: starts, State: r.state})
	logits, err := p.Logits()
	if err != nil {
		t.Fatal(err)
	}
	r.logits = slices.Clone(floatsOf(logits))
	for _, n := range p.Model() {
		if g, err := n.Grad(); err == nil && p.cfg.Grad {
			r.grads = append(r.grads, slices.Clone(floatsOf(g)))
		}
	}
	return r
}

func TestModelResetsEqualDocumentsAlone(t *testing.T) {
	hostOnly(t)
	for arch, m := range resetModels(t) {
		for name, starts := range map[string][2][]int{
			"none": {}, "first and last": {{0}, {8}}, "two in a row": {{4, 5}, {3, 7}}, "many": {{0, 1, 2, 6}, {1, 2, 3, 4, 5, 6, 7, 8}},
		} {
			for _, fwd := range []FwdConfig{{}, {Chunk: 1}, {Chunk: 3}, {Form: nodes.Recurrent}} {
				t.Run(fmt.Sprintf("%s/%s/%d chunk %d", arch, name, fwd.Form, fwd.Chunk), func(t *testing.T) {
					equalsDocuments(t, m, fwd, startsAt(starts))
				})
			}
		}
	}
}

// equalsDocuments compares a batch with its documents one by one: those that begin
// in it from no state, the others from the carried one.
func equalsDocuments(t *testing.T, m *Model, fwd FwdConfig, starts []bool) {
	const total = 2 * resetSteps
	tokens := testutil.Tokens(2, total+1, 11)
	inputs, targets := tokens[:total], tokens[1:]
	state := randomState(t, m, 2)
	p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: resetSteps, Grad: true, Carry: true, WithResets: true, FwdConfig: fwd})
	got := runResets(t, p, starts, inputs, targets, state)
	vocab, sums := len(got.logits)/total, make([][]float64, len(got.grads))
	for i, g := range got.grads {
		sums[i] = make([]float64, len(g))
	}
	for from := 0; from < total; {
		to := from + 1
		for to%resetSteps != 0 && !starts[to] {
			to++
		}
		b := from / resetSteps
		begin, end := oneState(t, m, nil, 0), oneState(t, m, got.state, b)
		if !starts[from] {
			begin = oneState(t, m, state, b)
		}
		one := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: to - from, Grad: true, Carry: true, FwdConfig: fwd})
		want := runResets(t, one, nil, inputs[from:to], targets[from:to], begin)
		testutil.Near(t, fmt.Sprintf("logits from %d", from), got.logits[from*vocab:to*vocab], want.logits, 1e-10)
		for i, g := range want.grads {
			for j, v := range g {
				sums[i][j] += v * float64(to-from) / total
			}
		}
		for i, s := range want.state.Tensors() {
			if to%resetSteps == 0 {
				testutil.Near(t, s.Name, floatsOf(end.Tensors()[i].Value), floatsOf(s.Value), 1e-10)
			}
		}
		from = to
	}
	for i, param := range m.Params() {
		testutil.Near(t, "gradient of "+param.Name, got.grads[i], sums[i], 1e-10)
	}
}

// oneState is the state of text b, the empty one of nil.
func oneState(t *testing.T, m *Model, from *State, b int) *State {
	t.Helper()
	s, err := m.NewState(1)
	if err == nil && from != nil {
		err = s.SetText(0, from, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNothingLeaksOverAReset: other tokens and another state before a document
// change nothing in it, to the bit; nor does running it again, nor without
// gradients.
func TestNothingLeaksOverAReset(t *testing.T) {
	hostOnly(t)
	starts := startsAt([2][]int{{4, 5}, {3}})
	for arch, m := range resetModels(t) {
		inputs := testutil.Tokens(2, 2*resetSteps, 11)
		other := slices.Clone(inputs)
		for _, i := range []int{0, 1, 2, 3, 4, 9, 10, 11} { // before 5 of the one and 3 of the other
			other[i] = (other[i] + 1 + i%3) % 11
		}
		state := randomState(t, m, 2)
		empty, err := m.NewState(2)
		if err != nil {
			t.Fatal(err)
		}
		for _, grad := range []bool{true, false} {
			p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: resetSteps, Grad: grad, Carry: true, WithResets: true})
			a := runResets(t, p, starts, inputs, inputs, state)
			b := runResets(t, p, starts, other, inputs, empty)
			again := runResets(t, p, starts, inputs, inputs, state)
			vocab := len(a.logits) / (2 * resetSteps)
			for _, rows := range [][2]int{{5, 9}, {12, 18}} {
				if from, to := rows[0]*vocab, rows[1]*vocab; !slices.Equal(a.logits[from:to], b.logits[from:to]) {
					t.Errorf("%s, gradients %v: what came before changes the logits from %d on", arch, grad, rows[0])
				}
			}
			if slices.Equal(a.logits[:vocab], b.logits[:vocab]) {
				t.Errorf("%s: other tokens change nothing before the document either", arch)
			}
			wantSameStates(t, arch, b.state, a.state)
			wantSameStates(t, arch+" again", again.state, a.state)
			if !slices.Equal(a.logits, again.logits) || !slices.EqualFunc(a.grads, again.grads, slices.Equal[[]float64]) {
				t.Errorf("%s: a second run differs", arch)
			}
		}
	}
}

// TestUnsetResetsChangeNothing: without documents that begin, a program gives what
// one without resets gives, to the bit.
func TestUnsetResetsChangeNothing(t *testing.T) {
	hostOnly(t)
	for arch, m := range resetModels(t) {
		inputs, state := testutil.Tokens(2, 2*resetSteps, 11), randomState(t, m, 2)
		cfg := ProgramConfig{Batch: 2, Steps: resetSteps, Grad: true, Carry: true}
		want := runResets(t, compileProgram(t, m, cfg), nil, inputs, inputs, state)
		cfg.WithResets = true
		got := runResets(t, compileProgram(t, m, cfg), nil, inputs, inputs, state)
		wantSameStates(t, arch, got.state, want.state)
		if !slices.Equal(got.logits, want.logits) || !slices.EqualFunc(got.grads, want.grads, slices.Equal[[]float64]) {
			t.Errorf("%s: resets that are not set change logits or gradients", arch)
		}
	}
}

func TestResetGradientsAreExact(t *testing.T) {
	hostOnly(t)
	starts := startsAt([2][]int{{4, 5}, {8}})
	for arch, m := range resetModels(t) {
		tokens, state := testutil.Tokens(2, 2*resetSteps+1, 11), randomState(t, m, 2)
		p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: resetSteps, Grad: true, Carry: true, WithResets: true})
		run := func() (float64, [][]float64) {
			r := runResets(t, p, starts, tokens[:2*resetSteps], tokens[1:], state)
			loss, err := p.Loss()
			if err != nil {
				t.Fatal(err)
			}
			return loss, r.grads
		}
		_, want := run()
		for k, param := range m.Params() {
			const h = 1e-5
			x := param.Value.Float64s()
			i := len(x) / 2
			old := x[i]
			x[i] = old + h
			up, _ := run()
			x[i] = old - h
			down, _ := run()
			x[i] = old
			if got := (up - down) / (2 * h); math.Abs(got-want[k][i]) > 1e-7 {
				t.Errorf("%s: the gradient of %s[%d] is %.9g, central differences give %.9g", arch, param.Name, i, want[k][i], got)
			}
		}
	}
}

func TestResetErrorsSayWhatIsWrong(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float64)
	in := Input{Tokens: []int{1, 2}, Starts: make([]bool, 3)}
	if err := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 2}).Run(in); err == nil || !strings.Contains(err.Error(), "WithResets") {
		t.Errorf("resets for a program without: %v", err)
	}
	if err := compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 2, WithResets: true}).Run(in); err == nil || !strings.Contains(err.Error(), "3 positions") {
		t.Errorf("resets of another length: %v", err)
	}
	if _, err := m.Compile(ProgramConfig{Batch: 1, Steps: 2, WithResets: true, FwdConfig: FwdConfig{Symbolic: true}}); err == nil || !strings.Contains(err.Error(), "symbolic") {
		t.Errorf("resets in symbolic cells: %v", err)
	}
}
