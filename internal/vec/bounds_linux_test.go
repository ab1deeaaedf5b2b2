package vec

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// TestNothingBeyondTheVectors: with each vector right before or right after a page
// that may not be touched, nothing is read or written beyond it, and what lies on
// the other side stays.
func TestNothingBeyondTheVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	var f fences
	defer f.free()
	eachCase(func(o op[float32], n int, v [][]float32) {
		using(func(set string) {
			fenced := make([][]float32, len(v))
			around := make([][]float32, len(v))
			for i := range v {
				fenced[i], around[i] = f.fenced(t, i, v[i], r.IntN(2) == 0)
			}
			o.run(fenced)
			for i := range around {
				for _, x := range around[i] {
					if x != guard {
						t.Fatalf("%s %s of %d wrote %v beside vector %d", o.name, set, n, x, i)
					}
				}
			}
		})
	})
}

// guard fills what no function may write.
const guard = 12345

// fences are pages between pages that may not be touched.
type fences struct{ mem [][]byte }

// fenced copies x to page i, to its end or its beginning, and returns also what is
// left of the page.
func (f *fences) fenced(t *testing.T, i int, x []float32, atEnd bool) (copied, around []float32) {
	t.Helper()
	page := syscall.Getpagesize()
	for len(f.mem) <= i {
		mem, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		f.mem = append(f.mem, mem)
		for _, fence := range [][]byte{mem[:page], mem[2*page:]} {
			if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
				t.Fatal(err)
			}
		}
	}
	room := unsafe.Slice((*float32)(unsafe.Pointer(&f.mem[i][page])), page/4)
	for j := range room {
		room[j] = guard
	}
	copied, around = room[:len(x)], room[len(x):]
	if atEnd {
		copied, around = room[len(room)-len(x):], room[:len(room)-len(x)]
	}
	copy(copied, x)
	return copied, around
}

func (f *fences) free() {
	for _, mem := range f.mem {
		_ = syscall.Munmap(mem)
	}
}
