package vec

// Normalize computes y = (x − mean)·rstd·w.
func Normalize[F Float](x, w []F, mean, rstd F, y []F) {
	n := len(y)
	if fast[F]() {
		best.norm(n, ptr(x, n), ptr(w, n), ptr(y, n), float32(mean), float32(rstd))
		return
	}
	w = first(w, n)
	for i, v := range first(x, n) {
		y[i] = (v - mean) * rstd * w[i]
	}
}

// NormalizeResidual computes y = (x − mean)·rstd·(1 + w).
func NormalizeResidual[F Float](x, w []F, mean, rstd F, y []F) {
	n := len(y)
	if fast[F]() {
		best.normResidual(n, ptr(x, n), ptr(w, n), ptr(y, n), float32(mean), float32(rstd))
		return
	}
	w = first(w, n)
	for i, v := range first(x, n) {
		y[i] = (v - mean) * rstd * (1 + w[i])
	}
}

// NormSums returns Σ g and Σ g·x̂ for g = dy⊙w and x̂ = (x − mean)·rstd.
func NormSums[F Float](x, w, dy []F, mean, rstd F) (g, gx F) {
	n := len(x)
	if fast[F]() {
		a, b := best.normSums(n, ptr(x, n), ptr(w, n), ptr(dy, n), float32(mean), float32(rstd))
		return F(a), F(b)
	}
	var sum, sumX float64
	for i, v := range x {
		d := float64(dy[i] * w[i])
		sum += d
		sumX += d * float64((v-mean)*rstd)
	}
	return F(sum), F(sumX)
}

// NormGrad computes dx = rstd·(dy⊙w − mg − x̂·mgx), and dw += dy⊙x̂.
func NormGrad[F Float](x, w, dy []F, mean, rstd, mg, mgx F, dw, dx []F) {
	n := len(dx)
	if fast[F]() {
		best.normGrad(n, ptr(x, n), ptr(w, n), ptr(dy, n), ptr(dw, n), ptr(dx, n), float32(mean), float32(rstd), float32(mg), float32(mgx))
		return
	}
	for i, v := range first(x, n) {
		xhat, d := (v-mean)*rstd, dy[i]
		dx[i] = rstd * (d*w[i] - mg - xhat*mgx)
		dw[i] += d * xhat
	}
}

// SkipGate computes y = (h + skip⊙c)⊙SiLU(z).
func SkipGate[F Float](h, c, skip, z, y []F) {
	n := len(y)
	if fast[F]() {
		best.skipGate(n, ptr(h, n), ptr(c, n), ptr(skip, n), ptr(z, n), ptr(y, n))
		return
	}
	for i, v := range first(z, n) {
		y[i] = (h[i] + skip[i]*c[i]) * F(silu(float64(v)))
	}
}

// SkipGateGrad computes the gradients of SkipGate; that of skip is added to
// dskip.
func SkipGateGrad[F Float](h, c, skip, z, dy, dskip, dh, dc, dz []F) {
	n := len(dy)
	if fast[F]() {
		best.skipGateGrad(n, ptr(h, n), ptr(c, n), ptr(skip, n), ptr(z, n), ptr(dy, n), ptr(dskip, n), ptr(dh, n), ptr(dc, n), ptr(dz, n))
		return
	}
	for i, up := range dy {
		x := float64(z[i])
		g, ci, si := up*F(silu(x)), c[i], skip[i]
		dz[i] = up * (h[i] + si*ci) * F(SiLU.SlopeAt(x))
		dh[i], dc[i] = g, g*si
		dskip[i] += g * ci
	}
}

// Taps are the weights of a convolution over four steps, one vector for each,
// oldest first, or the inputs at four steps.
type Taps[F Float] [4][]F

// Conv4 computes y = bias + Σ wⱼ⊙xⱼ, and applies SiLU if withSiLU is set.
func Conv4[F Float](x, w Taps[F], bias, y []F, withSiLU bool) {
	n := len(y)
	if fast[F]() {
		run := best.conv4
		if withSiLU {
			run = best.conv4SiLU
		}
		run(n, ptr(x[0], n), ptr(x[1], n), ptr(x[2], n), ptr(x[3], n), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(bias, n), ptr(y, n))
		return
	}
	for i := range y {
		y[i] = convAt(x, w, bias, i)
		if withSiLU {
			y[i] = F(silu(float64(y[i])))
		}
	}
}

// Conv4Row computes y = SiLU(bias + Σ wⱼ⊙xⱼ) with weights as they are stored, wⱼ[i] =
// w[4i+j]: for a single row it would take longer to lay them out as Taps.
func Conv4Row[F Float](x Taps[F], w, bias, y []F) {
	n := len(y)
	w, bias = first(w, 4*n), first(bias, n)
	for j := range x {
		x[j] = first(x[j], n)
	}
	whole := 0
	if fast[F]() {
		if whole = n / turn * turn; whole > 0 {
			best.conv4RowSiLU(whole, ptr(x[0], n), ptr(x[1], n), ptr(x[2], n), ptr(x[3], n), ptr(bias, n), ptr(y, n), ptr(w, n))
		}
	}
	for i := whole; i < n; i++ {
		sum := bias[i]
		for j, tap := range (*[4]F)(w[4*i:]) {
			sum += F(tap * x[j][i]) // the conversion keeps compilers from fusing the two
		}
		y[i] = sum
	}
	Activate(SiLU, y[whole:], y[whole:])
}

// turn is how many elements the kernels take at a time that need whole turns.
const turn = 16

func convAt[F Float](x, w Taps[F], bias []F, i int) F {
	s := bias[i]
	for j := range w {
		s += w[j][i] * x[j][i]
	}
	return s
}

// Conv4SiLUGrad computes dpre, the gradient of bias + Σ wⱼ⊙xⱼ, from dy, the
// gradient of its SiLU, and in y, unless it is nil, that SiLU itself.
func Conv4SiLUGrad[F Float](x, w Taps[F], bias, dy, dpre, y []F) {
	n := len(dpre)
	switch {
	case !fast[F]():
		conv4SiLUGrad(x, w, bias, dy, dpre, y)
	case y == nil:
		best.conv4SiLUGrad(n, ptr(x[0], n), ptr(x[1], n), ptr(x[2], n), ptr(x[3], n), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(bias, n), ptr(dy, n), ptr(dpre, n))
	default:
		best.conv4SiLUGradKeep(n, ptr(x[0], n), ptr(x[1], n), ptr(x[2], n), ptr(x[3], n), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(bias, n), ptr(dy, n), ptr(dpre, n), ptr(y, n))
	}
}

func conv4SiLUGrad[F Float](x, w Taps[F], bias, dy, dpre, y []F) {
	if y != nil {
		y = first(y, len(dpre))
	}
	for i := range dpre {
		sum, up := float64(convAt(x, w, bias, i)), dy[i]
		dpre[i] = up * F(SiLU.SlopeAt(sum))
		if y != nil {
			y[i] = F(silu(sum))
		}
	}
}

// Conv4Weights adds the gradients of taps and bias: dwⱼ += g⊙xⱼ, dbias += g.
func Conv4Weights[F Float](x Taps[F], g []F, dw Taps[F], dbias []F) {
	n := len(g)
	if fast[F]() {
		best.conv4Weights(n, ptr(x[0], n), ptr(x[1], n), ptr(x[2], n), ptr(x[3], n), ptr(g, n), ptr(dw[0], n), ptr(dw[1], n), ptr(dw[2], n), ptr(dw[3], n), ptr(dbias, n))
		return
	}
	for i, v := range g {
		for j := range dw {
			dw[j][i] += v * x[j][i]
		}
		dbias[i] += v
	}
}

// Quads multiplies each four elements of x by a 4×4 matrix: y_i = Σ_s
// w[s]_i·x_(i xor s). If add is set, the result is added to y. The length must
// be a multiple of four.
func Quads[F Float](x []F, w Taps[F], y []F, add bool) {
	n := len(y)
	if fast[F]() {
		run := best.quads
		if add {
			run = best.quadsAdd
		}
		run(n, ptr(x, n), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(y, n))
		return
	}
	for i := range y {
		var s F
		if add {
			s = y[i]
		}
		for k := range w {
			s += w[k][i] * x[i^k]
		}
		y[i] = s
	}
}

// aheadRows is how many rows ahead QuadsMany asks for those that it reads.
const aheadRows = 8

// QuadsMany is Quads of several rows of x, each as long as the vectors of w. The rows
// of x are xRow elements apart, those of y yRow; they may be far apart in memory.
func QuadsMany[F Float](rows int, x []F, xRow int, w Taps[F], y []F, yRow int) {
	n := len(w[0])
	if rows == 0 || n == 0 {
		return
	}
	x, y = first(x, (rows-1)*xRow+n), first(y, (rows-1)*yRow+n)
	if fast[F]() {
		next := min(aheadRows*xRow, len(x)-1)
		best.quadsMany(n, ptr(x, n), ptr(x[next:], 1), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(y, n), rows, xRow, xRow, yRow)
		return
	}
	for r := range rows {
		Quads(x[r*xRow:], w, y[r*yRow:][:n], false)
	}
}

// QuadsTwo is Quads of two rows, for which it reads the matrices once.
func QuadsTwo[F Float](x [2][]F, w Taps[F], y [2][]F, add bool) {
	n := len(y[0])
	if !fast[F]() {
		for row := range y {
			Quads(x[row], w, first(y[row], n), add)
		}
		return
	}
	run := best.quads2
	if add {
		run = best.quadsAdd2
	}
	run(n, ptr(x[0], n), ptr(x[1], n), ptr(w[0], n), ptr(w[1], n), ptr(w[2], n), ptr(w[3], n), ptr(y[0], n), ptr(y[1], n))
}

// QuadsRow is Quads with matrices as they are stored, row by row: y[4b+o] = Σ_i
// w[16b+4o+i]·x[4b+i].
func QuadsRow[F Float](x, w, y []F) {
	n := len(y)
	x, w = first(x, n), first(w, 4*n)
	at := 0
	if fast[F]() {
		if at = n / turn * turn; at > 0 {
			best.quadsRow(at, ptr(x, n), ptr(y, n), ptr(w, n))
		}
	}
	for ; at < n; at += 4 {
		xb, wb, yb := *(*[4]F)(x[at:]), (*[16]F)(w[4*at:]), (*[4]F)(y[at:])
		for o := range yb {
			sum := F(wb[4*o] * xb[0])
			for i := 1; i < 4; i++ {
				sum += F(wb[4*o+i] * xb[i]) // the conversion keeps compilers from fusing the two
			}
			yb[o] = sum
		}
	}
}

// QuadsWeights adds the gradient of the weights of Quads: dw[s]_i += dy_i·x_(i xor
// s).
func QuadsWeights[F Float](x, dy []F, dw Taps[F]) {
	n := len(dy)
	if fast[F]() {
		best.quadsWeights(n, ptr(x, n), ptr(dy, n), ptr(dw[0], n), ptr(dw[1], n), ptr(dw[2], n), ptr(dw[3], n))
		return
	}
	for i, g := range dy {
		for k := range dw {
			dw[k][i] += g * x[i^k]
		}
	}
}

// QuadsWeightsTwo is QuadsWeights of two rows, the first of which is added first.
func QuadsWeightsTwo[F Float](x, dy [2][]F, dw Taps[F]) {
	n := len(dy[0])
	if !fast[F]() {
		for row := range dy {
			QuadsWeights(x[row], first(dy[row], n), dw)
		}
		return
	}
	best.quadsWeights2(n, ptr(x[0], n), ptr(x[1], n), ptr(dy[0], n), ptr(dy[1], n), ptr(dw[0], n), ptr(dw[1], n), ptr(dw[2], n), ptr(dw[3], n))
}

// Recall4 advances four rows c of a memory by one step and reads them: c =
// keep·c + share·v, and Σ query·c is added to h.
func Recall4[F Float](v []F, c Taps[F], h []F, keep F, share, query [4]F) {
	n := len(h)
	if fast[F]() {
		s, q := float32s(share), float32s(query)
		best.recall4(n, ptr(v, n), ptr(c[0], n), ptr(c[1], n), ptr(c[2], n), ptr(c[3], n), ptr(h, n), float32(keep), s[0], s[1], s[2], s[3], q[0], q[1], q[2], q[3])
		return
	}
	for j, row := range c {
		row = first(row, n)
		for i, x := range first(v, n) {
			row[i] = keep*row[i] + share[j]*x
			h[i] += query[j] * row[i]
		}
	}
}

// Combine computes y += Σ x_i·row_i over the rows of a matrix with as many rows
// as x has elements, and as many columns as y. It reads the matrix in the order
// of the memory.
func Combine[F Float](y, x, rows []F) {
	n := len(y)
	rows = first(rows, len(x)*n)
	if y, ok := any(y).([]float32); ok && best != nil {
		combine32(y, any(x).([]float32), any(rows).([]float32))
		return
	}
	for i, a := range x {
		Axpy(y, a, rows[i*n:(i+1)*n])
	}
}

func combine32(y, x, rows []float32) {
	n := len(y)
	to := ptr(y, n)
	for ; len(x) >= 8; x, rows = x[8:], rows[8*n:] {
		r := first(rows, 8*n)
		best.combine8(n, ptr(r, n), ptr(r[n:], n), ptr(r[2*n:], n), ptr(r[3*n:], n), ptr(r[4*n:], n), ptr(r[5*n:], n), ptr(r[6*n:], n), ptr(r[7*n:], n),
			to, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7])
	}
	for i, a := range x {
		best.axpy(n, ptr(rows[i*n:], n), to, a)
	}
}

func float32s[F Float](x [4]F) [4]float32 {
	return [4]float32{float32(x[0]), float32(x[1]), float32(x[2]), float32(x[3])}
}
