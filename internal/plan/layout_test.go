package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestPlace: what is alive at one time does not overlap, and little is wasted.
func TestPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var bs []*block
		live := make([]int, 60)
		for range 1 + r.IntN(40) {
			first := r.IntN(50)
			b := &block{size: 1 + r.IntN(100), first: first, last: first + r.IntN(10)}
			for i := b.first; i <= b.last; i++ {
				live[i] += b.size
			}
			bs = append(bs, b)
		}
		size := place(bs)
		for i, a := range bs {
			if a.offset < 0 || a.end() > size {
				t.Fatalf("%+v lies outside %d", a, size)
			}
			for _, b := range bs[:i] {
				if a.first <= b.last && b.first <= a.last && a.offset < b.end() && b.offset < a.end() {
					t.Fatalf("%+v and %+v overlap", a, b)
				}
			}
		}
		if need := slices.Max(live); 2*size > 3*need {
			t.Errorf("%d elements for %d that are alive at once", size, need)
		}
	}
}

// apart is the CPU as a device that runs two operations at the same time, but those
// with a lot of memory one after the other.
type apart struct{ cpu.Device }

func (apart) Apart(bytes int) int {
	if bytes > 1000 {
		return 0
	}
	return 1
}

// TestMemoryIsNotUsedAgainAtOnce: on a device that runs operations at the same time, a
// result is not placed where the operation before it reads.
func TestMemoryIsNotUsedAgainAtOnce(t *testing.T) {
	for _, size := range []int{64, 1024} {
		var p Plan
		shape := ops.Shape{size}
		v := p.Input(ops.Float32, shape)
		for range 6 {
			out, err := p.Add(ops.Activate{Fn: ops.SiLU, Shape: shape}, ops.Float32, v)
			if err != nil {
				t.Fatal(err)
			}
			v = out[0]
		}
		for _, c := range []struct {
			d    device.Device
			want int
		}{{cpu.Device{}, 2}, {apart{}, map[int]int{64: 3, 1024: 2}[size]}} {
			if got := p.LayOut(c.d).Shared[ops.Float32] / size; got != c.want {
				t.Errorf("%d elements: %d results are in memory at once on %T, want %d", size, got, c.d, c.want)
			}
		}
	}
}
