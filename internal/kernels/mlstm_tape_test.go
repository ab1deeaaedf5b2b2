package kernels

import (
	"math"
	"runtime"
	"slices"
	"testing"
)

// TestTapesGiveTheSameBits: with a tape, written and read on any numbers of cores, an
// mLSTM has the gradients that it has without one.
func TestTapesGiveTheSameBits(t *testing.T) {
	t.Run("float32", testTapes[float32])
	t.Run("float64", testTapes[float64])
}

func testTapes[F Float](t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, steps := range []int{16, 66, 165} {
		for mask := range 8 {
			c := newWaveCase[F](MLSTM{B: 1, T: steps, NH: 2, DQK: 20, DHV: 70, Chunk: 16, ScaleQ: 1, ScaleK: 0.3, Eps: 1e-6}, mask)
			runtime.GOMAXPROCS(1)
			want := c.run()
			for _, procs := range [][2]int{{1, 1}, {1, 16}, {16, 1}, {16, 16}} {
				tape := make([]F, c.TapeLen())
				for i := range tape {
					tape[i] = F(math.NaN())
				}
				for k, got := range c.runTaped(tape, procs) {
					if !slices.Equal(got, want[k]) {
						t.Errorf("%d steps, case %d, cores %v: result %d differs", steps, mask, procs, k)
					}
				}
			}
		}
	}
}

// TestTapesAreRead: the derivative on one core takes the memories from the tape.
func TestTapesAreRead(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := newWaveCase[float32](MLSTM{B: 1, T: 66, NH: 2, DQK: 20, DHV: 70, Chunk: 16, ScaleQ: 1, ScaleK: 0.3, Eps: 1e-6}, 0)
	tape := make([]float32, c.TapeLen())
	want := c.runTaped(tape, [2]int{1, 1})
	for i := range tape {
		tape[i] *= 2
	}
	if dq := c.backTaped(want[0], tape).Q; slices.Equal(dq, want[4]) {
		t.Error("other memories on the tape make no difference to the gradients of q")
	}
}
