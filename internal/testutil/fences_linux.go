package testutil

import (
	"syscall"
	"testing"
	"unsafe"
)

// Fences are pieces of memory between pages that must not be touched: a read or
// write beyond a piece crashes the test.
type Fences[T comparable] struct {
	t      testing.TB
	guard  T
	pieces [][]T
	around [][]T
}

// NewFences returns Fences whose pieces are filled with guard around the copies in
// them.
func NewFences[T comparable](t testing.TB, guard T) *Fences[T] {
	return &Fences[T]{t: t, guard: guard}
}

// Copy copies x to piece i, to the end or the beginning of it, and returns the
// copy. It replaces the one before.
func (f *Fences[T]) Copy(i int, x []T, atEnd bool) []T {
	f.t.Helper()
	for len(f.pieces) <= i {
		f.pieces, f.around = append(f.pieces, nil), append(f.around, nil)
	}
	if len(f.pieces[i]) < len(x) {
		f.pieces[i] = f.piece(len(x))
	}
	room := f.pieces[i]
	for j := range room {
		room[j] = f.guard
	}
	copied, around := room[:len(x)], room[len(x):]
	if atEnd {
		copied, around = room[len(room)-len(x):], room[:len(room)-len(x)]
	}
	f.around[i] = around
	copy(copied, x)
	return copied
}

// Intact reports whether nothing was written beside the copy in piece i.
func (f *Fences[T]) Intact(i int) bool {
	for _, x := range f.around[i] {
		if x != f.guard {
			return false
		}
	}
	return true
}

// piece returns memory for n elements or more, whole pages with a fence on either
// side.
func (f *Fences[T]) piece(n int) []T {
	f.t.Helper()
	var zero T
	page, size := syscall.Getpagesize(), int(unsafe.Sizeof(zero))
	room := max(1, (n*size+page-1)/page) * page
	mem, err := syscall.Mmap(-1, 0, room+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = syscall.Munmap(mem) })
	for _, fence := range [][]byte{mem[:page], mem[page+room:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			f.t.Fatal(err)
		}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[page])), room/size)
}
