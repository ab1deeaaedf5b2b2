package xlstm

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
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
	// Batch is the number of sequences, Steps the number of tokens in each. With
	// a Group it is the number on all ranks together. On a CPU, 16 or more
	// sequences may be computed in parts, which depend on these numbers alone; their
	// gradients are added up.
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
	// Frozen reports by its name whether a parameter stays as it is; nil means
	// none; see ProgramConfig.
	Frozen func(name string) bool
	// Group is the ranks that train the model together, each on its rows of
	// every batch; nil means this process alone. The ranks must call the same
	// methods of the trainer in the same order, with the same arguments.
	Group dist.Group
	// ShardOptimizer divides the solver's state over the ranks of Group: each
	// keeps the moments of its share of the parameters, updates that share, and
	// gets the rest from the others. The training is the same, but for rounding
	// in the norm of the gradients on devices; checkpoints do not depend on it.
	// The solver must be optim.Adam, optim.AdamW or, without a device, any other
	// of package optim.
	ShardOptimizer bool
}

// Trainer trains a model: it runs batches forward and backward and updates the
// parameters with a solver. Its position can be saved and restored; a resumed
// run is the same, to the bit, as one that never stopped. It must be closed
// after use.
type Trainer struct {
	cfg     TrainerConfig
	model   *Model
	program *Program // of a part of the batch if there are parts
	parts   *parts   // nil if a batch is run as a whole
	solver  Solver
	step    int
	state   *State      // carried, nil without Carry
	before  *State      // the carried state before the current step
	means   []*meanGrad // nil for one batch a step on one rank, run as a whole
	ranks   *ranks      // nil for one rank
	shard   *shard      // nil if the solver has the state of all parameters
	remote  *remoteTrainer
}

// NewTrainer compiles the model for training with the solver. If a device has not
// enough memory, the error says how much is needed, and which batch would fit.
func (m *Model) NewTrainer(solver Solver, cfg TrainerConfig) (*Trainer, error) {
	t, err := m.newTrainer(solver, cfg)
	var full *device.MemoryError
	if errors.As(err, &full) {
		err = m.explain(full, cfg)
	}
	return t, err
}

func (m *Model) newTrainer(solver Solver, cfg TrainerConfig) (*Trainer, error) {
	if cfg.Accumulate == 0 {
		cfg.Accumulate = 1
	}
	if cfg.Accumulate < 0 {
		return nil, errors.Errorf("xlstm: gradients of %d batches cannot be accumulated; it must be at least 1", cfg.Accumulate)
	}
	rows, err := rowsOf(&cfg)
	if err != nil {
		return nil, err
	}
	pcfg := ProgramConfig{Batch: rows, Steps: cfg.Steps, Grad: true, Carry: cfg.Carry, WithResets: cfg.WithResets, Frozen: cfg.Frozen, FwdConfig: FwdConfig{Training: true}, dropLogits: true}
	if cfg.Group.Size() == 1 {
		pcfg.Batch = m.partRows(rows, cfg.Steps)
	}
	p, err := m.Compile(pcfg)
	if err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, model: m, program: p, solver: solver}
	if cfg.Carry {
		if t.state, err = m.NewState(rows); err != nil {
			p.Close()
			return nil, err
		}
		t.before = t.state.Clone()
	}
	if pcfg.Batch < rows {
		if err := t.newParts(pcfg); err != nil {
			t.Close()
			return nil, err
		}
	}
	if err := t.prepareGradients(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// prepareGradients makes what is needed beyond the program's gradients: on a
// device, for several batches a step, and for several ranks.
func (t *Trainer) prepareGradients() error {
	if t.cfg.Group.Size() > 1 {
		if err := t.newRanks(); err != nil {
			return err
		}
	}
	if t.ranks != nil && t.cfg.ShardOptimizer {
		bucket := bucketSize
		if t.model.home != nil {
			bucket = deviceBucket(sizesOf(t.program.Model()))
		}
		var err error
		if t.shard, err = newShard(t.cfg.Group, t.program.Model(), bucket); err != nil {
			return err
		}
	}
	switch {
	case t.model.home != nil:
		return t.newRemoteTrainer()
	case t.ranks != nil:
		return t.divideGradients()
	case t.cfg.Accumulate > 1, t.parts != nil:
		for _, n := range t.program.Model() {
			t.means = append(t.means, newMeanGrad(n, tensor.New(tensor.Of(t.model.Dtype()), tensor.WithShape(n.Shape()...))))
		}
	}
	return nil
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

// Step takes the next Accumulate batches from next and updates the model. With
// several ranks, next returns the batches of all ranks together, the same on
// each; a rank computes its rows. If
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
		b := next()
		counted := b.Counted()
		s := share{first: r.Targets == 0, weight: 1}
		r.Tokens += len(b.Inputs)
		r.Targets += counted
		if counted > 0 {
			s.of = float64(counted) / float64(r.Targets)
		}
		loss, err := t.pass(i, b, &s)
		if err != nil {
			return r, err
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			r.Loss = loss
			return r, t.refuse(&NonFiniteError{Step: t.step, Loss: loss})
		}
		r.Loss += (loss - r.Loss) * s.of
		if err := t.accumulate(s); err != nil {
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

// share is how a batch counts in a step.
type share struct {
	first bool    // reports whether no earlier batch counts
	of    float64 // of the targets up to this batch; 0 if none of its targets counts
	// weight is the share of this rank's targets in those of the batch.
	weight float64
}

// pass runs this rank's rows of a batch forward and backward and returns the loss
// of the whole batch.
func (t *Trainer) pass(i int, b data.Batch, s *share) (float64, error) {
	if t.state != nil && b.Fresh {
		t.state.Reset()
	}
	in := Input{State: t.state, Dropout: DropoutKey{Seed: int(t.cfg.Seed), Step: t.step*t.cfg.Accumulate + i}}
	if t.ranks != nil {
		return t.passRanks(in, b, s)
	}
	if t.parts != nil {
		return t.passParts(in, b, *s)
	}
	return t.passRows(in, b, b.Counted())
}

// passRows runs rows forward and backward and returns their loss. counted is the
// number of targets that count in the whole batch.
func (t *Trainer) passRows(in Input, b data.Batch, counted int) (float64, error) {
	in.Tokens, in.Targets = b.Inputs, b.Targets
	if t.cfg.WithResets {
		in.Starts = b.Starts
	}
	step, err := t.launch(counted)
	if err != nil {
		return 0, err
	}
	if err := t.program.runBy(in, step); err != nil {
		return 0, err
	}
	return t.program.Loss()
}

// accumulate takes the gradients of a batch into the step's means. Ranks and parts
// have done so while they computed them.
func (t *Trainer) accumulate(s share) error {
	if s.of == 0 || t.ranks != nil || t.parts != nil {
		return nil
	}
	for _, m := range t.means {
		g, err := m.Node.Grad()
		if err != nil {
			return err
		}
		m.add(g, s)
	}
	if t.remote != nil {
		return t.remote.add(s.of)
	}
	return nil
}

// update lets the solver step.
func (t *Trainer) update() error {
	t.model.turns.Lock()
	defer t.model.turns.Unlock()
	if t.ranks != nil && t.remote == nil {
		if err := t.ranks.sumRest(); err != nil {
			return err
		}
	}
	switch {
	case t.remote != nil:
		return t.stepRemote()
	case t.shard != nil:
		return t.shard.step(t.solver, t.means, t.valueGrads())
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
	e.Node = t.firstNonFinite()
	return e
}

// Steps returns the number of steps so far.
func (t *Trainer) Steps() int { return t.step }

// Close releases the compiled graphs.
func (t *Trainer) Close() error {
	if err := t.remote.close(); err != nil {
		return err
	}
	if t.parts != nil {
		if err := t.parts.close(); err != nil {
			return err
		}
	}
	return t.program.Close()
}

// meanGrad is a parameter whose gradient is a mean over several batches, or over
// the batch of several ranks.
type meanGrad struct {
	*gorgonia.Node
	mean *tensor.Dense
}

func newMeanGrad(n *gorgonia.Node, mean *tensor.Dense) *meanGrad {
	return &meanGrad{Node: n, mean: mean}
}

// Grad returns the mean.
func (m *meanGrad) Grad() (gorgonia.Value, error) { return m.mean, nil }

// add takes the node's gradient g, of rows that count as the share says, into the
// mean.
func (m *meanGrad) add(g gorgonia.Value, s share) {
	mean, x := floats.Of(m.mean.Data()), floats.Of(g.Data())
	switch {
	case s.weight != 1 && s.first:
		mean.Blend(0, x, s.weight)
	case s.weight != 1:
		mean.Blend(1-s.of, x, s.weight*s.of)
	case s.first:
		mean.Copy(x)
	default:
		mean.Move(x, s.of)
	}
}
