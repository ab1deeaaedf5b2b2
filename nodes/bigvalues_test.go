package nodes

import (
	"fmt"
	"math"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestCrossEntropyOfLargeLogits(t *testing.T) {
	const big = 1e4
	tests := []struct {
		logits []float64
		target int
		loss   float64
		grad   []float64
	}{
		{[]float64{big, -big, 0}, 0, 0, []float64{0, 0, 0}},
		{[]float64{big, -big, 0}, 1, 2 * big, []float64{1, -1, 0}},
		{[]float64{big, -big, big}, 2, math.Ln2, []float64{0.5, 0, -0.5}},
		{[]float64{-big, -big, -big}, 0, math.Log(3), []float64{-2. / 3, 1. / 3, 1. / 3}},
		{[]float64{-big, -big, 0}, 0, big, []float64{-1, 0, 1}},
	}
	// Roundings of the result, and in float64 of logits beside log 2.
	for dt, tol := range map[tensor.Dtype]float64{tensor.Float32: 1.2e-7, tensor.Float64: 4e-12} {
		for _, test := range tests {
			m := compile(t, graphCase{[]input{in("logits", 1, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
				return one(CrossEntropy(x[0], ids(x[0].Graph(), "targets", test.target)))
			}}, dt)
			loss := m.run(t, [][]float64{test.logits})
			if !(math.Abs(loss-test.loss) <= tol*math.Max(1, test.loss)) {
				t.Errorf("%v: the loss of %v, target %d, is %v, want %v", dt, test.logits, test.target, loss, test.loss)
			}
			for k, g := range m.gradients()[0] {
				if !(math.Abs(g-test.grad[k]) <= tol) {
					t.Errorf("%v: gradient %d of %v, target %d, is %v, want %v", dt, k, test.logits, test.target, g, test.grad[k])
				}
			}
		}
	}
}

func TestSiLUOfMinusInfinityIsZero(t *testing.T) {
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		m := compile(t, graphCase{[]input{in("x", 2, 1)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(SiLU(x[0]))
		}}, dt)
		m.run(t, [][]float64{{math.Inf(-1), math.Inf(-1)}})
		for what, got := range map[string][]float64{"value": elementsOf(m.results[0]), "slope": m.gradients()[0]} {
			if got[0] != 0 || got[1] != 0 {
				t.Errorf("%v: the %s is %v, want 0", dt, what, got)
			}
		}
	}
}

// inBoth runs a case in both element types on the same values and returns the
// results.
func inBoth(t *testing.T, c graphCase, values [][]float64) (f32, f64 [][]float64) {
	t.Helper()
	m := compile(t, c, tensor.Float32)
	m.run(t, values)
	for _, v := range m.results {
		f32 = append(f32, elementsOf(v))
	}
	return f32, outputs(t, c, values)
}

// relativeTo scales part of a memory, which is stored relative to the stabilisers
// m, as if it were relative to ms; each stabiliser belongs to width elements.
func relativeTo(part, m, ms []float64, width int) []float64 {
	out := make([]float64, len(part))
	for k, v := range part {
		out[k] = v * math.Exp(m[k/width]-ms[k/width])
	}
	return out
}

func wantWithin(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if d := golden.Apart(got, want, 0); d > tolerance {
		t.Errorf("%s is %.3g away, want at most %.3g", name, d, tolerance)
	}
}

// Sums of gate pre-activations must not be rounded before the exponential:
// beside 40, float32 keeps only 2e-6 of R·y. The gates make every third step
// start from an empty memory, the next reduce what is stored to e^−40 of it,
// and the last mix both equally.
func TestSLSTMKeepsItsDigitsWithLargeGates(t *testing.T) {
	const large, tol = 40, 5e-7
	s := size{4, 12, 2, 4}
	c := slstmCase(s, false)
	beginKeepMix := func(t int) float64 {
		if t%3 == 0 {
			return large
		}
		return -large
	}
	for seed := range uint64(4) {
		values := c.values(seed)
		setGate(values[0], s.b, s.t, beginKeepMix)
		setGate(values[1], s.b, s.t, beginKeepMix)
		clear(values[5]) // the bias
		got, want := inBoth(t, c, values)
		wantWithin(t, "y", got[0], want[0], tol)
		n := len(want[1]) / 4
		m, ms := got[1][3*n:], want[1][3*n:]
		for k, name := range []string{"c", "n"} {
			lo := (k + 1) * n
			wantWithin(t, "final "+name, relativeTo(got[1][lo:lo+n], m, ms, 1), want[1][lo:lo+n], tol)
		}
	}
}

// The stabiliser is stored in the element type, beside 1000 rounded by up to
// 3e-5: the memory must refer to what is stored, or a sequence that is split
// continues from another memory.
func TestMLSTMKeepsItsDigitsWithALargeStabiliser(t *testing.T) {
	const cut, tol = 20, 5e-7
	whole, begin, rest := size{1, 40, 2, 3}, size{1, cut, 2, 3}, size{1, 40 - cut, 2, 3}
	for _, large := range []float64{1000, -1000} {
		for name, form := range map[string]Form{"chunkwise": Chunkwise, "recurrent": Recurrent} {
			cfg := MLSTMConfig{Batch: 1, NumHeads: 2, Form: form, Chunk: 4, Eps: tinyEps}
			values := mlstmCase(cfg, whole, false).values(1)
			for k := range values[0] { // a normaliser without cancellation
				values[0][k], values[1][k] = math.Abs(values[0][k]), math.Abs(values[1][k])
			}
			for k := range values[3] {
				values[3][k] = float64(float32(values[3][k] + large))
				values[4][k] = float64(float32(values[4][k] + 2)) // most steps forget little: m is not an input
			}
			values[4][0], values[4][1] = -10*extreme, -10*extreme // the stabiliser is the gates' from the start
			got, want := inBoth(t, mlstmCase(cfg, whole, false), values)
			var first, second [][]float64
			for _, v := range values {
				second = append(second, last(v, whole.t, cut))
				first = append(first, v[:len(v)-len(second[len(second)-1])])
			}
			before, _ := inBoth(t, mlstmCase(cfg, begin, false), first)
			after, _ := inBoth(t, mlstmCase(cfg, rest, true), append(second, before[1:]...))
			after[0] = append(before[0], after[0]...)
			for run, got := range map[string][][]float64{"whole": got, "cut": after} {
				what := fmt.Sprintf("%s, gates about %v, %s: ", name, large, run)
				wantWithin(t, what+"h", got[0], want[0], tol)
				wantWithin(t, what+"C", relativeTo(got[1], got[3], want[3], whole.dh*whole.dh), want[1], tol)
				wantWithin(t, what+"n", relativeTo(got[2], got[3], want[3], whole.dh), want[2], tol)
			}
		}
	}
}
