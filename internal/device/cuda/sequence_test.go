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
	b := buffer{at: k.free, dt: dt, n: n}
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

// generated returns the steps of blocks of the large architecture with an embedding and
// a head, in memory from `at` on: weights of linear maps in the given type.
func generated(at address, weights ops.Dtype, blocks, width, up, vocabulary int) *token {
	k := &token{free: at}
	norm := ops.Norm{N: 1, Width: width, Groups: 1, Eps: 1e-6, Weight: true}
	linear := func(bias bool, outs ...int) ops.Linear {
		return ops.Linear{Rows: 1, In: width, Outs: outs, Bias: bias}
	}
	x := k.add(ops.Embedding{N: 1, V: vocabulary, D: width}, ops.Float32, false)[0]
	n := k.add(norm, weights, false, x)[0]
	for range blocks {
		maps := k.add(ops.Linears{Maps: []ops.Linear{linear(false, width/2, width/2, width), linear(true, 4, 4), linear(false, width)}}, weights, false, n)
		gates := []int{k.add(ops.SoftCap{Cap: 15, Shape: ops.Shape{1, 4}}, weights, false, maps[3])[0], k.add(ops.SoftCap{Cap: 15, Shape: ops.Shape{1, 4}}, weights, false, maps[4])[0]}
		h := k.add(ops.MLSTM{B: 1, T: 1, NH: 4, DQK: width / 8, DHV: width / 4, Chunk: 64, ScaleQ: 1, ScaleK: 1, Eps: 1e-6, State: true}, weights, false, maps[0], maps[1], maps[2], gates[0], gates[1])[0]
		heads := norm
		heads.Groups, heads.Centered = 4, true
		y := k.add(ops.GatedNorm{Norm: heads, Fn: ops.Sigmoid}, weights, false, maps[5], h)[0]
		out := k.add(linear(false, width), weights, false, y)[0]
		sums := k.add(ops.AddNorm{Norm: norm}, weights, false, x, out)
		wide := k.add(ops.Linears{Maps: []ops.Linear{linear(false, up), linear(false, up)}}, weights, false, sums[1])
		gated := k.add(ops.Gated{Fn: ops.SiLU, Shape: ops.Shape{1, up}}, weights, false, wide[0], wide[1])[0]
		down := k.add(ops.Linear{Rows: 1, In: up, Outs: []int{width}}, weights, false, gated)[0]
		next := k.add(ops.AddNorm{Norm: norm}, weights, false, sums[0], down)
		x, n = next[0], next[1]
	}
	k.add(linear(false, vocabulary), weights, true, n)
	return k
}

// TestEveryWeightIsDealtOnce: the pieces of all blocks are the weights of all maps,
// each once, and no block has many more than another.
func TestEveryWeightIsDealtOnce(t *testing.T) {
	for _, dt := range []ops.Dtype{ops.Float32, ops.BFloat16} {
		k := generated(1<<20, dt, 1, 256, 512, 1000)
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

// TestEveryRowOfHalvesIsDealtOnce: the slots of all blocks are the weights of all maps,
// each once, and no block has many more rows than another.
func TestEveryRowOfHalvesIsDealtOnce(t *testing.T) {
	for _, c := range []struct{ width, up, vocabulary int }{{1024, 2752, 50304}, {512, 1376, 60}, {640, 1760, 1000}} {
		k := generated(1<<20, ops.BFloat16, 2, c.width, c.up, c.vocabulary)
		const words = 256
		h := ForPlans(Float32).newSequence(k.steps, words).halves()
		if c.width == 640 { // groups of 160
			if h != nil {
				t.Errorf("%v: there are stages", c)
			}
			continue
		}
		if h == nil {
			t.Fatalf("%v: there are no stages", c)
		}
		var pieces []span
		least, most, hurried := len(h.blocks[0].rows), 0, 0
		for _, b := range h.blocks {
			least, most = min(least, len(b.rows)), max(most, len(b.rows))
			for j, at := range b.at {
				if at == halvesEmpty {
					continue
				}
				from, length := h.weights+16*address(at), b.lengths[j/halvesRows]
				pieces = append(pieces, span{from, from + address(length&^halvesHurry), false})
				hurried += int(length >> 31 * (length &^ halvesHurry))
			}
		}
		if want := 2 * c.width * c.vocabulary; hurried != want {
			t.Errorf("%v: %d bytes come without regard to exchanges, and the logits have %d", c, hurried, want)
		}
		if most-least > 9 { // one of each product
			t.Errorf("%v: one block has %d rows and another %d", c, least, most)
		}
		if got, want := joined(pieces), joined(k.weights); !slices.Equal(got, want) {
			t.Errorf("%v: the pieces are %v, the weights %v", c, got, want)
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
		k := generated(1<<20, ops.Float32, 1, 256, 512, 1000)
		change(&k.steps[1])
		if s := ForPlans(Float32).newSequence(k.steps, 0); !s.failed {
			t.Errorf("%s: there is a sequence", name)
		}
	}
}
