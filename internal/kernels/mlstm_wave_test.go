package kernels

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// TestWavesGiveTheSameBits: sequences that many cores compute in waves have the results
// of one core, with and without states and their gradients.
func TestWavesGiveTheSameBits(t *testing.T) {
	t.Run("float32", testWaves[float32])
	t.Run("float64", testWaves[float64])
}

func testWaves[F Float](t *testing.T) {
	for _, steps := range []int{64, 66, 165, 345} {
		for mask := range 8 {
			s := MLSTM{B: 1, T: steps, NH: 2, DQK: 20, DHV: 70, Chunk: 16, ScaleQ: 1, ScaleK: 0.3, Eps: 1e-6}
			c := newWaveCase[F](s, mask)
			compareWaves(t, s, c.run)
		}
	}
}

// compareWaves compares what one core computes with what several compute in waves.
func compareWaves[F Float](t *testing.T, s MLSTM, run func() [][]F) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if s.wave(coresForward) != nil {
		t.Fatal("one core computes in waves")
	}
	want := run()
	for _, procs := range []int{4, 7, 16} {
		runtime.GOMAXPROCS(procs)
		if s.wave(coresForward) == nil {
			t.Fatalf("%d cores do not compute %d steps in waves", procs, s.T)
		}
		for k, got := range run() {
			if !slices.Equal(got, want[k]) {
				t.Errorf("%d steps, %d cores: result %d differs", s.T, procs, k)
			}
		}
	}
}

// TestWavesOfMapsGiveTheSameBits: the same with maps of inputs, and with gradients in the
// memory of what they are made of.
func TestWavesOfMapsGiveTheSameBits(t *testing.T) {
	s := MLSTM{B: 1, T: 345, NH: 2, DQK: 72, DHV: 72, Chunk: 16, ScaleQ: 1, ScaleK: 0.3, Eps: 1e-6}
	for _, taped := range []bool{false, true} {
		compareWaves(t, s, func() [][]float32 {
			c := newWaveCase[float32](s, 0)
			n := s.NH * s.DQK
			maps := MLSTMMaps[float32]{C: c.q, X: c.k, W: [3][]float32{random(4*n, 1, 0), random(4*n, 0.5, 0), random(4*n, 2, 0)}}
			var tape []float32
			if taped {
				tape = make([]float32, s.TapeLen())
			}
			h := make([]float32, len(c.v))
			MLSTMMappedForward(s, maps, c.i, c.f, c.state, h, MLSTMState[float32]{}, tape)
			out := slices.Clone(h)
			g := MLSTMGrads[float32]{Q: c.q, K: c.dh, V: h, I: make([]float32, len(c.i)), F: make([]float32, len(c.f))}
			MLSTMMappedBackward(s, maps, c.i, c.f, c.state, h, tape, c.dh, c.dLast, g)
			return [][]float32{out, g.Q, g.K, g.V, g.I, g.F}
		})
	}
}

// TestWhenCoresShareWaves: where a core would be without a head, and not where each has as
// many as the others, or chunks are few.
func TestWhenCoresShareWaves(t *testing.T) {
	for _, c := range []struct {
		items, chunks, procs int
		want                 bool
	}{
		{4, 64, 1, false}, {4, 64, 2, false}, {4, 64, 4, false}, {4, 64, 8, true}, {4, 64, 16, true}, {4, 1, 16, false},
		{16, 16, 2, false}, {16, 16, 8, false}, {16, 16, 12, false}, {16, 16, 16, false}, {16, 16, 32, true},
	} {
		if got := inWaves(c.items, c.chunks, c.procs); got != c.want {
			t.Errorf("%d items of %d chunks on %d cores: %v", c.items, c.chunks, c.procs, got)
		}
	}
}

// TestWaveOrder: every chain leads through all steps in their order, steps follow once, and
// nothing is written to a place before what was there has been read.
func TestWaveOrder(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	for _, steps := range []int{4, 5, 24, 25, 101} {
		testWaveOrder(t, &wave{steps: steps, procs: 5, blocks: 2, items: make([]waveItem, 3)})
		Parallel(2, func(i int) { // within which it runs on one core
			if i == 0 {
				testWaveOrder(t, &wave{steps: steps, procs: 5, blocks: 2, items: make([]waveItem, 3)})
			}
		})
	}
}

func testWaveOrder(t *testing.T, w *wave) {
	const places = waveAhead*waveGroup + 1
	type place struct{ written, read atomic.Int64 }
	made, at := make([]atomic.Int64, len(w.items)*w.steps), make([]place, len(w.items)*w.blocks*places)
	of := func(item, block, step int) *place { return &at[(item*w.blocks+block)*places+step%places] }
	w.run(func(item, block, from, to int) {
		for step := from; step < to; step++ {
			p := of(item, block, step+1)
			if was := p.written.Swap(int64(step + 1)); step+1 >= places && (was != int64(step+1-places) || p.read.Load() != was) {
				t.Errorf("the memory before step %d is in the place of that before %d, which was read up to %d", step+1, was, p.read.Load())
			}
			w.reach(item, block, step+1)
		}
	}, func(item, step int) {
		made[item*w.steps+step].Add(1)
		for block := range w.blocks {
			p := of(item, block, step)
			if p.written.Load() != int64(step) {
				t.Errorf("step %d finds the memory before %d", step, p.written.Load())
			}
			p.read.Store(int64(step))
		}
	})
	for i := range made {
		if n := made[i].Load(); n != 1 {
			t.Errorf("step %d of item %d was made %d times", i%w.steps, i/w.steps, n)
		}
	}
}

// waveCase is the inputs of an mLSTM; those that are absent are nil.
type waveCase[F Float] struct {
	MLSTM
	q, k, v, i, f, dh []F
	state, dLast      MLSTMState[F]
}

// newWaveCase has a state if bit 0 of mask is set, a gradient of the last state
// for bit 1, and none of the outputs for bit 2.
func newWaveCase[F Float](s MLSTM, mask int) *waveCase[F] {
	r := rand.New(rand.NewPCG(uint64(s.T), 1))
	draw := func(n int, shift float64) []F {
		x := make([]F, n)
		for i := range x {
			x[i] = F(r.NormFloat64() + shift)
		}
		return x
	}
	state := func() MLSTMState[F] {
		return MLSTMState[F]{draw(s.B*s.NH*s.size(), 0), draw(s.B*s.NH*s.DQK, 0), draw(s.B*s.NH, 0)}
	}
	rows := s.B * s.T * s.NH
	c := &waveCase[F]{MLSTM: s, q: draw(rows*s.DQK, 0), k: draw(rows*s.DQK, 0), v: draw(rows*s.DHV, 0), i: draw(rows, 0), f: draw(rows, 2)}
	if mask&1 != 0 {
		c.state = state()
	}
	if mask&2 != 0 {
		c.dLast = state()
	}
	if mask&4 == 0 {
		c.dh = draw(rows*s.DHV, 0)
	}
	return c
}

// run returns the outputs, the final state and all gradients.
func (c *waveCase[F]) run() [][]F {
	procs := runtime.GOMAXPROCS(0)
	return c.runTaped(nil, [2]int{procs, procs})
}

// runTaped is run with a tape, unless it is nil, forward and backward on so many cores.
func (c *waveCase[F]) runTaped(tape []F, procs [2]int) [][]F {
	h, last := make([]F, len(c.v)), c.emptyState()
	runtime.GOMAXPROCS(procs[0])
	MLSTMTapedForward(c.MLSTM, c.q, c.k, c.v, c.i, c.f, c.state, h, last, tape)
	runtime.GOMAXPROCS(procs[1])
	g := c.backTaped(h, tape)
	return [][]F{h, last.C, last.N, last.M, g.Q, g.K, g.V, g.I, g.F, g.State.C, g.State.N, g.State.M}
}

// backTaped returns the gradients.
func (c *waveCase[F]) backTaped(h, tape []F) MLSTMGrads[F] {
	g := MLSTMGrads[F]{Q: make([]F, len(c.q)), K: make([]F, len(c.k)), V: make([]F, len(c.v)), I: make([]F, len(c.i)), F: make([]F, len(c.f))}
	if c.state.C != nil {
		g.State = c.emptyState()
	}
	MLSTMTapedBackward(c.MLSTM, c.q, c.k, c.v, c.i, c.f, c.state, h, tape, c.dh, c.dLast, g)
	return g
}

func (c *waveCase[F]) emptyState() MLSTMState[F] {
	return MLSTMState[F]{make([]F, c.B*c.NH*c.size()), make([]F, c.B*c.NH*c.DQK), make([]F, c.B*c.NH)}
}
