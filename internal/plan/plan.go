// Package plan turns a computation into a program for a device: a list of
// operations, made once, and one piece of memory in which their results are
// written over those that nothing reads any more.
//
// A Plan is filled in the order of the computation: Input adds a value that comes
// from outside, Add an operation and its results. LayOut finds a place for every
// value, and Bind makes a Program of it, whose launches are all that a run
// consists of:
//
//	var p plan.Plan
//	x := p.Input(ops.Float32, ops.Shape{8, 4})
//	y, err := p.Add(ops.Activate{Fn: ops.SiLU, Shape: ops.Shape{8, 4}}, ops.Float32, x)
//	p.Keep(y...)
//	program, err := p.LayOut(dev).Bind(map[plan.ID]device.Buffer{x: input})
//	err = program.Run()
package plan

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// ID is the index of a value in Plan.Values.
type ID int

// Value is an array that operations read or write. Where graphs have several
// names for one array (copies, pieces of a result, views of either), a plan has
// one value.
type Value struct {
	Dtype ops.Dtype
	Shape ops.Shape
	Input bool // it comes from outside
	Kept  bool // it is there after a run; all others may be lost
	// First and Last are the steps between which its memory is needed, both
	// included: from the one that writes it to the last that reads it.
	First, Last int
}

// Step is an operation and what it reads and writes.
type Step struct {
	Op      ops.Op
	Dtype   ops.Dtype // of its floats
	In, Out []ID
}

// Plan is a list of operations. The zero value has none.
type Plan struct {
	Values []Value
	Steps  []Step
}

// Input adds a value that comes from outside.
func (p *Plan) Input(dt ops.Dtype, shape ops.Shape) ID {
	p.Values = append(p.Values, Value{Dtype: dt, Shape: shape, Input: true})
	return ID(len(p.Values) - 1)
}

// Add adds an operation that reads the values in, and returns those that it
// writes. It is an error if the values are not what op reads.
func (p *Plan) Add(op ops.Op, dt ops.Dtype, in ...ID) (out []ID, err error) {
	args := op.Inputs()
	if op.Kind() == ops.View || len(in) != len(args) {
		return nil, errors.Errorf("plan: %s with %d inputs is no operation that can be planned", op.Name(), len(in))
	}
	at := len(p.Steps)
	for k, id := range in {
		v, want := &p.Values[id], dt
		if args[k].Int {
			want = ops.Int
		}
		if v.Dtype != want || v.Shape.Size() != args[k].Shape.Size() {
			return nil, errors.Errorf("plan: %s reads %s, %v of shape %v, got %v of shape %v", op.Name(), args[k].Name, want, args[k].Shape, v.Dtype, v.Shape)
		}
		v.Last = at
	}
	for _, arg := range op.Outputs() {
		out = append(out, ID(len(p.Values)))
		p.Values = append(p.Values, Value{Dtype: dt, Shape: arg.Shape, First: at, Last: at})
	}
	p.Steps = append(p.Steps, Step{Op: op, Dtype: dt, In: in, Out: out})
	return out, nil
}

// Keep lets values be there after a run, until the next one.
func (p *Plan) Keep(ids ...ID) {
	for _, id := range ids {
		p.Values[id].Kept = true
	}
}
