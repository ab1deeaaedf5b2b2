package xlstm

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Solver is an optimiser for a Trainer; those of package optim implement it.
type Solver interface {
	gorgonia.Solver
	// LR and GradNorm return the learning rate of the last step and the norm of
	// all its gradients before clipping.
	LR() float64
	GradNorm() float64
	State() optim.State
	SetState(optim.State) error
}

// TrainerConfig configures a Trainer.
type TrainerConfig struct {
	// Batch is the number of sequences, Steps the number of tokens in each.
	Batch, Steps int
	// Accumulate is the number of batches per update, which are treated as one
	// large batch: loss and gradients are means over all their targets that
	// count. 0 means 1.
	Accumulate int
	// Carry starts every batch from the final state of the previous batch,
	// unless the batch is fresh (see data.Batch).
	Carry bool
	// WithResets resets the state where documents begin within a batch, at its
	// Starts.
	WithResets bool
	// Seed of the dropout.
	Seed uint64
}

// Trainer trains a model: it runs batches forward and backward and updates the
// parameters with a solver. Its position can be saved and restored; a resumed
// run is the same, to the bit, as one that never stopped. It must be closed
// after use.
type Trainer struct {
	cfg     TrainerConfig
	model   *Model
	program *Program
	solver  Solver
	step    int
	state   *State      // carried, nil without Carry
	before  *State      // the carried state before the current step
	means   []*meanGrad // nil for one batch a step
	remote  *remoteTrainer
}

// NewTrainer compiles the model for training with the solver.
func (m *Model) NewTrainer(solver Solver, cfg TrainerConfig) (*Trainer, error) {
	if cfg.Accumulate == 0 {
		cfg.Accumulate = 1
	}
	if cfg.Accumulate < 0 {
		return nil, errors.Errorf("xlstm: gradients of %d batches cannot be accumulated; it must be at least 1", cfg.Accumulate)
	}
	p, err := m.Compile(ProgramConfig{Batch: cfg.Batch, Steps: cfg.Steps, Grad: true, Carry: cfg.Carry, WithResets: cfg.WithResets, FwdConfig: FwdConfig{Training: true}})
	if err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, model: m, program: p, solver: solver}
	if cfg.Carry {
		if t.state, err = m.NewState(cfg.Batch); err != nil {
			p.Close()
			return nil, err
		}
		t.before = t.state.Clone()
	}
	if m.home != nil {
		if err := t.newRemoteTrainer(); err != nil {
			t.Close()
			return nil, err
		}
		return t, nil
	}
	if cfg.Accumulate > 1 {
		for _, n := range p.Model() {
			t.means = append(t.means, newMeanGrad(n, m.Dtype()))
		}
	}
	return t, nil
}

// StepReport describes one training step.
type StepReport struct {
	Step     int     // counted from 1, including steps that were not applied
	Loss     float64 // mean cross entropy in nats before the update, over Targets; 0 without any
	GradNorm float64 // of all gradients together, before clipping
	LR       float64 // the learning rate; 0 if the step was not applied
	Tokens   int     // read in this step
	Targets  int     // tokens that counted in the loss
}

// NonFiniteError is the error of a step whose loss or gradients are not finite.
// The step was not applied: weights, moments and the carried state are
// unchanged. The next call of Step continues with the next batch.
type NonFiniteError struct {
	Step           int
	Loss, GradNorm float64 // GradNorm is 0 if the loss was not finite
	// Param is the first parameter with a gradient that is not finite, or empty
	// if the loss was not finite.
	Param string
	// Node names the first node of the graph, in the order of computation,
	// whose value is not finite; empty if it could not be determined.
	Node string
}

func (e *NonFiniteError) Error() string {
	what := fmt.Sprintf("the loss of step %d is %v", e.Step, e.Loss)
	if e.Param != "" {
		what = fmt.Sprintf("the gradient of %s in step %d is not finite", e.Param, e.Step)
	}
	if e.Node == "" {
		return "xlstm: " + what
	}
	return fmt.Sprintf("xlstm: %s; the first value that is not finite is of %s", what, e.Node)
}

// Step takes the next Accumulate batches from next and updates the model. If
// none of their targets counts, the batches are read, which advances a carried
// state, but neither the weights nor the solver are updated. After a
// *NonFiniteError the step was not applied and training may continue; after any
// other error the trainer must not be used.
func (t *Trainer) Step(next func() data.Batch) (StepReport, error) {
	t.step++
	r := StepReport{Step: t.step}
	if t.state != nil {
		if err := t.before.Set(t.state); err != nil {
			return r, err
		}
	}
	for i := range t.cfg.Accumulate {
		loss, b, err := t.pass(i, next())
		if err != nil {
			return r, err
		}
		r.Tokens += len(b.Inputs)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			r.Loss = loss
			return r, t.refuse(&NonFiniteError{Step: t.step, Loss: loss})
		}
		if err := t.accumulate(&r, loss, b.Counted()); err != nil {
			return r, err
		}
	}
	if r.Targets == 0 {
		return r, nil
	}
	err := t.update()
	var bad *optim.NonFiniteError
	if errors.As(err, &bad) {
		r.GradNorm = bad.Norm
		return r, t.refuse(&NonFiniteError{Step: t.step, Loss: r.Loss, GradNorm: bad.Norm, Param: bad.Param})
	}
	r.GradNorm, r.LR = t.solver.GradNorm(), t.solver.LR()
	return r, errors.Wrapf(err, "xlstm: step %d", t.step)
}

// pass runs one batch forward and backward.
func (t *Trainer) pass(i int, b data.Batch) (float64, data.Batch, error) {
	if t.state != nil && b.Fresh {
		t.state.Reset()
	}
	in := Input{
		Tokens: b.Inputs, Targets: b.Targets, State: t.state,
		Dropout: DropoutKey{Seed: int(t.cfg.Seed), Step: t.step*t.cfg.Accumulate + i},
	}
	if t.cfg.WithResets {
		in.Starts = b.Starts
	}
	step, err := t.launch(b.Counted())
	if err != nil {
		return 0, b, err
	}
	if err := t.program.runBy(in, step); err != nil {
		return 0, b, err
	}
	loss, err := t.program.Loss()
	return loss, b, err
}

// accumulate takes a batch in which so many targets count into the step's means.
func (t *Trainer) accumulate(r *StepReport, loss float64, counted int) error {
	if counted == 0 {
		return nil
	}
	first := r.Targets == 0
	r.Targets += counted
	share := float64(counted) / float64(r.Targets)
	r.Loss += (loss - r.Loss) * share
	for _, m := range t.means {
		if err := m.add(first, share); err != nil {
			return err
		}
	}
	if t.remote != nil {
		return t.remote.add(share)
	}
	return nil
}

// update lets the solver step.
func (t *Trainer) update() error {
	t.model.turns.Lock()
	defer t.model.turns.Unlock()
	if t.remote != nil {
		return t.stepRemote()
	}
	return t.solver.Step(t.valueGrads())
}

func (t *Trainer) valueGrads() []gorgonia.ValueGrad {
	if t.means == nil {
		return t.program.ValueGrads()
	}
	vs := make([]gorgonia.ValueGrad, len(t.means))
	for i, m := range t.means {
		vs[i] = m
	}
	return vs
}

// refuse undoes the changes of the current step, and completes its error.
func (t *Trainer) refuse(e *NonFiniteError) error {
	if t.state != nil {
		if err := t.state.Set(t.before); err != nil {
			return err
		}
	}
	e.Node = t.program.FirstNonFinite()
	return e
}

// Steps returns the number of steps so far.
func (t *Trainer) Steps() int { return t.step }

// Close releases the compiled graph.
func (t *Trainer) Close() error {
	if err := t.remote.close(); err != nil {
		return err
	}
	return t.program.Close()
}

// meanGrad is a parameter whose gradient is a mean over several batches.
type meanGrad struct {
	*gorgonia.Node
	mean *tensor.Dense
}

func newMeanGrad(n *gorgonia.Node, dt tensor.Dtype) *meanGrad {
	return &meanGrad{Node: n, mean: tensor.New(tensor.Of(dt), tensor.WithShape(n.Shape()...))}
}

// Grad returns the mean.
func (m *meanGrad) Grad() (gorgonia.Value, error) { return m.mean, nil }

// add takes the node's gradient into the mean, of which it is the given share, or
// makes it the mean if it is the first.
func (m *meanGrad) add(first bool, share float64) error {
	g, err := m.Node.Grad()
	if err != nil {
		return err
	}
	mean, x := floats.Of(m.mean.Data()), floats.Of(g.Data())
	if first {
		mean.Copy(x)
	} else {
		mean.Move(x, share)
	}
	return nil
}
