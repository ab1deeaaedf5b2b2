package kernels

import "math"

// linearBench is the up projection of an mLSTM layer.
type linearBench struct {
	n, in, out int
	x, w, y    []float32
}

func newLinearBench(m benchModel) linearBench {
	n, in, out := m.rows(), m.width, 4*m.width
	return linearBench{n, in, out, random(n*in, 1, 0), random(out*in, 0.1, 0), random(n*out, 1, 0)}
}

func (c linearBench) work(run func()) benchWork {
	return benchWork{run, c.n * c.in * c.out, products}
}

// headwiseBench maps blocks of a row of the given width.
func headwiseBench(m benchModel, width, block int, back bool) benchWork {
	s := Headwise{N: m.rows(), Heads: width / block, In: block, Out: block, Stride: block}
	x, w := draws(s.N*width, 3), draws(width*block, 2)
	if back {
		return benchWork{func() { HeadwiseBackward(s, x[0], w[0], x[1], x[2], w[1], nil) }, 2 * s.N * width * block, products}
	}
	return benchWork{func() { HeadwiseForward(s, x[0], w[0], nil, x[1]) }, s.N * width * block, products}
}

func normBench(m benchModel, width, groups int, back bool) benchWork {
	s := Norm{N: m.rows(), Width: width, Groups: groups, Eps: 1e-5, Centered: true, Residual: true}
	x, w := draws(s.N*width, 3), draws(width, 2)
	run := func() { NormForward(s, x[0], w[0], x[1]) }
	if back {
		run = func() { NormBackward(s, x[0], w[0], x[1], x[2], w[1]) }
	}
	return benchWork{run, s.N * width, perElement}
}

func convBench(m benchModel, back bool) benchWork {
	s := Conv{B: m.batch, T: m.time, D: 2 * m.width, K: 4, SiLU: true}
	x, w, bias, window := draws(m.rows()*s.D, 3), draws(s.K*s.D, 2), draws(s.D, 2), make([]float32, s.B*s.K*s.D)
	run := func() { ConvForward(s, x[0], w[0], bias[0], nil, x[1], window) }
	if back {
		run = func() { ConvBackward(s, x[0], w[0], bias[0], nil, x[1], nil, x[2], w[1], bias[1], nil) }
	}
	return benchWork{run, m.rows() * s.D, perElement}
}

func slstmBench(m benchModel, back bool) benchWork {
	s := SLSTM{B: m.batch, T: m.time, NH: m.heads, DH: m.width / m.heads, Clip: math.Inf(1)}
	n, d := m.rows()*m.width, m.width
	x, y, state := [4][]float32(draws(n, 4)), draws(n, 2), draws(4*s.B*d, 2)
	r, bias := random(4*d*s.DH, 0.1, 0), random(4*d, 1, 0)
	tape := SLSTMTapeOf(s, make([]float32, s.TapeSize()))
	forward := func() { SLSTMForward(s, x, r, bias, nil, y[0], state[0], tape) }
	if !back {
		return benchWork{forward, m.rows(), tokens}
	}
	forward()
	grads := SLSTMGrads[float32]{X: [4][]float32(draws(n, 4)), R: make([]float32, len(r)), Bias: make([]float32, len(bias))}
	return benchWork{func() { SLSTMBackward(s, r, nil, y[0], state[0], tape, y[1], nil, grads) }, m.rows(), tokens}
}

// mlstmBench is a cell with inputs, from an empty memory.
type mlstmBench struct {
	s             MLSTM
	q, k, v, i, f []float32
	h, dh         []float32
	empty, last   MLSTMState[float32]
	grads         MLSTMGrads[float32]
}

// newMLSTMBench draws forget gates around σ(3), for a memory of some twenty
// steps.
func newMLSTMBench(s MLSTM) *mlstmBench {
	n, gates, heads := s.B*s.T*s.NH*s.DQK, s.B*s.T*s.NH, s.B*s.NH
	x, g := draws(n, 8), draws(gates, 3)
	return &mlstmBench{
		s: s, q: x[0], k: x[1], v: x[2], i: g[0], f: random(gates, 1, 3), h: x[3], dh: x[4],
		last:  MLSTMState[float32]{C: make([]float32, heads*s.size()), N: make([]float32, heads*s.DQK), M: make([]float32, heads)},
		grads: MLSTMGrads[float32]{Q: x[5], K: x[6], V: x[7], I: g[1], F: g[2]},
	}
}

func (c *mlstmBench) work(run func()) benchWork { return benchWork{run, c.s.B * c.s.T, tokens} }

type mlstmForwardFunc func(s MLSTM, q, k, v, i, f []float32, state MLSTMState[float32], h []float32, last MLSTMState[float32])

func (c *mlstmBench) forward(run mlstmForwardFunc) func() benchWork {
	return func() benchWork {
		return c.work(func() { run(c.s, c.q, c.k, c.v, c.i, c.f, c.empty, c.h, c.last) })
	}
}

func (c *mlstmBench) chunkwiseBack() benchWork {
	MLSTMForward(c.s, c.q, c.k, c.v, c.i, c.f, c.empty, c.h, c.last)
	return c.work(func() {
		MLSTMBackward(c.s, c.q, c.k, c.v, c.i, c.f, c.empty, c.h, c.dh, c.empty, c.grads)
	})
}

func (c *mlstmBench) recurrentBack() benchWork {
	return c.work(func() {
		MLSTMRecurrentBackward(c.s, c.q, c.k, c.v, c.i, c.f, c.empty, c.dh, c.empty, c.grads)
	})
}
