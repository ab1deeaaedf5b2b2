//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// buffer is a stretch of a card's memory, or, if ld is not 0, columns of a matrix of rows
// of ld elements, or, if rests is not 0, the twins of split numbers, whose rests are there.
type buffer struct {
	at       address
	dt       ops.Dtype
	n        int
	ld, rows int
	rests    address
}

func (b buffer) Dtype() ops.Dtype { return b.dt }
func (b buffer) Len() int         { return b.n }

// span is the buffer as what a task reads or writes.
func (b buffer) span(writes bool) span {
	n := b.n
	if b.ld > 0 {
		n = (b.rows-1)*b.ld + b.n/b.rows
	}
	return span{b.at, b.at + address(n*b.dt.Size()), writes}
}

// spans is span for a buffer whose numbers may be split.
func (b buffer) spans(writes bool) []span {
	if b.rests == 0 {
		return []span{b.span(writes)}
	}
	twins, rests := buffer{at: b.at, dt: ops.BFloat16, n: b.n}, buffer{at: b.rests, dt: ops.BFloat16, n: b.n}
	return []span{twins.span(writes), rests.span(writes)}
}

func (b buffer) Slice(from, n int) device.Buffer {
	return buffer{at: b.at + address(from*b.dt.Size()), dt: b.dt, n: n}
}

// Alloc returns memory for n elements. The error is a *device.MemoryError if the card has
// too little left.
func (d *Device) Alloc(dt ops.Dtype, n int) (device.Buffer, error) {
	b := buffer{dt: dt, n: n}
	err := d.thread.do(func() (err error) {
		b.at, err = d.allocate(max(1, n) * dt.Size())
		return err
	})
	return b, errors.Wrapf(err, "cuda: memory for %d numbers", n)
}

// Free releases the memory of a buffer that Alloc returned.
func (d *Device) Free(b device.Buffer) error {
	mine, err := buffersOf(b)
	if err != nil {
		return err
	}
	return errors.Wrap(d.thread.do(func() error { return d.release(mine[0].at) }), "cuda: giving memory back")
}

// buffersOf converts the buffers to this package's type.
func buffersOf(bs ...device.Buffer) ([]buffer, error) {
	mine := make([]buffer, len(bs))
	for i, b := range bs {
		var ok bool
		if mine[i], ok = b.(buffer); !ok {
			return nil, errors.Errorf("cuda: a buffer of another device, %T", b)
		}
	}
	return mine, nil
}

// hostBytes returns the memory of a slice as Upload and Download take it.
func hostBytes(x any) (data []byte, dt ops.Dtype, err error) {
	switch x := x.(type) {
	case []float32:
		return bytesOf(x), ops.Float32, nil
	case []float64:
		return bytesOf(x), ops.Float64, nil
	case []int:
		return bytesOf(x), ops.Int, nil
	case []byte:
		return x, ops.Byte, nil
	case []uint16:
		return bytesOf(x), ops.BFloat16, nil
	}
	return nil, 0, errors.Errorf("cuda: %T is no slice of float32, float64, int or byte", x)
}

// transfer checks that host memory and a buffer have the same type and length.
func transfer(x any, b device.Buffer) ([]byte, address, error) {
	data, dt, err := hostBytes(x)
	if err != nil {
		return nil, 0, err
	}
	mine, err := buffersOf(b)
	if err != nil {
		return nil, 0, err
	}
	if dt != b.Dtype() || len(data) != b.Len()*dt.Size() {
		return nil, 0, errors.Errorf("cuda: %d bytes of %v for %d elements of %v", len(data), dt, b.Len(), b.Dtype())
	}
	return data, mine[0].at, nil
}

// Upload copies src to dst, in the order of the launches. A []float32 is rounded
// for a buffer in bfloat16.
func (d *Device) Upload(dst device.Buffer, src any) error {
	if x, ok := src.([]float32); ok && dst.Dtype() == ops.BFloat16 {
		src = rounded(x)
	}
	data, at, err := transfer(src, dst)
	if err != nil {
		return err
	}
	return errors.Wrap(d.thread.do(func() error { return d.upload(at, data) }), "cuda: copying to the card")
}

// Download copies src to dst when all launches before it are done. The elements
// of a buffer in bfloat16 are copied to a []float32.
func (d *Device) Download(dst any, src device.Buffer) error {
	if x, ok := dst.([]float32); ok && src.Dtype() == ops.BFloat16 {
		halves := make([]uint16, len(x))
		err := d.Download(halves, src)
		widen(x, halves)
		return err
	}
	data, at, err := transfer(dst, src)
	if err != nil {
		return err
	}
	return errors.Wrap(d.thread.do(func() error { return d.download(data, at) }), "cuda: copying from the card")
}

// Copy copies src to dst, in the order of the launches.
func (d *Device) Copy(dst, src device.Buffer) error {
	mine, err := buffersOf(dst, src)
	if err != nil {
		return err
	}
	if src.Dtype() != dst.Dtype() || src.Len() != dst.Len() {
		return errors.Errorf("cuda: %d elements of %v for %d of %v", src.Len(), src.Dtype(), dst.Len(), dst.Dtype())
	}
	to, from := mine[0], mine[1]
	copying := func() error { return d.copyMemory(to.at, from.at, to.n*to.dt.Size()) }
	return d.launch([]task{{enqueue: copying, spans: []span{to.span(true), from.span(false)}}})()
}

// Zero clears dst, in the order of the launches.
func (d *Device) Zero(dst device.Buffer) error {
	mine, err := buffersOf(dst)
	if err != nil {
		return err
	}
	to := mine[0]
	clearing := func() error { return d.clearMemory(to.at, to.n*to.dt.Size()) }
	return d.launch([]task{{enqueue: clearing, spans: []span{to.span(true)}}})()
}

// Alignment is that of the driver's allocations, which cuBLAS's fastest kernels need.
func (d *Device) Alignment() int { return 256 }

// rounded returns x in bfloat16, rounded to nearest and to even.
func rounded(x []float32) []uint16 {
	halves := make([]uint16, len(x))
	for i, v := range x {
		bits := math.Float32bits(v)
		if v != v {
			halves[i] = 0x7fff
			continue
		}
		halves[i] = uint16((bits + 0x7fff + bits>>16&1) >> 16)
	}
	return halves
}

// widen sets x to numbers in bfloat16.
func widen(x []float32, halves []uint16) {
	for i, h := range halves {
		x[i] = math.Float32frombits(uint32(h) << 16)
	}
}
