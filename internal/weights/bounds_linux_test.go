package weights

import (
	"syscall"
	"testing"
	"unsafe"
)

// TestNothingBeyondTheSlices: with everything right before or right after a page
// that may not be touched, no kernel reads or writes beyond it.
func TestNothingBeyondTheSlices(t *testing.T) {
	eachCase(func(m Matrix, _, x []float32) {
		for _, atEnd := range []bool{true, false} {
			fenced := m
			fenced.Data = fencedCopy(t, m.Data, atEnd)
			if m.Format.Scaled() {
				fenced.Scales = fencedCopy(t, m.Scales, atEnd)
			}
			x, y, row := fencedCopy(t, x, atEnd), fencedCopy(t, make([]float32, m.Rows()), atEnd), fencedCopy(t, x, atEnd)
			using(func(string) {
				fenced.Dots(x, y)
				fenced.Unpack(0, row)
				fenced.Unpack(m.Rows()-1, row)
			})
		}
	})
}

// fencedCopy copies x to memory that ends, or begins, where access is forbidden.
func fencedCopy[T any](t *testing.T, x []T, atEnd bool) []T {
	t.Helper()
	page, size := syscall.Getpagesize(), len(x)*int(unsafe.Sizeof(x[0]))
	room := (size + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, room+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	for _, fence := range [][]byte{mem[:page], mem[page+room:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	from := page
	if atEnd {
		from = page + room - size
	}
	copied := unsafe.Slice((*T)(unsafe.Pointer(&mem[from])), len(x))
	copy(copied, x)
	return copied
}
