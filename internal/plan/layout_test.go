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

// TestLSTMsOverwriteTheirGates: the gates' input parts, the tape and the gradient of
// the input parts have one place, of the size of the tape, which is the largest.
func TestLSTMsOverwriteTheirGates(t *testing.T) {
	const rows, hidden, in = 12, 4, 3
	var p Plan
	add := adder(t, &p)
	x, w, r, b := p.Input(ops.Float32, ops.Shape{rows, in}), p.Input(ops.Float32, ops.Shape{4 * hidden, in}), p.Input(ops.Float32, ops.Shape{4 * hidden, hidden}), p.Input(ops.Float32, ops.Shape{4 * hidden})
	lin, cell := ops.Linear{Rows: rows, In: in, Outs: []int{4 * hidden}}, ops.LSTM{B: 2, T: rows / 2, H: hidden}
	gates := add(lin, x, w)[0]
	h := add(cell, gates, r, b)
	d := add(ops.LSTMGrad{LSTM: cell, Has: [2]bool{true, false}}, r, h[0], h[1], h[2], h[0])
	last := add(ops.LinearGrad{Linear: lin, Has: []bool{true}}, x, w, d[0])
	p.Keep(last...)
	l := p.LayOut(cpu.Fusing{})
	if at := l.Offset[gates]; at < 0 || l.Offset[h[2]] != at || l.Offset[d[0]] != at {
		t.Errorf("the input parts are at %d, the tape at %d, the gradient at %d", at, l.Offset[h[2]], l.Offset[d[0]])
	}
	for _, id := range []ID{h[0], h[1], d[1], d[2]} {
		if at, tape := l.Offset[id], l.Offset[gates]; at < tape+5*rows*hidden && tape < at+p.Values[id].Shape.Size() {
			t.Errorf("%v at %d overlaps the tape at %d", p.Values[id].Shape, at, tape)
		}
	}
}
