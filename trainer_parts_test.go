package xlstm

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestPartsDependOnShapesAlone: equal parts, of few tokens, and enough of them.
func TestPartsDependOnShapesAlone(t *testing.T) {
	hostOnly(t)
	m := smallModel(t, smallConfig(), tensor.Float32)
	for _, c := range []struct{ batch, steps, rows int }{
		{1, 8, 1}, {15, 8, 15}, {16, 8, 1}, {31, 8, 1}, {32, 8, 2}, {33, 8, 1}, {64, 8, 4}, {70, 8, 2}, {71, 8, 1},
		{128, 256, 2}, {128, 257, 1}, {16, 100000, 1},
	} {
		if rows := m.partRows(c.batch, c.steps); rows != c.rows {
			t.Errorf("%d × %d tokens: parts of %d sequences, want %d", c.batch, c.steps, rows, c.rows)
		}
	}
	cfg := smallConfig()
	cfg.VocabSize = 1024 // with embeddings and head, for more than 8 tokens and fewer than 16
	many := smallModel(t, cfg, tensor.Float32)
	for _, c := range []struct{ batch, steps, rows int }{{16, 8, 16}, {32, 8, 2}, {16, 16, 1}} {
		if rows := many.partRows(c.batch, c.steps); rows != c.rows {
			t.Errorf("many parameters, %d × %d tokens: parts of %d sequences, want %d", c.batch, c.steps, rows, c.rows)
		}
	}
	cfg.VocabSize = mostParams / 32
	if rows := smallModel(t, cfg, tensor.Float32).partRows(16, 512); rows != 16 {
		t.Errorf("too many parameters: parts of %d", rows)
	}
	lstm := DefaultLSTMConfig()
	lstm.VocabSize, lstm.EmbeddingDim = 11, 8
	if rows := smallModel(t, lstm, tensor.Float32).partRows(16, 8); rows != 16 {
		t.Errorf("a plain LSTM: parts of %d", rows)
	}
}

// partsCase is a training of which batches are run in parts.
type partsCase struct {
	cfg     TrainerConfig
	dropout float64
}

var partsCases = map[string]partsCase{
	"one sequence each":    {cfg: TrainerConfig{Batch: 17, Steps: 8}},
	"two sequences each":   {cfg: TrainerConfig{Batch: 34, Steps: 8}},
	"carry and resets":     {cfg: TrainerConfig{Batch: 32, Steps: 8, Carry: true, WithResets: true}},
	"dropout":              {cfg: TrainerConfig{Batch: 16, Steps: 8, Seed: 3}, dropout: 0.2},
	"several batches":      {cfg: TrainerConfig{Batch: 16, Steps: 8, Carry: true, Accumulate: 3}},
	"one parameter frozen": {cfg: TrainerConfig{Batch: 16, Steps: 8, Frozen: func(name string) bool { return strings.HasSuffix(name, "proj_up.weight") }}},
}

func (c partsCase) model(t *testing.T, dt tensor.Dtype) *Model {
	cfg := smallConfig()
	cfg.Dropout, cfg.AddEmbeddingDropout = c.dropout, c.dropout > 0
	return smallModel(t, cfg, dt)
}

// batches returns what yields random batches, in which some targets do not count:
// all of the sequences 2 to 5, and in every second batch all but three.
func (c partsCase) batches(t *testing.T) func() data.Batch {
	seed := uint64(0)
	return func() data.Batch {
		seed++
		n := c.cfg.Batch * c.cfg.Steps
		b := data.Batch{B: c.cfg.Batch, T: c.cfg.Steps, Inputs: testutil.Tokens(seed, n, 11), Targets: testutil.Tokens(seed+100, n, 11), Fresh: seed == 1}
		for i := range b.Targets {
			if row := i / b.T; 2 <= row && row < 6 || seed%2 == 0 && i > 2 {
				b.Targets[i] = data.Ignore
			}
		}
		return b.MarkStarts(5)
	}
}

// TestPartsEqualTheWholeBatch, as a program of the same model computes it.
func TestPartsEqualTheWholeBatch(t *testing.T) {
	hostOnly(t)
	for name, c := range partsCases {
		t.Run(name, func(t *testing.T) {
			m := c.model(t, tensor.Float64)
			tr, next := newTestTrainer(t, m, c.cfg), c.batches(t)
			seen := &seeingSolver{Solver: tr.solver}
			tr.solver = seen
			whole := compileProgram(t, m, ProgramConfig{Batch: c.cfg.Batch, Steps: 8, Grad: true, Carry: c.cfg.Carry, WithResets: c.cfg.WithResets, Frozen: c.cfg.Frozen, FwdConfig: FwdConfig{Training: true}})
			state, err := m.NewState(c.cfg.Batch)
			if err != nil {
				t.Fatal(err)
			}
			for step := 1; step <= 3; step++ {
				var batches []data.Batch
				for range max(1, c.cfg.Accumulate) {
					batches = append(batches, next())
				}
				loss, grads := c.wholeStep(t, whole, state, step, batches)
				k := 0
				r, err := tr.Step(func() data.Batch { k++; return batches[k-1] })
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(r.Loss-loss) > 1e-12 {
					t.Errorf("step %d: loss %v, of the whole batch %v", step, r.Loss, loss)
				}
				for i, n := range whole.Model() {
					if d := golden.Apart(seen.grads[i], grads[i], 1e-9); d > 1e-10 {
						t.Errorf("step %d: the gradient of %s is %.3g away", step, n.Name(), d)
					}
				}
			}
			for i, part := range state.tensors {
				if !c.cfg.Carry {
					break
				}
				if d := golden.Apart(floatsOf(tr.state.tensors[i].Value), floatsOf(part.Value), 1e-9); d > 1e-10 {
					t.Errorf("the carried %s is %.3g away", part.Name, d)
				}
			}
		})
	}
}

// seeingSolver keeps the gradients that a solver is given.
type seeingSolver struct {
	Solver
	grads [][]float64
}

func (s *seeingSolver) Step(params []gorgonia.ValueGrad) error {
	s.grads = nil
	for _, p := range params {
		g, err := p.Grad()
		if err != nil {
			return err
		}
		s.grads = append(s.grads, slices.Clone(floatsOf(g.(*tensor.Dense))))
	}
	return s.Solver.Step(params)
}

// wholeStep returns the loss and the gradients of the batches of a step.
func (c partsCase) wholeStep(t *testing.T, p *Program, state *State, step int, batches []data.Batch) (loss float64, grads [][]float64) {
	targets := 0
	for _, b := range batches {
		targets += b.Counted()
	}
	for i, b := range batches {
		in := Input{Tokens: b.Inputs, Targets: b.Targets, Dropout: DropoutKey{Seed: int(c.cfg.Seed), Step: step*len(batches) + i}}
		if c.cfg.Carry {
			in.State = state
		}
		if c.cfg.WithResets {
			in.Starts = b.Starts
		}
		if err := p.Run(in); err != nil {
			t.Fatal(err)
		}
		of, err := p.Loss()
		if err != nil {
			t.Fatal(err)
		}
		share := float64(b.Counted()) / float64(targets)
		loss += share * of
		for k, n := range p.Model() {
			g, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				grads = append(grads, make([]float64, g.Shape().TotalSize()))
			}
			for j, x := range floatsOf(g.(*tensor.Dense)) {
				grads[k][j] += share * x
			}
		}
	}
	return loss, grads
}

// TestPartsOnAnyNumberOfCores: the same bits, also where the parts do not divide.
func TestPartsOnAnyNumberOfCores(t *testing.T) {
	hostOnly(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, c := range partsCases {
		t.Run(name, func(t *testing.T) {
			var want []float64
			for _, procs := range []int{1, 3, 18} {
				runtime.GOMAXPROCS(procs)
				m := c.model(t, tensor.Float32)
				tr, next := newTestTrainer(t, m, c.cfg), c.batches(t)
				var got []float64
				for range 3 {
					r, err := tr.Step(next)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, r.Loss, r.GradNorm)
				}
				got = append(got, weightsOf(m)...)
				if want == nil {
					want = got
				}
				if !slices.Equal(got, want) {
					t.Errorf("other bits on %d cores", procs)
				}
			}
		})
	}
}

// TestPartsRefuseBatchesAsAWhole: what is wrong has the position in the batch.
func TestPartsRefuseBatchesAsAWhole(t *testing.T) {
	hostOnly(t)
	c := partsCases["carry and resets"]
	good := c.batches(t)()
	for want, spoil := range map[string]func(b *data.Batch){
		"token 11 at position 200":    func(b *data.Batch) { b.Inputs[200] = 11 },
		"target -2 at position 255":   func(b *data.Batch) { b.Targets[255] = -2 },
		"ids holds 255 token ids":     func(b *data.Batch) { b.Inputs = b.Inputs[:255] },
		"targets holds 255 token ids": func(b *data.Batch) { b.Targets = b.Targets[:255] },
		"starts for 255 positions":    func(b *data.Batch) { b.Starts = b.Starts[:255] },
	} {
		b := good
		b.Inputs, b.Targets = slices.Clone(b.Inputs), slices.Clone(b.Targets)
		spoil(&b)
		_, err := newTestTrainer(t, c.model(t, tensor.Float32), c.cfg).Step(func() data.Batch { return b })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestPartsNameWhatIsNotFinite in one part alone: a token that only the last
// sequence has is broken.
func TestPartsNameWhatIsNotFinite(t *testing.T) {
	hostOnly(t)
	c := partsCases["several batches"]
	m := c.model(t, tensor.Float32)
	tr, next := newTestTrainer(t, m, c.cfg), c.batches(t)
	if _, err := tr.Step(next); err != nil {
		t.Fatal(err)
	}
	before := tr.state.Clone()
	w, _ := m.Param("token_embedding.weight")
	w.Data().([]float32)[10*w.Shape()[1]] = float32(math.Inf(1))
	_, err := tr.Step(func() data.Batch {
		b := next()
		for i := range b.Inputs {
			if b.Inputs[i] == 10 {
				b.Inputs[i] = 0
			}
		}
		b.Inputs[len(b.Inputs)-2] = 10
		return b
	})
	var bad *NonFiniteError
	if !errors.As(err, &bad) || !strings.HasPrefix(bad.Node, "token_embedding") {
		t.Errorf("%v", err)
	}
	for i, part := range tr.state.tensors {
		if golden.Apart(floatsOf(part.Value), floatsOf(before.tensors[i].Value), 1) != 0 {
			t.Errorf("the carried %s has changed", part.Name)
		}
	}
}
