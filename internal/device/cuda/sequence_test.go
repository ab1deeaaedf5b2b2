//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"cmp"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// token writes the steps that generate a token, in memory that is on no card.
type token struct {
	steps   []device.Bound
	numbers int // of values
	free    address
	weights []span // of products
}

func (k *token) memory(dt ops.Dtype, n int) buffer {
	b := buffer{k.free, dt, n}
	k.free += address(n*dt.Size()+255) / 256 * 256
	return b
}

// add appends a step that reads values, a missing one being new memory, and returns
// its results, which are read outside if kept is set.
func (k *token) add(op ops.Op, weights ops.Dtype, kept bool, in ...int) []int {
	step := device.Bound{Op: op, Dtype: ops.Float32}
	for j, arg := range op.Inputs() {
		if j < len(in) && in[j] >= 0 {
			step.In, step.InBuffers = append(step.In, in[j]), append(step.InBuffers, nil)
			continue
		}
		dt := arg.Dtype(ops.Float32)
		product := arg.Name[0] == 'w' && len(arg.Shape) == 2
		if product {
			dt = weights
		}
		b := k.memory(dt, arg.Shape.Size())
		if _, table := op.(ops.Embedding); product && !table {
			k.weights = append(k.weights, b.span(false))
		}
		step.In, step.InBuffers = append(step.In, k.numbers), append(step.InBuffers, b)
		k.numbers++
	}
	for j, arg := range op.Outputs() {
		var b device.Buffer
		if _, cell := op.(ops.MLSTM); kept || cell && j > 0 {
			b = k.memory(ops.Float32, arg.Shape.Size())
		}
		step.Out, step.OutBuffers = append(step.Out, k.numbers), append(step.OutBuffers, b)
		k.numbers++
	}
	k.steps = append(k.steps, step)
	return step.Out
}

// generated returns the steps of a block of the large architecture with an embedding
// and a head: weights of linear maps in the given type.
func generated(weights ops.Dtype) *token {
	const width, vocabulary = 256, 1000
	k := &token{free: 1 << 20}
	one := ops.Shape{1, width}
	norm := ops.Norm{N: 1, Width: width, Groups: 1, Eps: 1e-6, Weight: true}
	linear := func(bias bool, outs ...int) ops.Linear {
		return ops.Linear{Rows: 1, In: width, Outs: outs, Bias: bias}
	}
	x := k.add(ops.Embedding{N: 1, V: vocabulary, D: width}, ops.Float32, false)[0]
	n := k.add(norm, weights, false, x)[0]
	maps := k.add(ops.Linears{Maps: []ops.Linear{linear(false, 64, 64, width), linear(true, 4, 4), linear(false, width)}}, weights, false, n)
	gates := []int{k.add(ops.SoftCap{Cap: 15, Shape: ops.Shape{1, 4}}, weights, false, maps[3])[0], k.add(ops.SoftCap{Cap: 15, Shape: ops.Shape{1, 4}}, weights, false, maps[4])[0]}
	h := k.add(ops.MLSTM{B: 1, T: 1, NH: 4, DQK: 16, DHV: width / 4, Chunk: 64, ScaleQ: 1, ScaleK: 1, Eps: 1e-6, State: true}, weights, false, maps[0], maps[1], maps[2], gates[0], gates[1])[0]
	heads := norm
	heads.Groups = 4
	y := k.add(ops.GatedNorm{Norm: heads, Fn: ops.Sigmoid}, weights, false, maps[5], h)[0]
	out := k.add(linear(false, width), weights, false, y)[0]
	sums := k.add(ops.AddNorm{Norm: norm}, weights, false, x, out)
	up := k.add(ops.Linears{Maps: []ops.Linear{linear(false, 2*width), linear(false, 2*width)}}, weights, false, sums[1])
	gated := k.add(ops.Gated{Fn: ops.SiLU, Shape: ops.Shape{1, 2 * width}}, weights, false, up[0], up[1])[0]
	down := k.add(ops.Linear{Rows: 1, In: 2 * width, Outs: []int{width}}, weights, false, gated)[0]
	sum := k.add(ops.Add{Shape: one}, weights, false, sums[0], down)[0]
	last := k.add(norm, weights, false, sum)[0]
	k.add(linear(false, vocabulary), weights, true, last)
	return k
}

// TestEveryWeightIsDealtOnce: the pieces of all blocks are the weights of all maps,
// each once, and no block has many more than another.
func TestEveryWeightIsDealtOnce(t *testing.T) {
	for _, dt := range []ops.Dtype{ops.Float32, ops.BFloat16} {
		k := generated(dt)
		s := ForPlans(Float32).newSequence(k.steps, 0)
		if s.failed {
			t.Fatalf("%v: there is no sequence", dt)
		}
		var pieces []span
		least, most := len(s.dealt.blocks[0].at), 0
		for _, b := range s.dealt.blocks {
			least, most = min(least, len(b.at)), max(most, len(b.at))
			for j, at := range b.at {
				from := s.dealt.weights + 16*address(at)
				pieces = append(pieces, span{from, from + 16*address(b.lengths[j]), false})
			}
		}
		if most-least > 2 {
			t.Errorf("%v: one block has %d pieces and another %d", dt, least, most)
		}
		if got, want := joined(pieces), joined(k.weights); !slices.Equal(got, want) {
			t.Errorf("%v: the pieces are %v, the weights %v", dt, got, want)
		}
	}
}

// joined sorts spans and joins those that follow one another immediately; spans that
// overlap remain apart.
func joined(spans []span) (all []span) {
	spans = slices.SortedFunc(slices.Values(spans), func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if n := len(all); n > 0 && all[n-1].to == s.from {
			all[n-1].to = s.to
			continue
		}
		all = append(all, s)
	}
	return all
}

// TestSequencesThatThereAreNot: the kernel has no sequence for several rows, for
// operations that it lacks, or for vectors that are not whole fours.
func TestSequencesThatThereAreNot(t *testing.T) {
	for name, change := range map[string]func(s *device.Bound){
		"two rows":             func(s *device.Bound) { s.Op = ops.Norm{N: 2, Width: 128, Groups: 1} },
		"another operation":    func(s *device.Bound) { s.Op = ops.Activate{Fn: ops.Tanh, Shape: ops.Shape{1, 256}} },
		"no vector of fours":   func(s *device.Bound) { s.Op = ops.Norm{N: 1, Width: 254, Groups: 1} },
		"a wider vector":       func(s *device.Bound) { s.Op = ops.Norm{N: 1, Width: seqWidest + 4, Groups: 1} },
		"a result in bfloat16": func(s *device.Bound) { s.OutBuffers[0] = buffer{dt: ops.BFloat16, n: 256} },
	} {
		k := generated(ops.Float32)
		change(&k.steps[1])
		if s := ForPlans(Float32).newSequence(k.steps, 0); !s.failed {
			t.Errorf("%s: there is a sequence", name)
		}
	}
}
