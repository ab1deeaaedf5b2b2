package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// exec runs one operation by itself, as tape machines ask for it, and owns the
// memory of its results.
type exec struct {
	op      ops.Op
	dtype   ops.Dtype
	arena   *arena    // the memory of the results, shared with other operations; nil for separate memory; see ShareMemory
	ids     []plan.ID // of the results in the arena
	in, out []device.Buffer
	tensors []*tensor.Dense // the results, nil where one is a single number
	launch  device.Launch
}

// share gives the results places in an arena.
func (e *exec) share(a *arena, ids []plan.ID) {
	e.arena, e.ids, e.launch = a, ids, nil
}

// piece returns result k of the last run.
func (e *exec) piece(k int) (gorgonia.Value, error) {
	if e.launch == nil {
		return nil, errors.New("its operation has not run")
	}
	return e.tensors[k], nil
}

func (e *exec) do(in []gorgonia.Value) (gorgonia.Value, error) {
	if err := e.prepare(); err != nil {
		return nil, err
	}
	for i, v := range in {
		if err := cpu.Rebind(e.in[i], elements(v)); err != nil {
			return nil, errors.Wrapf(err, "input %d", i)
		}
	}
	err := e.launch()
	switch {
	case len(e.out) > 1:
		return nothing(e.dtype), err
	case e.tensors[0] == nil:
		return number(e.out[0]), err
	}
	return e.tensors[0], err
}

// prepare makes the memory of the results, which stays from run to run.
func (e *exec) prepare() (err error) {
	if e.launch != nil {
		return nil
	}
	e.in, e.out, e.tensors = nil, nil, nil
	for _, arg := range e.op.Inputs() {
		e.in = append(e.in, cpu.Input(arg.Dtype(e.dtype), arg.Shape.Size()))
	}
	for k, arg := range e.op.Outputs() {
		b, err := e.memory(k, arg.Shape.Size())
		if err != nil {
			return err
		}
		e.out = append(e.out, b)
		e.tensors = append(e.tensors, tensorOver(b, arg.Shape))
	}
	e.launch, err = cpu.Device{}.Bind(e.op, e.out, e.in, nil)
	return err
}

func (e *exec) memory(k, size int) (device.Buffer, error) {
	if e.arena == nil {
		return cpu.Device{}.Alloc(e.dtype, size)
	}
	return e.arena.place(e.ids[k], size)
}
