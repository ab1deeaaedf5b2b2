//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// address is an address in the memory of a card.
type address uintptr

// allocate returns n bytes of the card's memory, on its thread.
func (d *Device) allocate(n int) (address, error) {
	var p uintptr
	r := dynlib.Call(d.drv.MemAlloc, uintptr(unsafe.Pointer(&p)), uintptr(n))
	if r == outOfMemory {
		free, total, err := d.memory()
		if err != nil {
			return 0, err
		}
		return 0, &device.MemoryError{Device: d.name, Need: int64(n), Free: free, Total: total}
	}
	return address(p), d.drv.check("cuMemAlloc", r)
}

// memory returns the card's free and total memory in bytes.
func (d *Device) memory() (free, total int64, err error) {
	var f, t uintptr
	err = d.drv.check("cuMemGetInfo", dynlib.Call(d.drv.MemGetInfo, uintptr(unsafe.Pointer(&f)), uintptr(unsafe.Pointer(&t))))
	return int64(f), int64(t), err
}

// Memory returns the free and the total memory of the card, in bytes.
func (d *Device) Memory() (free, total int64, err error) {
	err = d.thread.do(func() (err error) {
		free, total, err = d.memory()
		return err
	})
	return free, total, errors.Wrap(err, "cuda: asking for the memory of "+d.name)
}

func (d *Device) release(p address) error {
	return d.drv.check("cuMemFree", dynlib.Call(d.drv.MemFree, uintptr(p)))
}

// staging is page-locked host memory, which a card reads and writes many times as
// fast as pageable memory.
type staging struct {
	p    unsafe.Pointer
	n    int
	used int // bytes of copies to the card that may not be done
}

// stagingBytes is the size of the pieces of larger copies.
const stagingBytes = 4 << 20

func (d *Device) newStaging() (staging, error) {
	s := staging{n: stagingBytes}
	r := dynlib.Call(d.drv.MemAllocHost, uintptr(unsafe.Pointer(&s.p)), uintptr(s.n))
	return s, d.drv.check("cuMemAllocHost", r)
}

func (s staging) bytes() []byte { return unsafe.Slice((*byte)(s.p), s.n) }

// upload copies host memory to the card by way of the staging memory. It waits only
// when that is full.
func (d *Device) upload(dst address, src []byte) error {
	s := &d.staging
	for len(src) > 0 {
		if s.used == s.n {
			if err := d.synchronize(); err != nil {
				return err
			}
		}
		from := unsafe.Add(s.p, s.used)
		n := copy(s.bytes()[s.used:], src)
		r := dynlib.Call(d.drv.MemcpyHtoDAsync, uintptr(dst), uintptr(from), uintptr(n), d.stream)
		if err := d.drv.check("cuMemcpyHtoDAsync", r); err != nil {
			return err
		}
		s.used += n
		src, dst = src[n:], dst+address(n)
	}
	return nil
}

// download copies the card's memory to the host after all that was enqueued before.
func (d *Device) download(dst []byte, src address) error {
	for len(dst) > 0 {
		n := min(len(dst), d.staging.n)
		r := dynlib.Call(d.drv.MemcpyDtoHAsync, uintptr(d.staging.p), uintptr(src), uintptr(n), d.stream)
		if err := d.drv.check("cuMemcpyDtoHAsync", r); err != nil {
			return err
		}
		if err := d.synchronize(); err != nil {
			return err
		}
		copy(dst, d.staging.bytes()[:n])
		dst, src = dst[n:], src+address(n)
	}
	return nil
}

// copyMemory and clearMemory enqueue work on n bytes.
func (d *Device) copyMemory(dst, src address, n int) error {
	return d.drv.check("cuMemcpyDtoDAsync", dynlib.Call(d.drv.MemcpyDtoDAsync, uintptr(dst), uintptr(src), uintptr(n), d.stream))
}

func (d *Device) clearMemory(dst address, n int) error {
	return d.drv.check("cuMemsetD8Async", dynlib.Call(d.drv.MemsetD8Async, uintptr(dst), 0, uintptr(n), d.stream))
}

// bytesOf returns the memory of a slice of fixed-size elements.
func bytesOf[E any](s []E) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}
