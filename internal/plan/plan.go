// Package plan turns a computation into a program for a device: a fixed list of
// operations, and one block of memory in which results overwrite those that are
// no longer needed.
//
// A Plan is filled in the order of the computation: Input adds an external
// value, and Add an operation with its results. LayOut places every value in
// memory, and Bind returns a Program; a run consists only of its launches:
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

// Value is an array that operations read or write. Several nodes of a graph for
// the same array (copies, pieces of a result, views of either) are one value of
// a plan.
type Value struct {
	Dtype ops.Dtype
	Shape ops.Shape
	Input bool // an external value
	Kept  bool // available after a run; other values may be overwritten
	// Copied marks an input of which Bind can be given a copy in bfloat16 for
	// the operations that a device lets read one.
	Copied bool
	// Gone marks a value that no step writes or reads any more, in a plan that
	// was rearranged for a device.
	Gone bool
	// First and Last are the first and last step, inclusive, in which its
	// memory is needed: from the step that writes it to the last step that
	// reads it.
	First, Last int
}

// Step is an operation with the values that it reads and writes.
type Step struct {
	Op      ops.Op
	Dtype   ops.Dtype // of its floats
	In, Out []ID
	// Origin is the number of the step in the plan as it was filled; of a
	// composite that of the step whose place it takes.
	Origin int
}

// Plan is a list of operations. The zero value is an empty plan.
type Plan struct {
	Values []Value
	Steps  []Step
}

// Input adds an external value.
func (p *Plan) Input(dt ops.Dtype, shape ops.Shape) ID {
	p.Values = append(p.Values, Value{Dtype: dt, Shape: shape, Input: true})
	return ID(len(p.Values) - 1)
}

// Add adds an operation that reads the values in, and returns the values that
// it writes. It returns an error if the values do not match the inputs of op.
func (p *Plan) Add(op ops.Op, dt ops.Dtype, in ...ID) (out []ID, err error) {
	args := op.Inputs()
	if op.Kind() == ops.View || len(in) != len(args) {
		return nil, errors.Errorf("plan: %s with %d inputs is no operation that can be planned", op.Name(), len(in))
	}
	at := len(p.Steps)
	for k, id := range in {
		v, want := &p.Values[id], args[k].Dtype(dt)
		if v.Dtype != want || v.Shape.Size() != args[k].Shape.Size() {
			return nil, errors.Errorf("plan: %s reads %s, %v of shape %v, got %v of shape %v", op.Name(), args[k].Name, want, args[k].Shape, v.Dtype, v.Shape)
		}
		v.Last = at
	}
	for _, arg := range op.Outputs() {
		out = append(out, ID(len(p.Values)))
		p.Values = append(p.Values, Value{Dtype: dt, Shape: arg.Shape, First: at, Last: at})
	}
	p.Steps = append(p.Steps, Step{Op: op, Dtype: dt, In: in, Out: out, Origin: at})
	return out, nil
}

// Keep makes values available after a run, until the next one.
func (p *Plan) Keep(ids ...ID) {
	for _, id := range ids {
		p.Values[id].Kept = true
	}
}
