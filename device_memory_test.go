package xlstm

import (
	"errors"
	"runtime"
	"slices"
	"sync"
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
	// Parameters have found room, and packed weights not all.
	for d.room = 1; ; d.room++ {
		if _, err := New(smallLargeConfig(), WithDtype(tensor.Float32), WithWeights(WeightsInt8), WithDevice(d)); err == nil {
			break
		}
		if d.held != 0 || d.room > 1000 {
			t.Fatalf("room for %d: %d buffers are left", d.room, d.held)
		}
	}
	d.held, d.room = 0, 1000
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
	defer runtime.KeepAlive(state) // their memory is released with them
	defer runtime.KeepAlive(copied)
	testutil.WantError(t, state.Set(copied), "memory for block_0", "full")
	if _, err := m.NewState(1); err == nil || d.held != d.room-1 {
		t.Errorf("%v; %d buffers are held, want %d", err, d.held, d.room-1)
	}
}

// collecting is a device that collects garbage whenever it is used, and counts uses of
// memory that was released.
type collecting struct {
	cpu.Device
	mu    sync.Mutex
	freed map[nodes.Buffer]bool
	uses  int
	late  int // uses of memory that was released
}

func (d *collecting) Free(b nodes.Buffer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.freed[b] = true
	return nil
}

// use collects twice, and waits each time for the cleanup of garbage that was there.
func (d *collecting) use(bs ...nodes.Buffer) {
	for range 2 {
		done := make(chan bool)
		runtime.AddCleanup(new([100]byte), func(done chan bool) { close(done) }, done)
		runtime.GC()
		<-done
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uses++
	if slices.ContainsFunc(bs, func(b nodes.Buffer) bool { return d.freed[b] }) {
		d.late++
	}
}

func (d *collecting) Upload(dst nodes.Buffer, src any) error {
	d.use(dst)
	return d.Device.Upload(dst, src)
}

func (d *collecting) Download(dst any, src nodes.Buffer) error {
	d.use(src)
	return d.Device.Download(dst, src)
}

func (d *collecting) Copy(dst, src nodes.Buffer) error {
	d.use(dst, src)
	return d.Device.Copy(dst, src)
}

func (d *collecting) Zero(b nodes.Buffer) error {
	d.use(b)
	return d.Device.Zero(b)
}

// TestStatesLastAsLongAsTheyAreUsed: a state on a device keeps its memory to the end of
// the last method that is called with it.
func TestStatesLastAsLongAsTheyAreUsed(t *testing.T) {
	d := &collecting{freed: make(map[nodes.Buffer]bool)}
	m := testutil.Must(New(smallLargeConfig(), WithDtype(tensor.Float32)))
	m.home = &residence{device: d}
	other := func() *State { return testutil.Must(m.NewState(1)) }
	for name, use := range map[string]func() error{
		"Fetch": func() error { return other().Fetch() },
		"Push":  func() error { return other().Push() },
		"Clone": func() error { return other().Clone().failed },
		"Set":   func() error { return other().Set(other()) },
		"Reset": func() error {
			other().Reset()
			return nil
		},
	} {
		d.uses, d.late = 0, 0
		if err := use(); err != nil || d.uses == 0 || d.late > 0 {
			t.Errorf("%s: %v; the device was used %d times, %d of them with memory that was released", name, err, d.uses, d.late)
		}
	}
	if len(d.freed) == 0 {
		t.Error("no memory was released with the states")
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
