//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// nccl is the functions of NVIDIA's collective communication library.
type nccl struct {
	GetErrorString        uintptr `sym:"ncclGetErrorString"`
	GetUniqueID           uintptr `sym:"ncclGetUniqueId"`
	CommInitRank          uintptr `sym:"ncclCommInitRank"`
	GroupStart            uintptr `sym:"ncclGroupStart"`
	GroupEnd              uintptr `sym:"ncclGroupEnd"`
	AllReduce             uintptr `sym:"ncclAllReduce"`
	Reduce                uintptr `sym:"ncclReduce"`
	Broadcast             uintptr `sym:"ncclBroadcast"`
	RedOpCreatePreMulSum  uintptr `sym:"ncclRedOpCreatePreMulSum"`
	commInitRankFromValue func(comm *uintptr, size int32, id ncclID, rank int32) int32
}

// ncclID is ncclUniqueId, which ncclCommInitRank takes by value.
type ncclID struct{ internal [128]byte }

// Constants of NCCL.
const (
	ncclFloat        = 7
	ncclDouble       = 8
	ncclScalarDevice = 0
)

func openNccl() (*nccl, error) {
	l, err := dynlib.Open(toolkitDirs("nccl"), "libnccl.so.2")
	if err != nil {
		return nil, errors.Wrap(err, "cuda: several cards need NCCL (pip install nvidia-nccl-cu12)")
	}
	n := new(nccl)
	if err := l.Bind(n); err != nil {
		return nil, errors.Wrap(err, "cuda")
	}
	purego.RegisterFunc(&n.commInitRankFromValue, n.CommInitRank)
	return n, nil
}

func (n *nccl) check(what string, code int32) error {
	if code == 0 {
		return nil
	}
	text, _, _ := purego.SyscallN(n.GetErrorString, uintptr(code))
	return errors.Errorf("cuda: %s: %s (%d)", what, cString(*(**byte)(unsafe.Pointer(&text))), code)
}

// job is a card's place among those of the ranks.
type job struct {
	nccl *nccl
	comm uintptr
	late bool // reports whether NCCL has not returned from joining it
}

// useNccl loads NCCL unless it is loaded.
func (d *Device) useNccl() (*nccl, error) {
	if d.job.nccl == nil {
		n, err := openNccl()
		if err != nil {
			return nil, err
		}
		d.job.nccl = n
	}
	return d.job.nccl, nil
}

// NewJob returns an identification that NCCL makes.
func (d *Device) NewJob() (id []byte, err error) {
	err = d.thread.do(func() error {
		n, err := d.useNccl()
		if err != nil {
			return err
		}
		id = make([]byte, unsafe.Sizeof(ncclID{}))
		return n.check("ncclGetUniqueId", dynlib.Call(n.GetUniqueID, uintptr(unsafe.Pointer(&id[0]))))
	})
	return id, err
}

// joinTimeout limits the time in which the cards of all ranks must find one
// another.
const joinTimeout = time.Minute

// Join makes the card a rank of a job. The communicator remains until the process
// ends: NCCL destroys one only after all graphs that contain its sums, and waits for
// that without end.
func (d *Device) Join(id []byte, rank, size int) error {
	return d.joinWithin(joinTimeout, id, rank, size)
}

func (d *Device) joinWithin(limit time.Duration, id []byte, rank, size int) error {
	if len(id) != int(unsafe.Sizeof(ncclID{})) {
		return errors.Errorf("cuda: a job of %d bytes is none of NCCL's", len(id))
	}
	if err := d.thread.do(func() error { _, err := d.useNccl(); return err }); err != nil {
		return err
	}
	var all ncclID
	copy(all.internal[:], id)
	joined := make(chan joining, 1)
	go func() { joined <- d.connect(all, rank, size) }()
	select {
	case j := <-joined:
		d.job.comm = j.comm
		return errors.Wrapf(j.err, "rank %d of %d", rank, size)
	case <-time.After(limit):
		d.job.late = true
		return errors.Errorf("cuda: rank %d of %d has waited %v for the cards of the other ranks, which NCCL cannot reach; NCCL_SOCKET_IFNAME names the network to use, and NCCL_DEBUG=INFO shows what it tries", rank, size, limit)
	}
}

// joining is the result of connect.
type joining struct {
	comm uintptr
	err  error
}

// connect connects to the cards of the other ranks. It does not return before all
// of them are there, and so occupies a thread of its own and not the device's lock.
func (d *Device) connect(id ncclID, rank, size int) (j joining) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if j.err = d.enter(); j.err != nil {
		return j
	}
	n, comm := d.job.nccl, new(uintptr)
	j.err = n.check("ncclCommInitRank", n.commInitRankFromValue(comm, int32(size), id, int32(rank)))
	j.comm = *comm
	return j
}

// SumAll prepares a sum over the ranks.
func (d *Device) SumAll(xs []device.Buffer, weight device.Buffer) (device.Launch, error) {
	return d.sum(xs, weight, func(x buffer, kind, operator uintptr, _ int) int32 {
		return dynlib.Call(d.job.nccl.AllReduce, uintptr(x.at), uintptr(x.at), uintptr(x.n), kind, operator, d.job.comm, d.stream)
	})
}

// SumTo prepares sums over the ranks, each for one of them.
func (d *Device) SumTo(parts []device.Part, weight device.Buffer) (device.Launch, error) {
	return d.sum(buffersIn(parts), weight, func(x buffer, kind, operator uintptr, k int) int32 {
		return dynlib.Call(d.job.nccl.Reduce, uintptr(x.at), uintptr(x.at), uintptr(x.n), kind, operator, uintptr(parts[k].Rank), d.job.comm, d.stream)
	})
}

// Gather prepares the copying of each part to all ranks.
func (d *Device) Gather(parts []device.Part) (device.Launch, error) {
	return d.together(buffersIn(parts), nil, func(x buffer, kind uintptr, k int) int32 {
		return dynlib.Call(d.job.nccl.Broadcast, uintptr(x.at), uintptr(x.at), uintptr(x.n), kind, uintptr(parts[k].Rank), d.job.comm, d.stream)
	})
}

func buffersIn(parts []device.Part) (bs []device.Buffer) {
	for _, p := range parts {
		bs = append(bs, p.Buffer)
	}
	return bs
}

// sum prepares sums of buffers times a weight; call enqueues that of buffer k.
func (d *Device) sum(xs []device.Buffer, weight device.Buffer, call func(x buffer, kind, operator uintptr, k int) int32) (device.Launch, error) {
	operator := new(int32)
	err := d.thread.do(func() error {
		w, err := buffersOf(weight)
		if err != nil {
			return err
		}
		kind, err := d.kindOf(w[0])
		if err != nil {
			return err
		}
		n := d.job.nccl
		return n.check("ncclRedOpCreatePreMulSum", dynlib.Call(n.RedOpCreatePreMulSum, uintptr(unsafe.Pointer(operator)), uintptr(w[0].at), kind, ncclScalarDevice, d.job.comm))
	})
	if err != nil {
		return nil, err
	}
	return d.together(xs, weight, func(x buffer, kind uintptr, k int) int32 { return call(x, kind, uintptr(*operator), k) })
}

// kindOf returns NCCL's name for the type of a buffer's elements. It fails for a card
// without ranks.
func (d *Device) kindOf(x buffer) (uintptr, error) {
	switch {
	case d.job.comm == 0:
		return 0, errors.New("cuda: the card has not joined a job")
	case x.dt == ops.Float32:
		return ncclFloat, nil
	case x.dt == ops.Float64:
		return ncclDouble, nil
	}
	return 0, errors.Errorf("cuda: ranks do not exchange %v", x.dt)
}

// together prepares one call for each of several buffers, which NCCL combines. It
// writes the buffers and reads the weight, nil for none, which have one type.
func (d *Device) together(xs []device.Buffer, weight device.Buffer, call func(x buffer, kind uintptr, k int) int32) (device.Launch, error) {
	mine, err := buffersOf(xs...)
	if err != nil {
		return nil, err
	}
	kind, err := d.kindOf(mine[0])
	if err != nil {
		return nil, err
	}
	spans := []span{{from: address(d.job.comm), to: address(d.job.comm) + 1, writes: true}} // all calls in their order
	if weight != nil {
		w, err := buffersOf(weight)
		if err != nil {
			return nil, err
		}
		spans = append(spans, w[0].span(false))
	}
	for _, x := range mine {
		if k, err := d.kindOf(x); err != nil || k != kind {
			return nil, errors.Errorf("cuda: buffers of different types, %v and %v, in one exchange", mine[0].dt, x.dt)
		}
		spans = append(spans, x.span(true))
	}
	return d.launch([]task{{spans: spans, urgent: true, enqueue: func() error { return d.enqueueTogether(mine, kind, call) }}}), nil
}

func (d *Device) enqueueTogether(xs []buffer, kind uintptr, call func(x buffer, kind uintptr, k int) int32) error {
	n := d.job.nccl
	if err := n.check("ncclGroupStart", dynlib.Call(n.GroupStart)); err != nil {
		return err
	}
	for k, x := range xs {
		if err := n.check("NCCL", call(x, kind, k)); err != nil {
			return err
		}
	}
	return n.check("ncclGroupEnd", dynlib.Call(n.GroupEnd))
}
