package nodes

import (
	"maps"
	"slices"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Sequence is a gorgonia.VM for graphs whose operations, including gradients,
// are all of this package. It computes the same bits as a tape machine without
// the cost of a tape machine per operation and run: the memory that each
// operation reads and writes is fixed in advance, and a run consists only of
// kernels in order.
//
// Where there are gradients and ShareMemory was called, kernels stand for several
// operations of the graph, so that values pass through memory less often, and
// some results are computed again for the gradients. Gradients then equal those
// of a tape machine to rounding, and nodes within such a kernel have no value.
//
// Between runs, gorgonia.Let may bind inputs to other values. A run binds the
// results, which Node.Value and Node.Grad return; they are valid until the next
// run. Dual values are not supported. A Sequence must not run concurrently with
// another machine for the same graph.
type Sequence struct {
	memory  *Memory // the graph's, nil without one
	plan    *planned
	program *plan.Program
	inputs  []*boundInput
	results map[*gorgonia.Node]gorgonia.Value
	after   map[int][]func() // called after a step
	late    *cpu.Late        // nil without LateMemories
	given   map[plan.ID]device.Buffer
	bound   bool
}

// SequenceOption is an option of NewSequence.
type SequenceOption func(s *Sequence)

// LateMemories lets mLSTM cells of a single step whose states are replaced where
// they are read their memory C in every run, and write it in every sixteenth: it
// then takes half the traffic of memory, which bounds the speed of generation. In
// between, the tensor of C is out of date until CatchUp is called, which must be
// done before anything but this sequence reads or writes it.
func LateMemories() SequenceOption { return func(s *Sequence) { s.late = new(cpu.Late) } }

// NewSequence returns a machine for all nodes of g. If ShareMemory was called
// before, results share memory according to its plan; otherwise every result
// has separate memory. The results of the nodes in into, which may be nil, are
// written to the tensors given there. Such a tensor may also be the value of an
// input: the new state of a recurrent cell may be written to the tensor of its
// old state, because a cell has read the old state when it writes the new one.
// Nothing else may read the old state then, which excludes gradients.
//
// NewSequence returns an error if a node of g is one of Gorgonia's own
// operations, other than a constant or a sum of two nodes of one shape, which
// Gorgonia inserts for the gradient of a result with several readers. Run such
// graphs on a gorgonia.NewTapeMachine.
func NewSequence(g *gorgonia.ExprGraph, into map[*gorgonia.Node]*tensor.Dense, opts ...SequenceOption) (*Sequence, error) {
	s := &Sequence{memory: memoryOf(g), results: make(map[*gorgonia.Node]gorgonia.Value)}
	for _, opt := range opts {
		opt(s)
	}
	if s.memory != nil {
		s.plan = s.memory.plan
	} else {
		var err error
		if s.plan, err = newPlanned(g); err != nil {
			return nil, err
		}
		s.plan.keep(s.plan.sorted...)
	}
	if n := s.plan.foreign; n != nil {
		return nil, errors.Errorf("nodes: a sequence cannot run %v, an operation of another package; use a tape machine", n)
	}
	given := make(map[plan.ID]device.Buffer)
	tensors := make(map[plan.ID]gorgonia.Value)
	for n, t := range into {
		b, err := whereToWrite(g, n, t)
		if err != nil {
			return nil, err
		}
		id := s.plan.values[n][0]
		given[id], tensors[id] = b, t
	}
	return s, s.bind(given, tensors)
}

// whereToWrite returns the memory of t for the result of node n.
func whereToWrite(g *gorgonia.ExprGraph, n *gorgonia.Node, t *tensor.Dense) (device.Buffer, error) {
	_, ours := n.Op().(*op)
	if !ours || n.Graph() != g || isCopy(n) || len(n.Shape()) == 0 {
		return nil, errors.Errorf("nodes: a sequence cannot write %v into a tensor: it must be a tensor that an operation of this package computes in the sequence's graph", n)
	}
	if t == nil || !t.Shape().Eq(n.Shape()) || t.Dtype() != n.Dtype() || !inPlace(t) {
		return nil, errors.Errorf("nodes: a sequence cannot write %v, %v of %v, into %v: it takes a row-major tensor of that shape and type", n, n.Dtype(), n.Shape(), t)
	}
	return cpu.Of(t.Data())
}

// bind makes the program, and the values of the nodes over its buffers; tensors
// has those of the results that were given.
func (s *Sequence) bind(given map[plan.ID]device.Buffer, tensors map[plan.ID]gorgonia.Value) error {
	var ids []plan.ID
	for id := range given {
		ids = append(ids, id)
	}
	inputs := make(map[plan.ID]*boundInput)
	for _, step := range s.plan.Steps {
		for _, id := range step.In {
			v, n := s.plan.Values[id], s.plan.inputs[id]
			if n == nil || inputs[id] != nil {
				continue
			}
			in := &boundInput{node: n, buffer: cpu.Input(v.Dtype, v.Shape.Size())}
			s.inputs = append(s.inputs, in)
			inputs[id], given[id] = in, in.buffer
		}
	}
	var err error
	if s.program, err = s.plan.LayOut(s.device(), ids...).Bind(given); err != nil {
		return errors.Wrap(err, "nodes: preparing a sequence")
	}
	s.given = given
	for _, n := range s.plan.sorted {
		values := s.plan.values[n]
		if len(values) != 1 {
			continue // nothing, or several
		}
		id := values[0]
		if v := s.plan.Values[id]; v.Input {
			if in := inputs[id]; in != nil {
				in.name(n)
			}
			continue
		}
		if tensors[id] == nil && s.program.Buffers[id] != nil {
			tensors[id] = valueOver(s.program.Buffers[id], s.plan.Values[id].Shape)
		}
		if v := tensors[id]; v != nil { // otherwise a fused operation has no such value
			s.results[n] = v
		}
	}
	return nil
}

func (s *Sequence) device() device.Device {
	switch {
	case s.late != nil:
		return s.late
	case s.memory != nil: // otherwise every value is wanted
		return s.plan.device()
	}
	return cpu.Device{}
}

// CatchUp brings the states' tensors up to date, those of row b of the batch, or
// of all rows if b is negative. Without LateMemories they always are.
func (s *Sequence) CatchUp(b int) {
	if s.late != nil {
		s.late.CatchUp(b)
	}
}

// RunAll computes all nodes. After an error the results are undefined.
func (s *Sequence) RunAll() error {
	for _, in := range s.inputs {
		if err := in.load(); err != nil {
			return err
		}
	}
	if err := s.run(); err != nil {
		return errors.Wrap(err, "nodes")
	}
	if s.bound {
		return nil
	}
	for n, v := range s.results {
		if err := bindResult(n, v); err != nil {
			return err
		}
	}
	s.bound = true
	return nil
}

// OnResult calls f with the value of node n in every run that is not watched, as
// soon as it is computed, while the rest of the graph is not. With LateMemories
// the value of a memory may be out of date. It returns an error if no operation of the
// sequence computes n.
func (s *Sequence) OnResult(n *gorgonia.Node, f func(v gorgonia.Value)) error {
	values := s.plan.values[n]
	for k, step := range s.program.Steps() {
		if len(values) == 1 && slices.Contains(step.Out, values[0]) {
			if s.after == nil {
				s.after = make(map[int][]func())
			}
			s.after[k] = append(s.after[k], func() { f(s.results[n]) })
			return nil
		}
	}
	return errors.Errorf("nodes: no operation of the sequence computes %v", n)
}

// run runs the program and calls the functions given to OnResult, or passes the
// results to the function given to Watch.
func (s *Sequence) run() error {
	if s.memory == nil || s.memory.watch == nil {
		return s.runSteps()
	}
	if !s.plan.fuses() {
		return s.runWatched(s.program)
	}
	// A fused operation does not have all values of the graph: the operations run
	// alone, in memory of their own, and kept values are copied to their places.
	plain, err := s.plan.LayOut(cpu.Device{}, slices.Collect(maps.Keys(s.given))...).Bind(s.given)
	if err != nil {
		return err
	}
	if err := s.runWatched(plain); err != nil {
		return err
	}
	for id, v := range s.plan.Values {
		if from, to := plain.Buffers[id], s.program.Buffers[id]; v.Kept && from != to {
			if err := (cpu.Device{}).Copy(to, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// runWatched runs a program of the graph's own operations.
func (s *Sequence) runWatched(p *plan.Program) error {
	next := 0
	for _, n := range s.plan.sorted {
		if next < len(s.plan.steps) && n == s.plan.steps[next] {
			if err := p.Step(next); err != nil {
				return err
			}
			next++
			s.CatchUp(-1) // what is watched
		}
		if values := s.plan.values[n]; len(values) == 1 && !s.plan.Values[values[0]].Input {
			s.memory.watch(n, valueOver(p.Buffers[values[0]], s.plan.Values[values[0]].Shape))
		}
	}
	return nil
}

// RunTimed computes all nodes like a run, from the inputs of the last one, and
// reports each operation with the time that it took.
func (s *Sequence) RunTimed(report func(op ops.Op, took time.Duration)) error {
	for k, step := range s.program.Steps() {
		began := time.Now()
		if err := s.program.Step(k); err != nil {
			return errors.Wrap(err, "nodes")
		}
		report(step.Op, time.Since(began))
	}
	return nil
}

func (s *Sequence) runSteps() error {
	if s.after == nil {
		return s.program.Run()
	}
	for k := range s.program.Steps() {
		if err := s.program.Step(k); err != nil {
			return err
		}
		for _, f := range s.after[k] {
			f()
		}
	}
	return nil
}

func bindResult(n *gorgonia.Node, v gorgonia.Value) error {
	return errors.Wrapf(gorgonia.UnsafeLet(n, v), "nodes: binding the result of %v", n.Op())
}

// Bytes returns the size of the memory that the sequence has allocated for its
// results. Some of it holds values that belong to no node: results that a backward
// pass computes again.
func (s *Sequence) Bytes() int64 { return s.program.Bytes() }

// Reset does nothing: a Sequence always runs from its beginning.
func (s *Sequence) Reset() {}

// Close does nothing: a Sequence only holds memory.
func (s *Sequence) Close() error { return nil }
