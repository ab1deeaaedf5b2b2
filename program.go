package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ProgramConfig configures a Program.
type ProgramConfig struct {
	// Batch is the number of sequences, Steps the number of tokens in each.
	Batch, Steps int
	// Loss computes the loss; Run then needs targets.
	Loss bool
	// Grad computes the loss and its gradients with respect to all parameters.
	Grad bool
	// Carry makes every run start from the state given to Run and write the new
	// state back. Gradients do not flow into the state: backpropagation through
	// time is truncated at the beginning of the run.
	Carry bool
	// WithResets allows documents to begin within the sequences; see
	// Input.Starts.
	WithResets bool
	// Frozen reports by its name whether a parameter is not trained: its gradient
	// is not computed, and Program.Model leaves it out. Nil means none. The
	// parameters of a model with adapters are all frozen, but not the adapters.
	Frozen func(name string) bool
	// KeepValues gives every node separate memory, so that its value can be
	// read from Graph after a run. Otherwise values share memory, and only the
	// results of the methods of Program are available after a run.
	KeepValues bool
	FwdConfig
	// dropLogits lets a device overwrite the logits, for a trainer, which does
	// not read them: with a large vocabulary they are the largest value of a
	// step.
	dropLogits bool
}

// Program is a model compiled for one shape. It must be closed after use.
type Program struct {
	model      *Model
	cfg        ProgramConfig
	graph      *gorgonia.ExprGraph
	memory     *nodes.Memory // nil with KeepValues
	machine    gorgonia.VM
	remote     *remote // instead of memory and machine, on a device
	out        *Output
	ids        *gorgonia.Node
	targets    *gorgonia.Node
	resets     *gorgonia.Node // nil without WithResets
	loss       *gorgonia.Node
	trained    gorgonia.Nodes // the parameters with gradients, nil without Grad
	begin      *State         // what a run begins from, and the nodes that are bound to it
	beginNodes layers.StackState
	idsBuf     *tensor.Dense
	tgtBuf     *tensor.Dense
	keyBuf     *tensor.Dense
	resetBuf   *tensor.Dense
}

// Compile builds the model into a new graph and compiles it.
func (m *Model) Compile(cfg ProgramConfig) (*Program, error) {
	if cfg.Batch < 1 || cfg.Steps < 1 {
		return nil, errors.Errorf("xlstm: a program for %d sequences of %d tokens; both must be at least 1", cfg.Batch, cfg.Steps)
	}
	return m.compile(cfg, nil)
}

// compile is Compile for a program that begins from state whenever it is run with
// it, without a copy; nil for a state of its own.
func (m *Model) compile(cfg ProgramConfig, state *State) (*Program, error) {
	if cfg.Grad {
		if err := m.needsFloats("has no gradients"); err != nil {
			return nil, err
		}
	}
	p, err := m.design(cfg)
	if err != nil {
		return nil, err
	}
	p.begin = state
	if err := p.makeInputs(); err != nil {
		return nil, err
	}
	if m.home != nil {
		return p, p.newRemote()
	}
	p.machine, err = p.newMachine(state != nil)
	return p, err
}

// newMachine returns what runs the program: a sequence, or for symbolic cells,
// which consist of Gorgonia's own operations, a tape machine.
// One that reads token after token in the state of a generator writes it late.
func (p *Program) newMachine(generating bool) (gorgonia.VM, error) {
	if generating && p.cfg.Steps == 1 && !p.cfg.Symbolic {
		s, err := nodes.NewSequence(p.graph, p.overwritten(), nodes.LateMemories())
		if err == nil {
			p.begin.late = append(p.begin.late, s)
		}
		return s, err
	}
	if !p.cfg.Symbolic {
		return nodes.NewSequence(p.graph, p.overwritten())
	}
	prog, locs, err := gorgonia.Compile(p.graph)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: compiling the graph")
	}
	return gorgonia.NewTapeMachine(p.graph, gorgonia.WithPrecompiled(prog, locs)), nil
}

// overwritten returns the nodes of the state after the last step with the tensors
// of the one that a run begins from, over which they are written: forward nothing
// but the operation that replaces a state reads it. Gradients do.
func (p *Program) overwritten() map[*gorgonia.Node]*tensor.Dense {
	if p.cfg.Grad {
		return nil
	}
	into := make(map[*gorgonia.Node]*tensor.Dense)
	for i, st := range p.beginNodes {
		ends := p.out.State[i].Nodes()
		for k, n := range st.Nodes() {
			into[ends[k]] = n.Value().(*tensor.Dense)
		}
	}
	return into
}

// design builds a program's graph and plans its memory. Nothing in it has a value
// yet.
func (m *Model) design(cfg ProgramConfig) (*Program, error) {
	p := &Program{model: m, cfg: cfg, graph: gorgonia.NewGraph()}
	if err := p.build(); err != nil {
		return nil, errors.Wrapf(err, "xlstm: building a graph for %d sequences of %d tokens", cfg.Batch, cfg.Steps)
	}
	return p, p.plan()
}

// makeInputs makes what the graph's inputs, besides the parameters, are bound to.
func (p *Program) makeInputs() (err error) {
	ints := func(n int) *tensor.Dense { return tensor.New(tensor.Of(tensor.Int), tensor.WithShape(n)) }
	n := p.cfg.Batch * p.cfg.Steps
	p.idsBuf, p.tgtBuf, p.keyBuf, p.resetBuf = ints(n), ints(n), ints(3), ints(n)
	if !p.cfg.Carry {
		return nil
	}
	if p.begin == nil {
		if p.begin, err = p.model.NewState(p.cfg.Batch); err != nil {
			return err
		}
	}
	if p.begin.residence != nil {
		return nil // newRemote does it
	}
	return p.begin.bind(p.beginNodes)
}

func (p *Program) build() (err error) {
	n := p.cfg.Batch * p.cfg.Steps
	p.ids = idsInput(p.graph, "ids", n)
	in := GraphInput{Batch: p.cfg.Batch, Tokens: p.ids}
	if p.cfg.Carry {
		if p.beginNodes, err = p.model.stateInputs(p.graph, p.cfg.Batch); err != nil {
			return err
		}
		in.State = p.beginNodes
	}
	if p.cfg.WithResets {
		p.resets = idsInput(p.graph, "resets", n)
		in.Resets = p.resets
	}
	if p.out, err = p.model.fwd(p.graph, in, p.cfg.FwdConfig); err != nil {
		return err
	}
	if !p.cfg.Loss && !p.cfg.Grad {
		return nil
	}
	if p.out.Logits == nil {
		return errors.New("a loss needs the head; compile without WithoutHead, or add a loss of another kind with Model.Fwd")
	}
	p.targets = idsInput(p.graph, "targets", n)
	if p.loss, err = nodes.CrossEntropy(p.out.Logits, p.targets); err != nil || !p.cfg.Grad {
		return err
	}
	if p.trained, err = p.unfrozen(); err != nil {
		return err
	}
	_, err = gorgonia.Grad(p.loss, p.trained...)
	return err
}

// unfrozen returns the nodes of the parameters that are trained.
func (p *Program) unfrozen() (trained gorgonia.Nodes, err error) {
	frozen := p.cfg.Frozen
	if a := p.model.adapters; a != nil {
		frozen = func(name string) bool {
			_, adapter := a.Store.Get(name)
			return !adapter
		}
	}
	for _, n := range p.out.Model() {
		if frozen == nil || !frozen(n.Name()) {
			trained = append(trained, n)
		}
	}
	if len(trained) == 0 {
		return nil, errors.New("all parameters are frozen; leave at least one to train")
	}
	return trained, nil
}

// plan checks the graph and lets its nodes share memory.
func (p *Program) plan() (err error) {
	if p.model.home != nil {
		return p.checkDevice()
	}
	if p.cfg.KeepValues {
		return nodes.Check(p.graph)
	}
	var keep gorgonia.Nodes
	if !p.cfg.dropLogits {
		keep = append(keep, p.out.result())
	}
	if !p.cfg.dropLogits || p.cfg.Carry {
		for _, st := range p.out.State {
			keep = append(keep, st.Nodes()...)
		}
	}
	p.memory, err = nodes.ShareMemory(p.graph, keep...)
	return err
}

// Run runs the program. If the input is invalid, it returns an error and
// computes nothing.
func (p *Program) Run(in Input) error { return p.runBy(in, nil) }

// runBy is Run where step enqueues the run on the model's device, nil for the
// program's own way.
func (p *Program) runBy(in Input, step func() error) error {
	if err := p.read(in); err != nil {
		return err
	}
	if err := p.beginFrom(in.State); err != nil {
		return err
	}
	if p.begin != nil {
		p.begin.catchUpExcept(p.machine)
	}
	if err := p.run(step); err != nil {
		return err
	}
	if p.begin != nil && p.begin.shown {
		p.begin.catchUp(-1)
	}
	if p.cfg.Carry && in.State != nil {
		return in.State.load(p)
	}
	return nil
}

// checkDevice reports what only the CPU does.
func (p *Program) checkDevice() error {
	if p.cfg.Symbolic {
		return errors.Errorf("xlstm: symbolic cells run on the CPU only, not on %s", p.model.home.device.Name())
	}
	return nil
}

// run computes the graph from what its inputs hold.
func (p *Program) run(step func() error) error {
	if step != nil { // which also updates the parameters
		p.model.turns.Lock()
		defer p.model.turns.Unlock()
		return p.runRemote(step)
	}
	p.model.turns.RLock()
	defer p.model.turns.RUnlock()
	if p.remote != nil {
		return p.runRemote(p.remote.Run)
	}
	p.machine.Reset()
	return errors.Wrap(p.machine.RunAll(), "xlstm: running the graph")
}

func (p *Program) beginFrom(state *State) error {
	switch {
	case !p.cfg.Carry && state != nil:
		return errors.New("xlstm: a state was given to a program that was compiled without Carry")
	case !p.cfg.Carry:
		return nil
	case state == nil:
		p.begin.Reset()
		return nil
	}
	return p.begin.Set(state)
}

// Loss returns the loss of the last run: the mean cross entropy in nats over the
// targets that count.
func (p *Program) Loss() (float64, error) {
	if p.loss == nil || !p.hasRun() {
		return 0, errors.New("xlstm: the program has no loss: compile it with Loss or Grad, and run it")
	}
	loss := p.loss.Value()
	if p.remote != nil {
		var err error
		if loss, err = p.remote.fetch(p.loss); err != nil {
			return 0, err
		}
	}
	return floats.Of(loss.Data()).At(0), nil
}

// Logits returns the logits of the last run, (B·T, V). They are valid until the
// next run.
func (p *Program) Logits() (*tensor.Dense, error) {
	if p.out.Logits == nil {
		return nil, errors.New("xlstm: the program was compiled without the head, and has no logits")
	}
	return p.value(p.out.Logits)
}

// Hidden returns what the head reads, the features of every token in the last
// run, (B·T, D), of a program that was compiled with WithoutHead. They are valid
// until the next run.
func (p *Program) Hidden() (*tensor.Dense, error) {
	if p.out.Logits != nil {
		return nil, errors.New("xlstm: the program keeps its logits alone; compile with WithoutHead for the hidden states")
	}
	return p.value(p.out.Hidden)
}

// value returns the value of the last node in the last run.
func (p *Program) value(n *gorgonia.Node) (*tensor.Dense, error) {
	if !p.hasRun() {
		return nil, errors.New("xlstm: the program has not been run")
	}
	if p.remote != nil {
		return p.remote.fetch(n)
	}
	return n.Value().(*tensor.Dense), nil
}

// hasRun reports whether there was a run whose results can be read.
func (p *Program) hasRun() bool {
	if p.remote != nil {
		return p.remote.ran
	}
	return p.out.result().Value() != nil
}

// Model returns the nodes of the parameters in this program's graph, in the
// order of Model.Params, with Grad those that are not frozen. After a run with Grad, the method Grad of each node
// returns its gradient; on a device, FetchGrads must be called first.
func (p *Program) Model() gorgonia.Nodes {
	if p.cfg.Grad {
		return append(gorgonia.Nodes(nil), p.trained...)
	}
	return p.out.Model()
}

// ValueGrads returns the parameters and gradients for a gorgonia.Solver.
func (p *Program) ValueGrads() []gorgonia.ValueGrad { return gorgonia.NodesToValueGrads(p.Model()) }

// FetchGrads copies the gradients of the last run from the model's device, so that
// Grad of the parameters' nodes returns them. Without a device it does nothing.
func (p *Program) FetchGrads() error {
	if p.remote == nil {
		return nil
	}
	return p.fetchGrads()
}

// Graph returns the graph, for inspection or drawing. See KeepValues for its
// values.
func (p *Program) Graph() *gorgonia.ExprGraph {
	p.model.keepMappings()
	return p.graph
}

// States returns the nodes of the state of every block after the last step.
func (p *Program) States() layers.StackState { return p.out.State }

// Cells returns the recurrent cells, block by block, whose nodes have values
// after a run with KeepValues.
func (p *Program) Cells() []layers.Cell { return p.out.Cells }

// Close releases the machine.
func (p *Program) Close() error {
	if p.remote != nil {
		return p.remote.close()
	}
	return p.machine.Close()
}
