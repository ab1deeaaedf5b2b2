package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Late is the CPU for a program of single steps whose states are replaced where
// they are: it writes the memories C of mLSTM cells later than it computes with
// them, which takes half the traffic of memory (kernels.MLSTMLate). Before
// anything but this program reads or writes a state, CatchUp must be called.
type Late struct {
	Device
	catchUp []func(row int)
}

// CatchUp brings the memories of a row of the batch up to date, of all rows if it
// is negative.
func (d *Late) CatchUp(row int) {
	for _, f := range d.catchUp {
		f(row)
	}
}

// Bind prepares op.
func (d *Late) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	launch, err := d.Device.Bind(op, out, in, workspace)
	cell, ok := op.(ops.MLSTM)
	if err != nil || !ok || cell.T != 1 || !cell.State || cell.Resets || cell.Form == ops.Parallel {
		return launch, err
	}
	if out[0].Dtype() == ops.Float32 {
		return late[float32](d, cell, &operands{in: in, out: out}, launch), nil
	}
	return late[float64](d, cell, &operands{in: in, out: out}, launch), nil
}

// late binds a cell that writes late, or does what otherwise does if its state is
// not replaced where it is.
func late[F kernels.Float](d *Late, op ops.MLSTM, a *operands, otherwise device.Launch) device.Launch {
	x, state := ins[F](a, 5), memoryIn[F](a, true)
	h, last := out[F](a), memoryOut[F](a, true)
	var cell *kernels.MLSTMLate[F]
	d.catchUp = append(d.catchUp, func(row int) {
		if cell != nil {
			cell.CatchUp(row, last.c.data)
		}
	})
	return func() error {
		if &state.c.data[0] != &last.c.data[0] {
			return otherwise()
		}
		if cell == nil {
			cell = kernels.NewMLSTMLate[F](mlstmOf(op, nil))
		}
		cell.Step(x[0].data, x[1].data, x[2].data, x[3].data, x[4].data, last.get(), h.data)
		return nil
	}
}
