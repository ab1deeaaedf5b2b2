package optim

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
)

// chunkLen is the number of elements that a goroutine processes at a time. It
// is a constant, and partial sums are added in the order of chunks, so that no
// result depends on the number of processors.
const chunkLen = 1 << 15

// chunk is the range [lo, hi) of a parameter.
type chunk struct {
	p      *param
	lo, hi int
	sum    float64 // of the squared gradient
}

// split appends the chunks of all parameters, which must stay where they are,
// to dst.
func split(dst []chunk, params []param) []chunk {
	for i := range params {
		p := &params[i]
		for lo, n := 0, p.g.Len(); lo < n; lo += chunkLen {
			dst = append(dst, chunk{p: p, lo: lo, hi: min(lo+chunkLen, n)})
		}
	}
	return dst
}

// globalNorm computes the sum of squares of each chunk and returns the square
// root of their total.
func globalNorm(chunks []chunk) float64 {
	cores.Run(len(chunks), func(i int) {
		c := &chunks[i]
		g := c.p.g.Cut(c.lo, c.hi)
		c.sum = sumSquares(g.F32) + sumSquares(g.F64)
	})
	total := 0.0
	for i := range chunks {
		total += chunks[i].sum
	}
	return math.Sqrt(total)
}

// sumSquares adds in four independent lanes, because in a single one each
// addition would wait for the previous one.
func sumSquares[T floats.Float](x []T) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		x0, x1, x2, x3 := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		a += x0 * x0
		b += x1 * x1
		c += x2 * x2
		d += x3 * x3
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v) * float64(v)
	}
	return (a + b) + (c + d)
}
