package vec

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// op is a function of the package on vectors of one length. What it returns are
// sums.
type op[F Float] struct {
	name     string
	vectors  int
	run      func(v [][]F) []F
	positive []int // the vectors whose elements must be
	gates    []int // the vectors whose elements are between 0 and 1
	fours    bool  // whether the length is a multiple of four
	apart    bool  // whether no vector may be written in place of another
}

// ops are all functions, in each form that has a separate assembly kernel.
func ops[F Float]() []op[F] {
	list := []op[F]{
		{name: "Add", vectors: 3, run: func(v [][]F) []F { Add(v[2], v[0], v[1]); return nil }},
		{name: "Mul", vectors: 3, run: func(v [][]F) []F { Mul(v[2], v[0], v[1]); return nil }},
		{name: "Scale", vectors: 2, run: func(v [][]F) []F { Scale(v[1], 0.75, v[0]); return nil }},
		{name: "Axpy", vectors: 2, run: func(v [][]F) []F { Axpy(v[1], 0.75, v[0]); return nil }},
		{name: "MulAdd", vectors: 3, run: func(v [][]F) []F { MulAdd(v[2], v[0], v[1]); return nil }},
		{name: "Sum", vectors: 1, run: func(v [][]F) []F { return []F{Sum(v[0])} }},
		{name: "Dot", vectors: 2, run: func(v [][]F) []F { return []F{Dot(v[0], v[1])} }},
		{name: "Max", vectors: 1, run: func(v [][]F) []F { return []F{Max(v[0])} }},
		{name: "Squares", vectors: 1, run: func(v [][]F) []F { return []F{Squares(v[0], 0.25)} }},
		{name: "Exp", vectors: 2, run: func(v [][]F) []F { Exp(v[1], v[0]); return nil }},
		{name: "ExpSum", vectors: 1, run: func(v [][]F) []F { return []F{ExpSum(v[0], 1.5)} }},
		{name: "ExpScale", vectors: 2, run: func(v [][]F) []F { ExpScale(v[1], 0.75, 1.5, v[0]); return nil }},
		{name: "SoftCap", vectors: 2, run: func(v [][]F) []F { SoftCap(4, v[0], v[1]); return nil }},
		{name: "SoftCapGrad", vectors: 3, run: func(v [][]F) []F { SoftCapGrad(4, v[0], v[1], v[2]); return nil }},
		{name: "Normalize", vectors: 3, run: func(v [][]F) []F { Normalize(v[0], v[1], 0.25, 1.25, v[2]); return nil }},
		{name: "NormalizeResidual", vectors: 3, run: func(v [][]F) []F { NormalizeResidual(v[0], v[1], 0.25, 1.25, v[2]); return nil }},
		{name: "NormSums", vectors: 3, run: func(v [][]F) []F { a, b := NormSums(v[0], v[1], v[2], 0.25, 1.25); return []F{a, b} }},
		{name: "NormGrad", vectors: 5, run: func(v [][]F) []F {
			NormGrad(v[0], v[1], v[2], 0.25, 1.25, 0.5, 0.125, v[3], v[4])
			return nil
		}},
		{name: "SkipGate", vectors: 5, run: func(v [][]F) []F { SkipGate(v[0], v[1], v[2], v[3], v[4]); return nil }},
		{name: "SkipGateGrad", vectors: 9, run: func(v [][]F) []F {
			SkipGateGrad(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8])
			return nil
		}},
		{name: "Conv4", vectors: 10, run: func(v [][]F) []F { Conv4(Taps[F](v), Taps[F](v[4:]), v[8], v[9], false); return nil }},
		{name: "Conv4/SiLU", vectors: 10, run: func(v [][]F) []F { Conv4(Taps[F](v), Taps[F](v[4:]), v[8], v[9], true); return nil }},
		{name: "Conv4Row", vectors: 10, run: func(v [][]F) []F { Conv4Row(Taps[F](v), slices.Concat(v[4:8]...), v[8], v[9]); return nil }},
		{name: "Conv4SiLUGrad", vectors: 11, run: func(v [][]F) []F {
			Conv4SiLUGrad(Taps[F](v), Taps[F](v[4:]), v[8], v[9], v[10], nil)
			return nil
		}},
		{name: "Conv4SiLUGrad/kept", vectors: 12, run: func(v [][]F) []F {
			Conv4SiLUGrad(Taps[F](v), Taps[F](v[4:]), v[8], v[9], v[10], v[11])
			return nil
		}},
		{name: "Conv4Weights", apart: true, vectors: 10, run: func(v [][]F) []F { Conv4Weights(Taps[F](v), v[4], Taps[F](v[5:]), v[9]); return nil }},
		{name: "Quads", vectors: 6, fours: true, apart: true, run: func(v [][]F) []F { Quads(v[0], Taps[F](v[1:]), v[5], false); return nil }},
		{name: "Quads/add", vectors: 6, fours: true, apart: true, run: func(v [][]F) []F { Quads(v[0], Taps[F](v[1:]), v[5], true); return nil }},
		{name: "QuadsMany", vectors: 6, fours: true, apart: true, run: func(v [][]F) []F { QuadsMany(1, v[0], 0, Taps[F](v[1:]), v[5], 0); return nil }},
		{name: "QuadsTwo", vectors: 8, fours: true, apart: true, run: func(v [][]F) []F { QuadsTwo([2][]F(v), Taps[F](v[2:]), [2][]F(v[6:]), false); return nil }},
		{name: "QuadsTwo/add", vectors: 8, fours: true, apart: true, run: func(v [][]F) []F { QuadsTwo([2][]F(v), Taps[F](v[2:]), [2][]F(v[6:]), true); return nil }},
		{name: "QuadsWeightsTwo", vectors: 8, fours: true, apart: true, run: func(v [][]F) []F {
			QuadsWeightsTwo([2][]F(v), [2][]F(v[2:]), Taps[F](v[4:]))
			return nil
		}},
		{name: "QuadsRow", vectors: 6, fours: true, apart: true, run: func(v [][]F) []F { QuadsRow(v[0], slices.Concat(v[1:5]...), v[5]); return nil }},
		{name: "QuadsWeights", vectors: 6, fours: true, apart: true, run: func(v [][]F) []F { QuadsWeights(v[0], v[1], Taps[F](v[2:])); return nil }},
		{name: "Recall4", vectors: 6, apart: true, run: func(v [][]F) []F {
			Recall4(v[0], Taps[F](v[1:5]), v[5], 0.75, [4]F{0.5, -1, 2, 0.25}, [4]F{1, 0.5, -0.25, 2})
			return nil
		}},
		{name: "Combine", vectors: 12, apart: true, run: func(v [][]F) []F {
			Combine(v[11], []F{0.5, -1, 2, 0.25, 1, 0.5, -0.25, 2, -1, 0.75, 3}, slices.Concat(v[:11]...))
			return nil
		}},
		{name: "AdamStep", vectors: 4, positive: []int{2}, run: func(v [][]F) []F { AdamStep(someAdam, v[0], v[1], v[2], v[3]); return nil }},
		{name: "Decay", vectors: 3, run: func(v [][]F) []F { return []F{Decay(Pair[F]{v[0], v[1]}, -1.3, v[2], nil)} }},
		{name: "Decay/kept", vectors: 4, run: func(v [][]F) []F { return []F{Decay(Pair[F]{v[0], v[1]}, -1.3, v[2], v[3])} }},
		{name: "DecayGrad", apart: true, vectors: 4, run: func(v [][]F) []F { DecayGrad(v[0], v[1], 0.75, v[2], v[3]); return nil }},
		{name: "SLSTM", apart: true, vectors: 23, positive: []int{13}, run: func(v [][]F) []F { slstmOf(v).Forward(); return nil }},
		{name: "SLSTMGrad", apart: true, vectors: 18, positive: []int{5}, run: func(v [][]F) []F { slstmGradOf(v).Step(); return nil }},
		{name: "LSTM", apart: true, vectors: 19, run: func(v [][]F) []F { lstmOf(v).Forward(); return nil }},
		{name: "LSTMGrad", apart: true, vectors: 13, gates: []int{0, 1, 2, 3}, run: func(v [][]F) []F { lstmGradOf(v).Step(); return nil }},
	}
	for name, a := range activations {
		list = append(list,
			op[F]{name: name, vectors: 2, run: func(v [][]F) []F { Activate(a, v[0], v[1]); return nil }},
			op[F]{name: name + "/grad", vectors: 3, run: func(v [][]F) []F { ActivateGrad(a, v[0], v[1], v[2]); return nil }},
			op[F]{name: name + "/gated", vectors: 3, run: func(v [][]F) []F { Gated(a, v[0], v[1], v[2]); return nil }},
			op[F]{name: name + "/gatedGrad", vectors: 5, run: func(v [][]F) []F { GatedGrad(a, v[0], v[1], v[2], v[3], v[4]); return nil }})
	}
	return list
}

var activations = map[string]Activation{
	"Sigmoid": Sigmoid, "LogSigmoid": LogSigmoid, "Tanh": Tanh, "SiLU": SiLU, "GELU": GELU,
	"ReLU": ReLU, "ReLUSquared": ReLUSquared, "SELU": SELU,
}

var someAdam = Adam{Scale: 0.5, L2: 0.125, Keep: 0.99, Beta1: 0.9, Fresh1: 0.1, Beta2: 0.95, Fresh2: 0.05, Rate: 0.01, Unbias: 1.5, Eps: 1e-8}

func slstmOf[F Float](v [][]F) *SLSTM[F] {
	return &SLSTM[F]{P: [4][]F(v), X: [4][]F(v[4:]), B: [4][]F(v[8:]), C: v[12], N: v[13], M: v[14], Y: v[15],
		Gates: [4][]F(v[16:]), Fbar: v[20], CNext: v[21], NNext: v[22]}
}

func slstmGradOf[F Float](v [][]F) *SLSTMGrad[F] {
	return &SLSTMGrad[F]{Gates: [4][]F(v), Fbar: v[4], NNext: v[5], Y: v[6], DY: v[7], Carried: v[8],
		CPrev: v[9], NPrev: v[10], DC: v[11], DN: v[12], Rest: v[13], DPre: [4][]F(v[14:])}
}

func lstmOf[F Float](v [][]F) *LSTM[F] {
	return &LSTM[F]{P: [4][]F(v), X: [4][]F(v[4:]), B: [4][]F(v[8:]), C: v[12], Gates: [4][]F(v[13:]), CNext: v[17], Y: v[18]}
}

func lstmGradOf[F Float](v [][]F) *LSTMGrad[F] {
	return &LSTMGrad[F]{Gates: [4][]F(v), CNext: v[4], CPrev: v[5], DY: v[6], Carried: v[7], DC: v[8], DPre: [4][]F(v[9:])}
}

// using calls f with each set of kernels that this machine can run, and with none.
func using(f func(set string)) {
	defer func(was *table) { best = was }(best)
	for name, set := range sets() {
		best = set
		f(name)
	}
}

// random is the vectors of an op, with elements of the size that they have in a
// model.
func random(o op[float32], n int, r *rand.Rand) [][]float32 {
	v := make([][]float32, o.vectors)
	for i := range v {
		v[i] = make([]float32, n)
		for j := range v[i] {
			v[i][j] = float32(2 * r.NormFloat64())
		}
	}
	for _, i := range o.positive {
		for j, x := range v[i] {
			v[i][j] = 0.5 + float32(math.Abs(float64(x)))
		}
	}
	for _, i := range o.gates {
		for j, x := range v[i] {
			v[i][j] = float32(Sigmoid.At(float64(x)))
		}
	}
	return v
}

// clone copies vectors, converted.
func clone[T, F Float](v [][]F) [][]T {
	c := make([][]T, len(v))
	for i := range v {
		c[i] = testutil.Convert[T](v[i])
	}
	return c
}

// sameBits: any NaN is the same as any other.
func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// checkSame compares vectors to the bit.
func checkSame(t *testing.T, what string, got, want [][]float32) {
	t.Helper()
	for i := range want {
		for j := range want[i] {
			if !sameBits(got[i][j], want[i][j]) {
				t.Fatalf("%s: element %d of vector %d is %v, not %v", what, j, i, got[i][j], want[i][j])
			}
		}
	}
}
