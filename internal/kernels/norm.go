package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Norm describes a normalisation of the rows of a matrix [N,Width]: each of
// Groups equal column blocks of a row is normalised separately,
//
//	y = (x − μ)/√(var + Eps) · w
//
// With Centered unset μ is taken as 0 (RMSNorm). With Residual set the factor
// is 1+w, the way the paper's architecture stores its norm weights. Groups is 1
// for a layer norm, and NH for the per-head norm after the cells.
type Norm struct {
	N, Width, Groups   int
	Eps                float64
	Centered, Residual bool
}

// groupStats returns the mean (0 if not centred) and the reciprocal standard
// deviation of a group.
func groupStats[F Float](s Norm, x []F) (mean, rstd F) {
	mean = groupMean(s, x)
	return mean, groupRstd(s, x, mean)
}

func groupMean[F Float](s Norm, x []F) F {
	if !s.Centered {
		return 0
	}
	return F(float64(vec.Sum(x)) / float64(len(x)))
}

func groupRstd[F Float](s Norm, x []F, mean F) F {
	return F(1 / math.Sqrt(float64(vec.Squares(x, mean))/float64(len(x))+s.Eps))
}

const (
	// groupsAtOnce is the largest number of groups in a normBlock.
	groupsAtOnce = 16
	// blockElements is about how many elements there are in one, which stay in a
	// first-level cache.
	blockElements = 1 << 9
)

// normBlock is some groups: of whole rows, or of a part of one if it has many. Each
// stage of the computation is made for all of them, because a stage of one group waits
// for the one before it for longer than a processor looks ahead.
type normBlock[F Float] struct {
	Norm
	lo, hi     int // the elements [lo,hi) of the matrix
	width      int // of a group
	mean, rstd [groupsAtOnce]F
}

// normBlocks is for blocks from an element on, the beginning of a row.
func normBlocks[F Float](s Norm, from int) normBlock[F] {
	return normBlock[F]{Norm: s, hi: from, width: s.Width / s.Groups}
}

// next moves on to the next block before an element, the end of a row, if there is one.
func (b *normBlock[F]) next(end int) bool {
	b.lo = b.hi
	if b.Groups > groupsAtOnce {
		row := b.lo - b.lo%b.Width
		b.hi = min(b.lo+groupsAtOnce*b.width, row+b.Width)
	} else {
		b.hi = min(b.lo+b.most(), end)
	}
	return b.lo < end
}

// most returns the number of elements of whole rows in a block.
func (b *normBlock[F]) most() int {
	return b.Width * max(1, min(groupsAtOnce/b.Groups, blockElements/b.Width))
}

// rowEnd returns where the row of an element ends, or the block.
func (b *normBlock[F]) rowEnd(at int) int { return min(at-at%b.Width+b.Width, b.hi) }

// groups returns the number of groups in the block.
func (b *normBlock[F]) groups() int { return (b.hi - b.lo) / b.width }

// of cuts group g of the block out of an array, or out of one for each column.
func (b *normBlock[F]) of(x []F, g int) []F { return x[b.lo+g*b.width:][:b.width] }
func (b *normBlock[F]) columns(w []F, g int) []F {
	return w[(b.lo+g*b.width)%b.Width:][:b.width]
}

// stats computes mean and standard deviation of the groups of x.
func (b *normBlock[F]) stats(x []F) {
	n := b.groups()
	for g := range n {
		b.mean[g] = groupMean(b.Norm, b.of(x, g))
	}
	for g := range n {
		b.rstd[g] = groupRstd(b.Norm, b.of(x, g), b.mean[g])
	}
}

// normalize computes y from x and the norm's weight w, which may be nil; y begins with
// the block's first element.
func (b *normBlock[F]) normalize(x, w, y []F) {
	for g := range b.groups() {
		xg, yg, mean, rstd := b.of(x, g), y[g*b.width:][:b.width], b.mean[g], b.rstd[g]
		switch {
		case w == nil:
			for i, v := range xg {
				yg[i] = (v - mean) * rstd
			}
		case b.Residual:
			vec.NormalizeResidual(xg, b.columns(w, g), mean, rstd, yg)
		default:
			vec.Normalize(xg, b.columns(w, g), mean, rstd, yg)
		}
	}
}

// gradients computes dx, and adds to dw, with f of normFactors: with x̂ the normalised x
// and g = dy·f, dx = rstd·(g − mean(g) − x̂·mean(g·x̂)); without centring the middle
// term is missing. dy begins with the block's first element.
func (b *normBlock[F]) gradients(x, f, dy, dx, dw []F) {
	var sum, sumX [groupsAtOnce]F
	n := b.groups()
	for g := range n {
		sum[g], sumX[g] = vec.NormSums(b.of(x, g), b.columns(f, g), dy[g*b.width:][:b.width], b.mean[g], b.rstd[g])
		if !b.Centered {
			sum[g] = 0
		}
	}
	for g := range n {
		size := F(b.width)
		vec.NormGrad(b.of(x, g), b.columns(f, g), dy[g*b.width:][:b.width], b.mean[g], b.rstd[g], sum[g]/size, sumX[g]/size, b.columns(dw, g), b.of(dx, g))
	}
}

// normRows normalises rows lo to hi.
func normRows[F Float](s Norm, lo, hi int, x, w, y []F) {
	b := normBlocks[F](s, lo*s.Width)
	for b.next(hi * s.Width) {
		b.stats(x)
		b.normalize(x, w, y[b.lo:])
	}
}

// normRowsBackward computes dx of rows lo to hi, and adds to dw.
func normRowsBackward[F Float](s Norm, lo, hi int, x, f, dy, dx, dw []F) {
	b := normBlocks[F](s, lo*s.Width)
	for b.next(hi * s.Width) {
		b.stats(x)
		b.gradients(x, f, dy[b.lo:], dx, dw)
	}
}

// normFactors fills f [Width] with the multipliers of the columns, which gradients
// use; w may be nil, for 1.
func normFactors[F Float](s Norm, w, f []F) {
	for c := range f {
		switch {
		case w == nil:
			f[c] = 1
		case s.Residual:
			f[c] = 1 + w[c]
		default:
			f[c] = w[c]
		}
	}
}

// NormForward computes y; w [Width] may be nil, for a factor of 1.
func NormForward[F Float](s Norm, x, w, y []F) {
	if s.N == 1 { // without a function, which takes memory
		normRows(s, 0, 1, x, w, y)
		return
	}
	ParallelRows(s.N, s.Width, func(lo, hi int) { normRows(s, lo, hi, x, w, y) })
}

// NormBackward computes dx and, if w is not nil, dw. Mean and standard
// deviation are recomputed, because reading a row twice is cheaper than storing
// them.
func NormBackward[F Float](s Norm, x, w, dy, dx, dw []F) {
	f, lent := scratch[F](2 * s.Width)
	defer giveBack(lent)
	f, sums := f[:s.Width], f[s.Width:]
	normFactors(s, w, f)
	sumRows(s.N, s.Width, sums, func(lo, hi int, part []F) { normRowsBackward(s, lo, hi, x, f, dy, dx, part) })
	copy(dw, sums)
}
