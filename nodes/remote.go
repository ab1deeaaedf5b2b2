package nodes

import (
	"fmt"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Device is a processor with its own memory, such as a GPU. See
// xlstm.OpenDevice.
type Device = device.Device

// Buffer is memory on a Device.
type Buffer = device.Buffer

// Remote runs a graph, including its gradients, on a device. All operations of
// the graph must be of this package. The nodes get no values: results are in
// buffers of the device and may be overwritten by later results unless they are
// kept.
type Remote struct {
	plan    *planned
	program *plan.Program
	step    device.Launch
	// constants are the buffers of the graph's constants.
	constants []Buffer
}

// NewRemote prepares graph g for a device. memory contains the buffers of all
// inputs that are read, and of results that are to be written to given buffers.
// Such a buffer may be that of an input: the new state of a recurrent cell may
// be written to the buffer of its old state if only that cell reads the old
// state. The nodes in keep, the gradients of inputs and scalars are kept.
//
// Some devices read operands in bfloat16. For the inputs that copies names they read a
// copy, where they can, which must then be up to date in every run.
//
// NewRemote returns an error if a node of g is one of Gorgonia's own operations
// that a Sequence cannot run, or an operation that the device does not support.
func NewRemote(d Device, g *gorgonia.ExprGraph, memory map[*gorgonia.Node]Buffer, copies Copies, keep ...*gorgonia.Node) (*Remote, error) {
	if err := Check(g); err != nil {
		return nil, err
	}
	p, err := newPlanned(g)
	if err != nil {
		return nil, err
	}
	if n := p.foreign; n != nil {
		return nil, errors.Errorf("nodes: %s cannot run %v, an operation of another package", d.Name(), n)
	}
	p.keep(keep...)
	r := &Remote{plan: p}
	given, results, err := r.givenOn(d, memory)
	if err != nil {
		return nil, err
	}
	if err := r.bind(d, given, results, copies); err != nil {
		r.free(d) // the error is that of binding
		return nil, err
	}
	return r, nil
}

// Copies are the copies of inputs in bfloat16 that a device may read.
type Copies struct {
	Of gorgonia.Nodes // the inputs
	// Make returns the copies of some of these inputs. A device is faster if each begins
	// where the one before it ends.
	Make func(of gorgonia.Nodes) ([]Buffer, error)
}

// bind lays the plan out and binds it; see NewRemote.
func (r *Remote) bind(d Device, given map[plan.ID]Buffer, results []plan.ID, copies Copies) (err error) {
	p := r.plan
	for _, n := range copies.Of {
		p.Values[p.values[n][0]].Copied = true
	}
	layout := p.LayOut(d, results...)
	if err := r.copy(layout, given, copies); err != nil {
		return errors.Wrapf(err, "nodes: copies of inputs for %s", d.Name())
	}
	if r.program, err = layout.Bind(given); err != nil {
		return errors.Wrapf(err, "nodes: preparing a graph for %s", d.Name())
	}
	r.step, err = device.Record(d, r.program.All())
	return err
}

// copy gives the copies that the layout reads: first those that are the rows of a matrix.
func (r *Remote) copy(l *plan.Layout, given map[plan.ID]Buffer, copies Copies) error {
	of, lists := make(map[plan.ID]*gorgonia.Node), slices.Clone(l.Rows)
	for _, n := range copies.Of {
		if id, read := l.Copies[r.plan.values[n][0]]; read {
			of[id] = n
			lists = append(lists, []plan.ID{id})
		}
	}
	for _, list := range lists {
		if given[list[0]] != nil {
			continue // it is of a list before
		}
		var inputs gorgonia.Nodes
		for _, id := range list {
			inputs = append(inputs, of[id])
		}
		made, err := copies.Make(inputs)
		if err != nil {
			return err
		}
		for k, id := range list {
			given[id] = made[k]
		}
	}
	return nil
}

// RemoteBytes returns how much memory NewRemote would allocate for the results of
// graph g on a device, and how much the copies of the given inputs in bfloat16
// take that it would ask for, without allocating any.
func RemoteBytes(d Device, g *gorgonia.ExprGraph, copied, keep gorgonia.Nodes) (results, copies int64, err error) {
	p, err := newPlanned(g)
	if err != nil {
		return 0, 0, err
	}
	p.keep(keep...)
	for _, n := range copied {
		p.Values[p.values[n][0]].Copied = true
	}
	layout := p.LayOut(d)
	shared, kept := layout.Bytes()
	for _, id := range layout.Copies {
		v := layout.Plan.Values[id]
		copies += int64(v.Shape.Size() * v.Dtype.Size())
	}
	return shared + kept, copies, nil
}

// givenOn returns the buffers of all inputs that are read, those of constants and
// of inputs that are bound to a value among them, and of the results in memory.
func (r *Remote) givenOn(d Device, memory map[*gorgonia.Node]Buffer) (given map[plan.ID]Buffer, results []plan.ID, err error) {
	p := r.plan
	given = make(map[plan.ID]Buffer)
	for n, b := range memory {
		id := p.values[n][0]
		if given[id] = b; !p.Values[id].Input {
			results = append(results, id)
		}
	}
	for _, step := range p.Steps {
		for _, id := range step.In {
			n := p.inputs[id]
			if n == nil || given[id] != nil {
				continue
			}
			if n.Op() == nil && n.Value() == nil {
				return nil, nil, errors.Errorf("nodes: no memory of %s is given for the input %s", d.Name(), n.Name())
			}
			if given[id], err = upload(d, n.Value()); err != nil {
				return nil, nil, errors.Wrapf(err, "nodes: copying the constant %v to %s", n, d.Name())
			}
			r.constants = append(r.constants, given[id])
		}
	}
	return given, results, nil
}

// Alloc returns memory on d for the elements of v.
func Alloc(d Device, v gorgonia.Value) (Buffer, error) {
	return d.Alloc(dtypeOf(v.Dtype()), v.Shape().TotalSize())
}

// upload returns a copy of a value in the memory of d.
func upload(d Device, v gorgonia.Value) (Buffer, error) {
	x := elements(v)
	b, err := Alloc(d, v)
	if err != nil {
		return nil, err
	}
	return b, d.Upload(b, x)
}

// Run enqueues a run of the whole graph.
func (r *Remote) Run() error { return errors.Wrap(r.step(), "nodes") }

// Then returns a function that enqueues a run of the whole graph followed by
// the given launches.
func (r *Remote) Then(more ...func() error) (func() error, error) {
	launches := append([]device.Launch(nil), r.program.All()...)
	for _, l := range more {
		launches = append(launches, l)
	}
	return device.Record(r.program.Device, launches)
}

// Buffer returns the buffer that holds the value of a node after a run, or nil
// if there is none.
func (r *Remote) Buffer(n *gorgonia.Node) Buffer {
	if ids := r.plan.values[n]; len(ids) == 1 {
		return r.program.Buffers[ids[0]]
	}
	return nil
}

// EachStep runs the graph one operation at a time and calls f with the results
// of each, before they can be overwritten.
func (r *Remote) EachStep(f func(n *gorgonia.Node, results []Buffer) error) error {
	for k, s := range r.program.Steps() {
		n := r.plan.steps[s.Origin]
		if err := r.program.Step(k); err != nil {
			return errors.Wrap(err, "nodes")
		}
		var results []Buffer
		for _, id := range s.Out {
			results = append(results, r.program.Buffers[id])
		}
		if err := f(n, results); err != nil {
			return err
		}
	}
	return nil
}

// Operations returns the names of the operations of EachStep as the device runs them,
// several of the graph in one perhaps, with the shape of the first result.
func (r *Remote) Operations() (names []string) {
	for _, s := range r.program.Steps() {
		names = append(names, fmt.Sprint(s.Op.Name(), s.Op.Outputs()[0].Shape))
	}
	return names
}

// Close releases the memory of the graph's results.
func (r *Remote) Close() error {
	if err := r.free(r.program.Device); err != nil {
		return err
	}
	return r.program.Close()
}

// free releases the memory of the constants.
func (r *Remote) free(d Device) error {
	for _, b := range r.constants {
		if err := d.Free(b); err != nil {
			return errors.Wrap(err, "nodes: closing a graph")
		}
	}
	r.constants = nil
	return nil
}
