package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
)

// LinearGrad is what the gradients of y = x·Wᵀ need besides x [N,In]: the gradient of
// y [N,Out], W [Out,In] and room for the gradient of W.
type LinearGrad[F Float] struct {
	Out       int
	DY, W, DW []F
}

// LinearGrads computes the gradients of maps of the same x: dW = dyᵀ·x of each, and dx,
// the sum of all dy·W.
func LinearGrads[F Float](n, in int, x, dx []F, maps []LinearGrad[F]) {
	if procs := cores.Procs(); jointPays(n, in, maps, procs) {
		linearGradsJointly(n, in, x, dx, maps, procs)
		return
	}
	for k, m := range maps {
		LinearGradX(n, in, m.Out, m.DY, m.W, in, dx, in, k > 0)
		LinearGradW(n, in, m.Out, m.DY, x, in, m.DW, in)
	}
}

const (
	jointIn     = 512     // columns of x at most: wider gradients of weights are many
	jointWork   = 1 << 20 // multiply-adds for each core, at least
	jointBlocks = 8       // of rows at a time, for each of which there may be a sum
	jointPiece  = 1 << 17 // gradients of weights: with a block of their inputs, a second-level cache
	jointRows   = 72      // of dx in a piece, at most
	jointEach   = 4       // pieces of dx for each core, if they have two tiles
	jointTile   = 12      // rows that tiles of all heights but the lowest ones fill
)

// jointPays reports whether the products are worth one run over so many cores. Every piece
// of weights must have several rows, because a product of a single row adds up otherwise;
// see jointEnd for those of dx.
func jointPays[F Float](n, in int, maps []LinearGrad[F], procs int) bool {
	outs := 0
	for _, m := range maps {
		if m.Out <= jointTile {
			return false
		}
		outs += m.Out
	}
	return procs > 1 && in <= jointIn && n > blas.InnerStep[F](n) && n*in*outs >= jointWork*procs
}

// linearGradsJointly is LinearGrads as one run over the cores for some thousand rows at a
// time. No core waits between the products, and what it has read of dy for one of them
// is near for the next. Gradients of few weights cannot be divided among many cores
// without all of them reading all rows of x and dy. They are divided by rows, too, into
// the blocks whose products blas adds up one after the other.
func linearGradsJointly[F Float](n, in int, x, dx []F, maps []LinearGrad[F], procs int) {
	step := blas.InnerStep[F](n)
	for lo, hi := 0, 0; lo < n; lo = hi {
		hi = jointEnd(lo, n, step)
		some := make([]LinearGrad[F], len(maps))
		for k, m := range maps {
			m.DY = m.DY[lo*m.Out : hi*m.Out]
			some[k] = m
		}
		j := jointGrads[F]{n: hi - lo, in: in, step: step, x: x[lo*in:], dx: dx[lo*in:], maps: some, add: lo > 0}
		j.run(procs)
	}
}

// jointEnd returns the end of the rows of a run that begins at row lo of n: some blocks, and
// what is left behind them if it is less than a tile, so that no run has a single row.
func jointEnd(lo, n, step int) int {
	if hi := lo + jointBlocks*step; n-hi > jointTile {
		return hi
	}
	return n
}

// jointGrads is LinearGrads for some rows. The first blocks are summed in DW, and the
// sum of each of the others is added to it afterwards.
type jointGrads[F Float] struct {
	n, in, step int // step is the number of rows of a block
	x, dx       []F
	maps        []LinearGrad[F]
	add         bool // to what DW has from the rows before

	first int   // blocks that are summed in DW
	sums  [][]F // of each map, those of the other blocks, one after the other
}

// gradPiece is rows lo to hi of dx, or of the DW of a map those for some blocks.
type gradPiece struct {
	m, lo, hi  int // m is −1 for dx
	b0, blocks int
}

func (j *jointGrads[F]) run(procs int) {
	weights, inputs := j.weightPieces(procs), j.inputPieces(procs)
	blocks, size := j.blocks()-j.first, 0
	for _, m := range j.maps {
		size += m.Out * j.in
	}
	sums, lent := scratch[F](blocks * size)
	defer giveBack(lent)
	for _, m := range j.maps {
		at := blocks * m.Out * j.in
		j.sums, sums = append(j.sums, sums[:at]), sums[at:]
	}
	// Every core begins with pieces that take long, so that short ones remain for cores
	// that have no more pieces of their own.
	var all []gradPiece
	for c := range procs {
		all = append(all, weights[len(weights)*c/procs:len(weights)*(c+1)/procs]...)
		all = append(all, inputs[len(inputs)*c/procs:len(inputs)*(c+1)/procs]...)
	}
	Parallel(len(all), func(i int) {
		if p := all[i]; p.m < 0 {
			j.inputs(p)
		} else {
			j.weights(p)
		}
	})
	for k, m := range j.maps {
		addParts(m.DW, j.sums[k])
	}
}

func (j *jointGrads[F]) blocks() int { return (j.n + j.step - 1) / j.step }

// weightPieces are at least as many as there are cores, if there are enough blocks.
func (j *jointGrads[F]) weightPieces(procs int) (all []gradPiece) {
	outs := 0
	for _, m := range j.maps {
		outs += m.Out
	}
	least := max(1, outs*j.in/jointPiece, procs/j.blocks()) // however many blocks are apart
	var bounds [][]int
	parts := 0
	for _, m := range j.maps {
		b := jointCut(m.Out, (m.Out*least+outs-1)/outs)
		bounds, parts = append(bounds, b), parts+len(b)-1
	}
	groups := min(j.blocks(), (procs+parts-1)/parts)
	ends := cut(j.blocks(), groups, 1)
	j.first = ends[1]
	for g := range groups {
		for m, b := range bounds {
			for k := range len(b) - 1 {
				all = append(all, gradPiece{m, b[k], b[k+1], ends[g], ends[g+1] - ends[g]})
			}
		}
	}
	return all
}

func (j *jointGrads[F]) inputPieces(procs int) (all []gradPiece) {
	bounds := jointCut(j.n, max(jointEach*procs, j.n/jointRows))
	for k := range len(bounds) - 1 {
		all = append(all, gradPiece{m: -1, lo: bounds[k], hi: bounds[k+1]})
	}
	return all
}

// jointCut cuts so many rows into at most n pieces, of two tiles at least.
func jointCut(rows, n int) []int {
	tiles := (rows + jointTile - 1) / jointTile
	return cut(rows, max(1, min(n, tiles/2)), jointTile)
}

func (j *jointGrads[F]) inputs(p gradPiece) {
	var beta F
	for _, m := range j.maps {
		serialGemm(false, false, p.hi-p.lo, j.in, m.Out, 1, m.DY[p.lo*m.Out:], m.Out, m.W, j.in, beta, j.dx[p.lo*j.in:], j.in)
		beta = 1
	}
}

func (j *jointGrads[F]) weights(p gradPiece) {
	m := j.maps[p.m]
	for b := p.b0; b < p.b0+p.blocks; b++ {
		row, to, beta := b*j.step, m.DW, F(0)
		switch {
		case b >= j.first:
			to = j.sums[p.m][(b-j.first)*m.Out*j.in:]
		case b > 0 || j.add:
			beta = 1
		}
		serialGemm(true, false, p.hi-p.lo, j.in, min(j.step, j.n-row), 1, m.DY[row*m.Out+p.lo:], m.Out, j.x[row*j.in:], j.in, beta, to[p.lo*j.in:], j.in)
	}
}
