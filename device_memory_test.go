package xlstm

import (
	"errors"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
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

// limited is a device with memory for so many bytes.
type limited struct {
	cpu.Device
	limit, held int64
}

func (d *limited) bytes(dt ops.Dtype, n int) int64 { return int64(n * dt.Size()) }

func (d *limited) Alloc(dt ops.Dtype, n int) (nodes.Buffer, error) {
	need := d.bytes(dt, n)
	if d.held+need > d.limit {
		return nil, &device.MemoryError{Device: "a small card", Need: need, Free: d.limit - d.held, Total: d.limit}
	}
	d.held += need
	return d.Device.Alloc(dt, n)
}

func (d *limited) Free(b nodes.Buffer) error {
	d.held -= d.bytes(b.Dtype(), b.Len())
	return d.Device.Free(b)
}

// TestTrainersThatDoNotFit: the error says how much memory a trainer needs, how much
// the device has, and which batch would fit. That batch fits, and the trainer that
// failed leaves no memory allocated.
func TestTrainersThatDoNotFit(t *testing.T) {
	d := &limited{limit: 4 << 20}
	m, err := New(smallConfig(), WithDevice(d))
	if err != nil {
		t.Fatal(err)
	}
	held := d.held
	train := func(batch int) error {
		tr, err := m.NewTrainer(adamW(t), TrainerConfig{Batch: batch, Steps: 64, Accumulate: 2})
		if err != nil {
			return err
		}
		return tr.Close()
	}
	err = train(64)
	testutil.WantError(t, err, "64 × 64 tokens needs", "a small card", "it has 0.00 GiB", "a batch of", "would fit")
	if d.held != held {
		t.Errorf("%d bytes are left of the trainer", d.held-held)
	}
	batch, err := m.Config().LargestBatch(CostOptions{Steps: 64, Device: d}, d.limit-8*int64(m.NumParams()))
	if err != nil || batch < 2 {
		t.Fatalf("a batch of %d, %v", batch, err)
	}
	if err := train(batch); err != nil {
		t.Errorf("a batch of %d: %v", batch, err)
	}
	if d.held != held {
		t.Errorf("%d bytes are left of a closed trainer", d.held-held)
	}
	if err := train(batch + batch/8 + 2); err == nil {
		t.Errorf("twice a batch of %d fits too", batch)
	}
	d.limit = held + 1000
	testutil.WantError(t, train(1), "too little for a single sequence")
}
