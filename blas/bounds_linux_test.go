package blas

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// TestNothingBeyondTheSlices: with each matrix right before or right after a page
// that may not be touched, no kernel reads or writes beyond it.
func TestNothingBeyondTheSlices(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, impl := range sets() {
		packed := packedGemm[float32](impl)
		for range 400 {
			g := newGemmCase[float32](r, randomOf(r, transposes...), randomOf(r, transposes...),
				1+r.IntN(40), 1+r.IntN(randomOf(r, 9, 70, 300)), 1+r.IntN(randomOf(r, 40, 400)), r.IntN(3), 1, 0.5)
			atEnd := r.IntN(2) == 0
			g.a, g.b = fenced(t, g.a, atEnd), fenced(t, g.b, atEnd)
			c := fenced(t, g.c, atEnd)
			impl.Sgemm(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
			packed(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
		}
	}
}

// fenced copies x to memory that ends, or begins, where access is forbidden.
func fenced[T Float](t *testing.T, x []T, atEnd bool) []T {
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
