//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// How optimiser.cu divides its work: tensors per launch, elements per block.
const (
	optimiserTensors = 40
	optimiserChunk   = 2048
)

// tensorArgs mirrors the struct Tensors of optimiser.cu.
type tensorArgs struct {
	w, g, m, v    [optimiserTensors]address
	toW, toM, toV [optimiserTensors]address
	copy          [optimiserTensors]address
	half          uint64
	n, first      [optimiserTensors]int64
	decay         [optimiserTensors]float64
	count, part   int64
}

// bindOptimiser binds the operations that end a training step: the norm of the
// gradients and the updates of the weights.
func bindOptimiser(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.ClipNorm:
		most, grads, norm := b.read(), b.readMany(len(op.Sizes)), b.write()
		part := b.double(chunksOf(op.Sizes))
		b.tensors(op.Sizes, func(s *tensorArgs, k, i int) { s.g[k] = grads[i] }, "squares", func(s structure) []any { return []any{s, part} })
		b.kernel("optimiser", "clip", grid{x: 1, threads: 1024}, most, part, int64(chunksOf(op.Sizes)), norm)
	case ops.AdamStep:
		b.adam(op)
	case ops.MoveMean:
		n := len(op.Sizes)
		share, xs, old, means := b.read(), b.readMany(n), b.readMany(n), b.writeMany(n)
		fill := func(s *tensorArgs, k, i int) { s.g[k], s.w[k], s.toW[k] = xs[i], old[i], means[i] }
		b.tensors(op.Sizes, fill, "move_mean", func(s structure) []any { return []any{s, share} })
	default:
		return false
	}
	return true
}

func (b *binder) adam(op ops.AdamStep) {
	numbers, norm, n := b.read(), b.read(), len(op.Sizes)
	g, w, m, v := b.readMany(n), b.readMany(n), b.readMany(n), b.readMany(n)
	toW, toM, toV := b.writeMany(n), b.writeMany(n), b.writeMany(n)
	copies := make([]ref, n)
	for _, k := range op.Copies {
		copies[k] = b.writeRef()
	}
	fill := func(s *tensorArgs, k, i int) {
		s.g[k], s.w[k], s.m[k], s.v[k], s.decay[k] = g[i], w[i], m[i], v[i], op.Decay[i]
		s.toW[k], s.toM[k], s.toV[k], s.copy[k] = toW[i], toM[i], toV[i], copies[i].at
		if copies[i].half {
			s.half |= 1 << k
		}
	}
	b.tensors(op.Sizes, fill, "adam", func(s structure) []any { return []any{s, flag(op.Decoupled), numbers, norm} })
}

func chunksOf(sizes []int) (chunks int) {
	for _, n := range sizes {
		chunks += (n + optimiserChunk - 1) / optimiserChunk
	}
	return chunks
}

// tensors enqueues a kernel over all vectors of the given sizes, in launches of as
// many as fit. fill sets entry k of a launch to vector i.
func (b *binder) tensors(sizes []int, fill func(s *tensorArgs, k, i int), kernel string, args func(structure) []any) {
	part := 0
	for lo := 0; lo < len(sizes); lo += optimiserTensors {
		group := sizes[lo:min(len(sizes), lo+optimiserTensors)]
		s, chunks := tensorArgs{count: int64(len(group)), part: int64(part)}, 0
		for k, n := range group {
			s.n[k], s.first[k] = int64(n), int64(chunks)
			fill(&s, k, lo+k)
			chunks += chunksOf(group[k : k+1])
		}
		b.kernel("optimiser", kernel, grid{x: chunks, threads: 256}, args(byValue(s))...)
		part += chunks
	}
}
