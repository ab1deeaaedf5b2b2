package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Heads of four columns, the official block size of the q, k and v projections,
// are too narrow for matrix products. All rows of all heads together are four
// vector products instead: y_c = Σ_s w[s]_c·x_(c xor s), since c xor s for s =
// 0 … 3 runs through the four columns of c's head.

// quads reports whether the heads are four columns wide.
func (s Headwise) quads() bool { return s.In == 4 && s.Out == 4 }

// quadAt is where the weight from input column c xor s to output column c lies.
func (s Headwise) quadAt(c, k int) int { return s.weight(c/4) + c%4*4 + (c%4 ^ k) }

// quadTaps cuts buf into four vectors, one for each s.
func quadTaps[F Float](buf []F) (t vec.Taps[F]) {
	d := len(buf) / 4
	for k := range t {
		t[k] = buf[k*d : (k+1)*d]
	}
	return t
}

// layOutQuads fills taps with the weights, or with those of the transposed map, from
// output c xor k to input c.
func layOutQuads[F Float](s Headwise, w []F, taps vec.Taps[F], transposed bool) {
	for h := range s.Heads {
		wh := (*[16]F)(w[s.weight(h):])
		for k, tap := range taps {
			to := (*[4]F)(tap[4*h:])
			if transposed {
				to[0], to[1], to[2], to[3] = wh[4*k], wh[4*(1^k)+1], wh[4*(2^k)+2], wh[4*(3^k)+3]
			} else {
				to[0], to[1], to[2], to[3] = wh[k], wh[4+(1^k)], wh[8+(2^k)], wh[12+(3^k)]
			}
		}
	}
}

// quadsForward computes y [N, Heads·4].
func quadsForward[F Float](s Headwise, x, w, y []F) {
	d := 4 * s.Heads
	buf, lent := scratch[F](4 * d)
	defer giveBack(lent)
	taps := quadTaps(buf)
	layOutQuads(s, w, taps, false)
	ParallelRows(s.N, d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			vec.Quads(x[r*d:(r+1)*d], taps, y[r*d:(r+1)*d], false)
		}
	})
}

// quadsForwardRow is quadsForward for a single row, for which to arrange the
// weights would take longer than to use them in place.
func quadsForwardRow[F Float](s Headwise, x, w, y []F) {
	if s.Stride == 4 {
		vec.QuadsRow(x, w[s.weight(0):], y[:4*s.Heads])
		return
	}
	for h := range s.Heads {
		vec.QuadsRow(x[4*h:], w[s.weight(h):], y[4*h:4*h+4])
	}
}

// quadsBackward computes dx and, in the rows of dw that the map uses, the
// weight's gradient.
func quadsBackward[F Float](s Headwise, x, w, dy, dx, dw []F) {
	d := 4 * s.Heads
	buf, lent := scratch[F](8 * d)
	defer giveBack(lent)
	taps, grads := quadTaps(buf[:4*d]), quadTaps(buf[4*d:])
	layOutQuads(s, w, taps, true)
	sumRows(s.N, d, buf[4*d:], func(lo, hi int, part []F) {
		to := quadTaps(part)
		for r := lo; r < hi; r++ {
			row := dy[r*d : (r+1)*d]
			vec.Quads(row, taps, dx[r*d:(r+1)*d], false)
			vec.QuadsWeights(x[r*d:(r+1)*d], row, to)
		}
	})
	for k, grad := range grads {
		for c, g := range grad {
			dw[s.quadAt(c, k)] = g
		}
	}
}
