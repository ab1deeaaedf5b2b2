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
	graph   *gorgonia.ExprGraph
	tasks   []task
	results map[*gorgonia.Node]gorgonia.Value
	bound   bool
}

// task is an operation that runs in a sequence.
type task interface{ run() error }

// NewSequence returns a machine for all nodes of g. It is an error if one of them
// is an operation of Gorgonia's own; graphs with gradients have such. Run those
// by gorgonia.NewTapeMachine.
func NewSequence(g *gorgonia.ExprGraph) (*Sequence, error) {
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		return nil, errors.Wrap(err, "nodes: ordering the graph for a sequence")
	}
	slices.Reverse(sorted)
	s := &Sequence{graph: g, results: make(map[*gorgonia.Node]gorgonia.Value)}
	// The elements of the results, []float32 or []float64.
	elements := make(map[*gorgonia.Node]any)
	for _, n := range sorted {
		if n.Op() == nil {
			continue
		}
		o, ours := n.Op().(*op)
		if !ours {
			return nil, errors.Errorf("nodes: a sequence cannot run %v, an operation of another package; use a tape machine", n)
		}
		if elements[n], err = s.add(n, o.exe, elements); err != nil {
			return nil, errors.Wrapf(err, "nodes: preparing %s", o.name)
		}
	}
	return s, nil
}

// add prepares a node and returns the elements of its result.
func (s *Sequence) add(n *gorgonia.Node, exe executor, elements map[*gorgonia.Node]any) (any, error) {
	switch e := exe.(type) {
	case *exec[float32]:
		return addTask(s, n, e, elements), nil
	case *exec[float64]:
		return addTask(s, n, e, elements), nil
	}
	// A part is a window that, once there, follows what it shows.
	view, err := exe.do([]gorgonia.Value{s.results[inputsOf(n)[0]]})
	if err != nil {
		return nil, err
	}
	s.results[n] = view
	return view.Data(), nil
}

func inputsOf(n *gorgonia.Node) (in gorgonia.Nodes) {
	for it := n.Graph().From(n.ID()); it.Next(); {
		in = append(in, it.Node().(*gorgonia.Node))
	}
	return in
}

func addTask[F kernels.Float](s *Sequence, n *gorgonia.Node, e *exec[F], elements map[*gorgonia.Node]any) []F {
	t := &seqTask[F]{node: n, kernel: e.k}
	for i, in := range inputsOf(n) {
		data, computed := elements[in].([]F)
		t.in = append(t.in, operand[F]{data: data})
		if !computed {
			t.inputs = append(t.inputs, boundInput{at: i, node: in})
		}
	}
	if t.scalar = len(e.sh) == 0; t.scalar {
		t.out = make([]F, 1)
	} else {
		result := e.buffer()
		s.results[n] = result
		t.out = result.Data().([]F)
	}
	s.tasks = append(s.tasks, t)
	return t.out
}

// seqTask is an operation in element type F with the elements that it reads and
// writes.
type seqTask[F kernels.Float] struct {
	node   *gorgonia.Node
	kernel kernel[F]
	in     []operand[F]
	out    []F
	scalar bool
	inputs []boundInput // those of in that are inputs of the graph
}

func (t *seqTask[F]) run() error {
	for i := range t.inputs {
		if err := t.load(&t.inputs[i]); err != nil {
			return err
		}
	}
	if err := t.kernel(t.out, t.in); err != nil {
		return errors.Wrapf(err, "nodes: running %v", t.node.Op())
	}
	if t.scalar {
		return gorgonia.UnsafeLet(t.node, scalarValue(t.out[0]))
	}
	return nil
}

// load looks up the elements of an input, unless they lie where they lay.
func (t *seqTask[F]) load(in *boundInput) error {
	v := in.node.Value()
	if in.lies(v) {
		return nil
	}
	if v == nil {
		return errors.Errorf("nodes: running %v: its input %s has no value; bind one with gorgonia.Let", t.node.Op(), in.node.Name())
	}
	x, err := operandOf[F](v)
	if err != nil {
		return errors.Wrapf(err, "nodes: running %v: input %s", t.node.Op(), in.node.Name())
	}
	t.in[in.at] = x
	in.remember(v)
	return nil
}

// boundInput is an input of the graph as operand number at, and where its
// elements lay when they were last looked up.
type boundInput struct {
	at      int
	node    *gorgonia.Node
	dense   *tensor.Dense // nil if they must be looked up in every run
	address uintptr
	size    uintptr
}

// remember keeps in mind where the elements of v lie. Scalars and tensors whose
// elements are not in row-major order were copied, and are to be copied again.
func (b *boundInput) remember(v gorgonia.Value) {
	if b.dense = nil; !inPlace(v) {
		return
	}
	b.dense = v.(*tensor.Dense)
	b.address, b.size = b.dense.Uintptr(), b.dense.MemSize()
}

// lies says whether the elements of v are those that were last looked up.
func (b *boundInput) lies(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && d == b.dense && inPlace(d) && d.Uintptr() == b.address && d.MemSize() == b.size
}

// inPlace says whether operandOf returns the memory of v itself.
func inPlace(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && !d.IsScalar() && !d.RequiresIterator() && !d.DataOrder().IsColMajor()
}

// RunAll computes all nodes. After an error the results are undefined.
func (s *Sequence) RunAll() error {
	for _, t := range s.tasks {
		if err := t.run(); err != nil {
			return err
		}
	}
	if s.bound {
		return nil
	}
	for n, v := range s.results {
		if err := gorgonia.UnsafeLet(n, v); err != nil {
			return errors.Wrapf(err, "nodes: binding the result of %v", n.Op())
		}
	}
	s.bound = true
	return nil
}

// Result returns the tensor that every run writes the result of n to; nil for a
// scalar and for an input. It is there before the first run.
func (s *Sequence) Result(n *gorgonia.Node) *tensor.Dense {
	d, _ := s.results[n].(*tensor.Dense)
	return d
}

// Reset does nothing: a sequence always runs from its beginning.
func (s *Sequence) Reset() {}

// Close does nothing: a sequence holds nothing but memory.
func (s *Sequence) Close() error { return nil }
