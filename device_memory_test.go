package xlstm

import (
	"errors"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/tensor"
)

// full is a device with memory for a number of buffers.
type full struct {
	cpu.Device
	room, held int
}

func (d *full) Alloc(dt ops.Dtype, n int) (nodes.Buffer, error) {
	if d.held == d.room {
		return nil, errors.New("the memory is full")
	}
	d.held++
	return d.Device.Alloc(dt, n)
}

func (d *full) Free(b nodes.Buffer) error {
	d.held--
	return d.Device.Free(b)
}

// TestFullDevices: a model or a state that does not fit leaves no memory behind, and
// using a copy of a state that does not fit is an error.
func TestFullDevices(t *testing.T) {
	d := &full{room: 3}
	_, err := New(smallConfig(), WithDevice(d))
	testutil.WantError(t, err, "memory for", d.Name(), "full")
	if d.held != 0 {
		t.Errorf("%d buffers are left", d.held)
	}
	d.room = 1000
	m, err := New(smallConfig(), WithDtype(tensor.Float32), WithDevice(d))
	if err != nil {
		t.Fatal(err)
	}
	state, err := m.NewState(2)
	if err != nil {
		t.Fatal(err)
	}
	d.room = d.held + 1
	copied := state.Clone()
	testutil.WantError(t, state.Set(copied), "memory for block_0", "full")
	if _, err := m.NewState(1); err == nil || d.held != d.room-1 {
		t.Errorf("%v; %d buffers are held, want %d", err, d.held, d.room-1)
	}
}
