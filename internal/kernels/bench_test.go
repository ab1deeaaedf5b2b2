package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// benchModel has the widths of a model, and the shape of its batches. The inner
// width of its mLSTM layers is twice the model's.
type benchModel struct {
	name               string
	width, up          int // of the residual stream, of the feed-forward layer
	heads, batch, time int
	vocabulary         int
}

// benchModels are A and B of internal/bench.
var benchModels = []benchModel{
	{name: "A", width: 128, up: 192, heads: 4, batch: 16, time: 256, vocabulary: 65},
	{name: "B", width: 384, up: 512, heads: 4, batch: 16, time: 256, vocabulary: 65},
}

func (m benchModel) rows() int { return m.batch * m.time }

// benchWork is a kernel ready to run, and how much one run of it does: a number
// of what the unit counts.
type benchWork struct {
	run    func()
	amount int
	unit   string
}

const (
	perElement = "ns/element" // time per element
	products   = "GFLOP/s"    // from multiply-adds
	tokens     = "tok/s"
)

// benchmarkKernel prepares a kernel, runs it once for its scratch space, and
// times it.
func benchmarkKernel(b *testing.B, prepare func() benchWork) {
	w := prepare()
	w.run()
	b.ReportAllocs()
	for b.Loop() {
		w.run()
	}
	ns, amount := float64(b.Elapsed().Nanoseconds()), float64(w.amount)*float64(b.N)
	switch w.unit {
	case perElement:
		b.ReportMetric(ns/amount, w.unit)
	case products:
		b.ReportMetric(2*amount/ns, w.unit)
	case tokens:
		b.ReportMetric(1e9*amount/ns, w.unit)
	}
}

// random returns n seeded float32 draws with the given spread and mean.
func random(n int, scale, mean float64) []float32 {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64()*scale + mean)
	}
	return x
}

// draws returns several slices of n draws.
func draws(n, slices int) [][]float32 {
	x := make([][]float32, slices)
	for k := range x {
		x[k] = random(n, 1, 0)
	}
	return x
}

// randomIDs returns n tokens.
func randomIDs(n, vocabulary int) []int {
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = r.IntN(vocabulary)
	}
	return ids
}

// benchKernels are the kernels of a training step, but for activations on their
// own and the mLSTM cell, which follow.
var benchKernels = []struct {
	name    string
	prepare func(m benchModel) benchWork
}{
	{"Linear", func(m benchModel) benchWork {
		c := newLinearBench(m)
		return c.work(func() { Linear(c.n, c.in, c.out, c.x, c.in, c.w, c.in, nil, c.y, false) })
	}},
	{"LinearGradX", func(m benchModel) benchWork {
		c := newLinearBench(m)
		return c.work(func() { LinearGradX(c.n, c.in, c.out, c.y, c.w, c.in, c.x, c.in, false) })
	}},
	{"LinearGradW", func(m benchModel) benchWork {
		c := newLinearBench(m)
		return c.work(func() { LinearGradW(c.n, c.in, c.out, c.y, c.x, c.in, c.w, c.in) })
	}},
	{"Headwise4", func(m benchModel) benchWork { return headwiseBench(m, 2*m.width, 4, false) }},
	{"Headwise4Grad", func(m benchModel) benchWork { return headwiseBench(m, 2*m.width, 4, true) }},
	{"HeadwiseWide", func(m benchModel) benchWork { return headwiseBench(m, m.width, m.width/m.heads, false) }},
	{"HeadwiseWideGrad", func(m benchModel) benchWork { return headwiseBench(m, m.width, m.width/m.heads, true) }},
	{"LayerNorm", func(m benchModel) benchWork { return normBench(m, m.width, 1, false) }},
	{"LayerNormGrad", func(m benchModel) benchWork { return normBench(m, m.width, 1, true) }},
	{"HeadNorm", func(m benchModel) benchWork { return normBench(m, 2*m.width, m.heads, false) }},
	{"HeadNormGrad", func(m benchModel) benchWork { return normBench(m, 2*m.width, m.heads, true) }},
	{"ConvSiLU", func(m benchModel) benchWork { return convBench(m, false) }},
	{"ConvSiLUGrad", func(m benchModel) benchWork { return convBench(m, true) }},
	{"Gated", func(m benchModel) benchWork {
		n := m.rows() * m.up
		x := draws(n, 3)
		return benchWork{func() { Gated(GELU, x[0], x[1], x[2]) }, n, perElement}
	}},
	{"GatedGrad", func(m benchModel) benchWork {
		n := m.rows() * m.up
		x := draws(n, 5)
		return benchWork{func() { GatedGrad(GELU, x[0], x[1], x[2], x[3], x[4]) }, n, perElement}
	}},
	{"SkipGate", func(m benchModel) benchWork {
		d, x, skip := 2*m.width, draws(m.rows()*2*m.width, 4), random(2*m.width, 1, 0)
		return benchWork{func() { SkipGate(m.rows(), d, x[0], x[1], skip, x[2], x[3]) }, len(x[0]), perElement}
	}},
	{"SkipGateGrad", func(m benchModel) benchWork {
		d, x, skip := 2*m.width, draws(m.rows()*2*m.width, 7), draws(2*m.width, 2)
		return benchWork{func() {
			SkipGateGrad(m.rows(), d, x[0], x[1], skip[0], x[2], x[3], x[4], x[5], skip[1], x[6])
		}, len(x[0]), perElement}
	}},
	{"Embedding", func(m benchModel) benchWork {
		ids, w, y := randomIDs(m.rows(), m.vocabulary), random(m.vocabulary*m.width, 1, 0), make([]float32, m.rows()*m.width)
		return benchWork{func() { Embedding(m.width, ids, w, y) }, len(y), perElement}
	}},
	{"EmbeddingGrad", func(m benchModel) benchWork {
		ids, dw, dy := randomIDs(m.rows(), m.vocabulary), make([]float32, m.vocabulary*m.width), random(m.rows()*m.width, 1, 0)
		return benchWork{func() { EmbeddingGrad(m.width, ids, dy, dw) }, len(dy), perElement}
	}},
	{"CrossEntropy", func(m benchModel) benchWork {
		targets, logits := randomIDs(m.rows(), m.vocabulary), random(m.rows()*m.vocabulary, 1, 0)
		return benchWork{func() { CrossEntropy(m.vocabulary, logits, targets) }, len(logits), perElement}
	}},
	{"CrossEntropyGrad", func(m benchModel) benchWork {
		targets, x := randomIDs(m.rows(), m.vocabulary), draws(m.rows()*m.vocabulary, 2)
		return benchWork{func() { CrossEntropyGrad(m.vocabulary, x[0], targets, 1, x[1]) }, len(x[0]), perElement}
	}},
	{"Dropout", func(m benchModel) benchWork {
		x := draws(m.rows()*m.width, 2)
		return benchWork{func() { Dropout(0.1, 1, 0, x[0], x[1]) }, len(x[0]), perElement}
	}},
	{"Add", func(m benchModel) benchWork {
		x := draws(m.rows()*m.width, 3)
		return benchWork{func() { Add(x[0], x[1], x[2]) }, len(x[0]), perElement}
	}},
	{"SLSTM", func(m benchModel) benchWork { return slstmBench(m, false) }},
	{"SLSTMGrad", func(m benchModel) benchWork { return slstmBench(m, true) }},
}

func BenchmarkKernels(b *testing.B) {
	for _, m := range benchModels {
		for _, k := range benchKernels {
			b.Run(m.name+"/"+k.name, func(b *testing.B) {
				benchmarkKernel(b, func() benchWork { return k.prepare(m) })
			})
		}
	}
}

// BenchmarkActivations times the element-wise functions on as many elements as a
// feed-forward layer of A has.
func BenchmarkActivations(b *testing.B) {
	n := benchModels[0].rows() * benchModels[0].up
	names := [...]string{Sigmoid: "Sigmoid", LogSigmoid: "LogSigmoid", Tanh: "Tanh", SiLU: "SiLU", GELU: "GELU", ReLU: "ReLU", ReLUSquared: "ReLUSquared", SELU: "SELU"}
	for a, name := range names {
		x := draws(n, 3)
		b.Run(name, func(b *testing.B) {
			benchmarkKernel(b, func() benchWork {
				return benchWork{func() { Activate(Activation(a), x[0], x[1]) }, n, perElement}
			})
		})
		b.Run(name+"Grad", func(b *testing.B) {
			benchmarkKernel(b, func() benchWork {
				return benchWork{func() { ActivateGrad(Activation(a), x[0], x[1], x[2]) }, n, perElement}
			})
		})
	}
}

// BenchmarkMLSTM times the cell of A and of B: chunkwise over growing sequences,
// and step after step over a single token, as in generation, and a short
// sequence.
func BenchmarkMLSTM(b *testing.B) {
	for _, m := range benchModels {
		width := 2 * m.width / m.heads
		s := MLSTM{NH: m.heads, DQK: width, DHV: width, Chunk: 64, ScaleQ: 1, ScaleK: 1 / math.Sqrt(float64(width)), Eps: 1e-6}
		for _, shape := range [][2]int{{16, 256}, {4, 1024}, {1, 16384}} {
			s.B, s.T = shape[0], shape[1]
			name := fmt.Sprintf("%s/chunkwise/%d", m.name, s.T)
			b.Run(name, func(b *testing.B) { benchmarkKernel(b, newMLSTMBench(s).forward(MLSTMForward[float32])) })
			b.Run(name+"Grad", func(b *testing.B) { benchmarkKernel(b, newMLSTMBench(s).chunkwiseBack) })
		}
		s.B = 1
		for _, s.T = range []int{1, 256} {
			b.Run(fmt.Sprintf("%s/recurrent/%d", m.name, s.T), func(b *testing.B) {
				benchmarkKernel(b, newMLSTMBench(s).forward(MLSTMRecurrentForward[float32]))
			})
		}
		b.Run(m.name+"/recurrent/256Grad", func(b *testing.B) { benchmarkKernel(b, newMLSTMBench(s).recurrentBack) })
	}
}
