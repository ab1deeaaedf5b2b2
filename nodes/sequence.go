package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Sequence is a gorgonia.VM for graphs whose operations are all of this package:
// for what runs forward alone. It computes what a tape machine computes, to the
// bit, without a tape machine's cost per operation and run. As every operation
// owns the memory of its result, it is known once and for all where each reads
// and writes: what is left of a run is one kernel after the other.
//
// Inputs may be bound to other values between two runs, by gorgonia.Let. A run
// binds the results, so that Node.Value reads them; they are valid until the next
// run. A Sequence must not run at the same time as another machine on its graph.
type Sequence struct {
	tasks   []task
	results map[*gorgonia.Node]*tensor.Dense
	copies  gorgonia.Nodes // of inputs and of scalars, whose values are others in every run
	bound   bool
}

// task is an operation that runs in a sequence.
type task interface{ run() error }

// NewSequence returns a machine for all nodes of g, in memory shared as planned
// where ShareMemory was called before. The results of the nodes in into, which may
// be nil, are written to the tensors there. Such a tensor may be the value of an
// input as well: of the old state, where the node is the new one that a recurrent
// cell returns. A cell has read the old state when it writes the new one; nobody
// else may read it. Where there is more than one sequence of a graph, all write
// where the last was told to, and only that may run.
//
// It is an error if a node of g is an operation of Gorgonia's own; graphs with
// gradients have such. Run those by gorgonia.NewTapeMachine.
func NewSequence(g *gorgonia.ExprGraph, into map[*gorgonia.Node]*tensor.Dense) (*Sequence, error) {
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		return nil, errors.Wrap(err, "nodes: ordering the graph for a sequence")
	}
	slices.Reverse(sorted)
	for n, t := range into {
		if err := writeInto(g, n, t); err != nil {
			return nil, err
		}
	}
	s := &Sequence{results: make(map[*gorgonia.Node]*tensor.Dense)}
	for _, n := range sorted {
		if n.Op() == nil {
			continue
		}
		o, ours := n.Op().(*op)
		if !ours {
			return nil, errors.Errorf("nodes: a sequence cannot run %v, an operation of another package; use a tape machine", n)
		}
		switch exe := o.exe.(type) {
		case *exec[float32]:
			s.tasks = append(s.tasks, newSeqTask(s, n, o, exe))
		case *exec[float64]:
			s.tasks = append(s.tasks, newSeqTask(s, n, o, exe))
		case *view:
			s.addView(n, o, exe)
		}
	}
	return s, nil
}

// writeInto lets the operation of node n write its result to t.
func writeInto(g *gorgonia.ExprGraph, n *gorgonia.Node, t *tensor.Dense) error {
	o, ours := n.Op().(*op)
	if !ours || n.Graph() != g || isCopy(n) || len(n.Shape()) == 0 {
		return errors.Errorf("nodes: a sequence cannot write %v into a tensor: it must be a tensor that an operation of this package computes in the sequence's graph", n)
	}
	if t == nil || !t.Shape().Eq(n.Shape()) || t.Dtype() != n.Dtype() || !inPlace(t) {
		return errors.Errorf("nodes: a sequence cannot write %v, %v of %v, into %v: it takes a row-major tensor of that shape and type", n, n.Dtype(), n.Shape(), t)
	}
	if v := o.view; v != nil {
		v.of.writeTo(v.piece, t)
	} else {
		o.exe.writeTo(0, t)
	}
	return nil
}

func (e *exec[F]) writeTo(k int, t *tensor.Dense) {
	if e.out == nil {
		e.allocate()
	}
	e.bufs[k], e.out[k] = t, t.Data().([]F)
}

func (v *view) writeTo(int, *tensor.Dense) {}

// addView prepares a node that is a piece of another's result, or a copy.
func (s *Sequence) addView(n *gorgonia.Node, o *op, v *view) {
	if v.of != nil {
		s.results[n] = v.of.buffer(v.piece)
	} else if r := s.results[original(n)]; r != nil {
		s.results[n] = r
	} else {
		s.copies = append(s.copies, n)
	}
	if o.slot != nil {
		s.tasks = append(s.tasks, viewTask{o, s.results[n]})
	}
}

// viewTask takes the turn of a view in a plan for the memory.
type viewTask struct {
	op     *op
	result *tensor.Dense // nil for a copy of an input or a scalar
}

func (t viewTask) run() error {
	if err := t.op.slot.enter(); err != nil {
		return errors.Wrapf(err, "nodes: running %s", t.op.name)
	}
	if t.result != nil {
		t.op.slot.leave(t.result)
	}
	return nil
}

// original returns the node that n is a copy of, n itself if it is none.
func original(n *gorgonia.Node) *gorgonia.Node {
	for isCopy(n) {
		n = child(n)
	}
	return n
}

// seqTask is an operation in element type F with the elements that it reads.
type seqTask[F kernels.Float] struct {
	op     *op
	node   *gorgonia.Node
	exe    *exec[F]
	in     []operand[F]
	inputs []boundInput // those of in that are inputs of the graph
}

func newSeqTask[F kernels.Float](s *Sequence, n *gorgonia.Node, o *op, e *exec[F]) *seqTask[F] {
	if e.out == nil {
		e.allocate()
	}
	if !e.packed && len(e.shapes) > 0 {
		s.results[n] = e.buffer(0)
	}
	t := &seqTask[F]{op: o, node: n, exe: e, in: make([]operand[F], o.args)}
	it := n.Graph().From(n.ID())
	for i := range t.in {
		it.Next()
		from := original(it.Node().(*gorgonia.Node))
		if from.Op() == nil {
			t.inputs = append(t.inputs, boundInput{at: i, node: from})
		} else if r := s.results[from]; r != nil {
			t.in[i].data = r.Data().([]F)
		} else if e, ok := from.Op().(*op).exe.(*exec[F]); ok && !e.packed {
			t.in[i].data = e.out[0] // a scalar
		}
	}
	return t
}

func (t *seqTask[F]) run() error {
	if err := t.op.slot.enter(); err != nil {
		return errors.Wrapf(err, "nodes: running %s", t.op.name)
	}
	for i := range t.inputs {
		if err := t.load(&t.inputs[i]); err != nil {
			return err
		}
	}
	if err := t.exe.k(t.exe.out, t.in); err != nil {
		return errors.Wrapf(err, "nodes: running %s", t.op.name)
	}
	return t.finish()
}

// finish binds a scalar, and shows the result to whoever watches; what is packed
// shows in its parts.
func (t *seqTask[F]) finish() error {
	switch {
	case t.exe.packed:
		return nil
	case len(t.exe.shapes) > 0:
		t.op.slot.leave(t.exe.bufs[0])
		return nil
	}
	v := scalarValue(t.exe.out[0][0])
	t.op.slot.leave(v)
	return gorgonia.UnsafeLet(t.node, v)
}

// load looks up the elements of an input, unless they lie where they lay.
func (t *seqTask[F]) load(in *boundInput) error {
	v := in.node.Value()
	if in.lies(v) {
		return nil
	}
	if v == nil {
		return errors.Errorf("nodes: running %s: its input %s has no value; bind one with gorgonia.Let", t.op.name, in.node.Name())
	}
	x, err := operandOf[F](v)
	if err != nil {
		return errors.Wrapf(err, "nodes: running %s: input %s", t.op.name, in.node.Name())
	}
	t.in[in.at] = x
	in.remember(v)
	return nil
}

// RunAll computes all nodes. After an error the results are undefined.
func (s *Sequence) RunAll() error {
	for _, t := range s.tasks {
		if err := t.run(); err != nil {
			return err
		}
	}
	for _, n := range s.copies {
		if err := bindResult(n, original(n).Value()); err != nil {
			return err
		}
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

func bindResult(n *gorgonia.Node, v gorgonia.Value) error {
	return errors.Wrapf(gorgonia.UnsafeLet(n, v), "nodes: binding the result of %v", n.Op())
}

// Reset does nothing: a sequence always runs from its beginning.
func (s *Sequence) Reset() {}

// Close does nothing: a sequence holds nothing but memory.
func (s *Sequence) Close() error { return nil }
