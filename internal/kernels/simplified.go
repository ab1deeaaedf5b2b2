package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// Simplified describes a scan over T steps of the simplified cell that articles
// present as xLSTM:
//
//	g~ = x_g + R_g·h                             g in i, f, o, g
//	i = exp(LN_i(i~));  f = σ(LN_f(f~));  o = σ(o~);  g = tanh(g~)
//	C' = f·C + i·(g·M)
//	h' = o·tanh(C')
//
// LN are layer norms over all units. The input x is [B·T,4·H], gate by gate, the
// output h [B·T,H]. R is [4·H,H], gate by gate, norms [4·H], γ_i, β_i, γ_f and
// β_f, and M [H,H], input first. A state is [2,B,H], the slices h and C; all
// zero at the start.
type Simplified struct {
	B, T, H int
	Eps     float64
	// The state is zero before every step at which a document begins.
	Resets Resets
}

// SimplifiedTape holds the values of every step that the backward pass needs, each
// [B·T,H]: the pre-activations of i and f, the gates, g·M, and C.
type SimplifiedTape[F Float] struct{ PreI, PreF, I, F, O, G, U, C []F }

// SimplifiedTapeOf returns a tape in the memory of buf, 8·B·T·H elements.
func SimplifiedTapeOf[F Float](s Simplified, buf []F) SimplifiedTape[F] {
	n := s.B * s.T * s.H
	at := func(k int) []F { return buf[k*n : (k+1)*n] }
	return SimplifiedTape[F]{at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)}
}

// SimplifiedWeights are the weights of the cell.
type SimplifiedWeights[F Float] struct{ R, Norms, M []F }

// norm returns γ and β of a gate, 0 for i and 1 for f.
func (w SimplifiedWeights[F]) norm(gate int) (gamma, beta []F) {
	h := len(w.Norms) / 4
	return w.Norms[2*gate*h:][:h], w.Norms[(2*gate+1)*h:][:h]
}

// pieces calls f for blocks of sequences, which are cut as those of an LSTM.
func (s Simplified) pieces(f func(piece, b0, b1 int)) {
	bounds := cut(s.B, s.blocks(), 1)
	rows := bounds[1] - bounds[0]
	parallelWork(len(bounds)-1, s.T*rows*5*s.H*(s.H+gateWork), func(i int) { f(i, bounds[i], bounds[i+1]) })
}

func (s Simplified) blocks() int { return (s.B + lstmRows - 1) / lstmRows }

// norm is a layer norm of one row.
func (s Simplified) norm() Norm { return Norm{Groups: 1, Width: s.H, Eps: s.Eps, Centered: true} }

// SimplifiedForward computes h, the new state, which may share the memory of state,
// and the tape; state may be nil for zeros.
func SimplifiedForward[F Float](s Simplified, x []F, w SimplifiedWeights[F], state, h, newState []F, tape SimplifiedTape[F]) {
	s.Resets = s.Resets.some()
	if state != nil {
		copy(newState, state)
	} else {
		clear(newState)
	}
	n := s.B * s.H
	c := simplifiedForward[F]{simplifiedScan: simplifiedScan[F]{Simplified: s, w: w, tape: tape}, x: x, h: h, last: newState[:n], c: newState[n:]}
	defer c.layOut(false)()
	s.pieces(func(_, b0, b1 int) {
		pre, lent := scratch[F]((b1 - b0) * 4 * s.H)
		defer giveBack(lent)
		for t := range s.T {
			c.step(t, b0, b1, pre)
		}
	})
}

// simplifiedScan is what the scans forward and back share.
type simplifiedScan[F Float] struct {
	Simplified
	w    SimplifiedWeights[F]
	tape SimplifiedTape[F]
	r, m *blas.Packed[F] // back transposed
}

// layOut lays the weights out for the products and returns the function that gives
// their memory back.
func (c *simplifiedScan[F]) layOut(back bool) func() {
	var releaseR, releaseM func()
	if back {
		c.r, releaseR = packed(false, 4*c.H, c.H, c.w.R, c.H)
	} else {
		c.r, releaseR = packed(true, c.H, 4*c.H, c.w.R, c.H)
	}
	c.m, releaseM = packed(back, c.H, c.H, c.w.M, c.H)
	return func() { releaseR(); releaseM() }
}

// row returns step t of sequence b in an array of rows of H.
func (c *simplifiedScan[F]) row(x []F, b, t int) []F { return x[(b*c.T+t)*c.H:][:c.H] }

// simplifiedForward is a scan forward.
type simplifiedForward[F Float] struct {
	simplifiedScan[F]
	x, h    []F
	last, c []F // h and C
}

// step advances sequences b0 … b1−1 by one step.
func (c *simplifiedForward[F]) step(t, b0, b1 int, pre []F) {
	h := c.H
	for b := b0; b < b1 && c.Resets != nil; b++ {
		if c.Resets.at(c.T, b, t) {
			clear(c.last[b*h : (b+1)*h])
			clear(c.c[b*h : (b+1)*h])
		}
	}
	c.r.Gemm(gblas.NoTrans, b1-b0, 1, c.last[b0*h:], h, 0, pre, 4*h)
	for b := b0; b < b1; b++ {
		p := pre[(b-b0)*4*h:][:4*h]
		vec.Add(p, p, c.x[(b*c.T+t)*4*h:][:4*h])
		c.gate(0, b, t, p[:h])
		c.gate(1, b, t, p[h:2*h])
		vec.Activate(vec.Sigmoid, p[2*h:3*h], c.row(c.tape.O, b, t))
		g := c.row(c.tape.G, b, t)
		vec.Activate(vec.Tanh, p[3*h:], g)
		copy(pre[(b-b0)*h:], g) // whose place is free: it lies in that of rows before
	}
	u := pre[(b1-b0)*h:][:(b1-b0)*h]
	c.m.Gemm(gblas.NoTrans, b1-b0, 1, pre, h, 0, u, h)
	for b := b0; b < b1; b++ {
		copy(c.row(c.tape.U, b, t), u[(b-b0)*h:])
		c.remember(b, t)
	}
}

// gate computes i (0) or f (1) from their pre-activations.
func (c *simplifiedForward[F]) gate(k, b, t int, pre []F) {
	kept, out := c.row(c.tape.PreI, b, t), c.row(c.tape.I, b, t)
	if k == 1 {
		kept, out = c.row(c.tape.PreF, b, t), c.row(c.tape.F, b, t)
	}
	copy(kept, pre)
	gamma, beta := c.w.norm(k)
	mean, rstd := groupStats(c.norm(), pre)
	vec.Normalize(pre, gamma, mean, rstd, pre)
	vec.Add(pre, pre, beta)
	if k == 0 {
		vec.Exp(out, pre)
	} else {
		vec.Activate(vec.Sigmoid, pre, out)
	}
}

// remember computes C and h of a sequence.
func (c *simplifiedForward[F]) remember(b, t int) {
	memory, h := c.c[b*c.H:][:c.H], c.row(c.h, b, t)
	vec.Mul(memory, memory, c.row(c.tape.F, b, t))
	vec.MulAdd(memory, c.row(c.tape.I, b, t), c.row(c.tape.U, b, t))
	copy(c.row(c.tape.C, b, t), memory)
	vec.Activate(vec.Tanh, memory, h)
	vec.Mul(h, h, c.row(c.tape.O, b, t))
	copy(c.last[b*c.H:], h)
}

// SimplifiedGrads receives the gradients of SimplifiedForward, in the shapes of the
// corresponding inputs. State may be nil.
type SimplifiedGrads[F Float] struct {
	X     []F
	W     SimplifiedWeights[F]
	State []F
}

// SimplifiedBackward computes the exact gradients of SimplifiedForward from the
// upstream gradient dh of the outputs and dNew of the final state; either may be
// nil, and so may the initial state.
func SimplifiedBackward[F Float](s Simplified, w SimplifiedWeights[F], state, h []F, tape SimplifiedTape[F], dh, dNew []F, grads SimplifiedGrads[F]) {
	s.Resets = s.Resets.some()
	n, blocks := s.B*s.H, s.blocks()
	// The gradients of all g·M, the norms' of every piece, and perhaps the state's.
	buf, lent := scratch[F](s.T*n + (blocks*4+1)*s.H + 2*n)
	defer giveBack(lent)
	du, sums, zero, dState := buf[:s.T*n], buf[s.T*n:][:blocks*4*s.H], buf[s.T*n+blocks*4*s.H:][:s.H], buf[s.T*n+(blocks*4+1)*s.H:]
	if grads.State != nil {
		dState = grads.State
	}
	clear(sums)
	clear(zero)
	clear(dState)
	copy(dState, dNew)
	c := simplifiedBackward[F]{
		simplifiedScan: simplifiedScan[F]{Simplified: s, w: w, tape: tape}, state: state, dh: dh,
		gh: dState[:n], gc: dState[n:], dx: grads.X, du: du, zero: zero,
	}
	defer c.layOut(true)()
	s.pieces(func(piece, b0, b1 int) {
		work, lent := scratch[F]((b1 - b0) * 5 * s.H)
		defer giveBack(lent)
		for t := s.T - 1; t >= 0; t-- {
			c.step(t, b0, b1, work, sums[piece*4*s.H:][:4*s.H])
		}
	})
	clear(grads.W.Norms)
	for piece := range blocks {
		vec.Axpy(grads.W.Norms, 1, sums[piece*4*s.H:][:4*s.H])
	}
	Gemm(true, false, s.H, s.H, s.B*s.T, 1, tape.G, s.H, du, s.H, 0, grads.W.M, s.H)
	recurrentGrad(LSTM{B: s.B, T: s.T, H: s.H, Resets: s.Resets}, state, h, grads.X, grads.W.R)
}

// simplifiedBackward is a scan back.
type simplifiedBackward[F Float] struct {
	simplifiedScan[F]
	state, dh, zero []F
	gh, gc          []F // the gradients of h and C, carried back
	dx, du          []F
}

// step takes sequences b0 … b1−1 one step back. sums has the gradients of the norms,
// to which it adds.
func (c *simplifiedBackward[F]) step(t, b0, b1 int, work, sums []F) {
	h, rows := c.H, b1-b0
	dg, dpre := work[:rows*h], work[rows*h:]
	for b := b0; b < b1; b++ {
		// dg holds g·M's gradient until its product.
		c.cell(t, b, dg[(b-b0)*h:][:h], dpre[(b-b0)*4*h:][:4*h], sums)
		copy(c.row(c.du, b, t), dg[(b-b0)*h:][:h])
	}
	into := c.gh[b0*h : b1*h] // the gradients of h, which are spent
	c.m.Gemm(gblas.NoTrans, rows, 1, dg, h, 0, into, h)
	for b := b0; b < b1; b++ {
		p := dpre[(b-b0)*4*h:][:4*h]
		for j, g := range c.row(c.tape.G, b, t) {
			p[3*h+j] = into[(b-b0)*h+j] * (1 - g*g)
		}
		copy(c.dx[(b*c.T+t)*4*h:], p)
	}
	c.r.Gemm(gblas.NoTrans, rows, 1, dpre, 4*h, 0, into, h)
	for b := b0; b < b1 && c.Resets != nil; b++ {
		if c.Resets.at(c.T, b, t) {
			clear(c.gh[b*h : (b+1)*h])
			clear(c.gc[b*h : (b+1)*h])
		}
	}
}

// cell computes the gradients of a sequence's g·M, and of the pre-activations of i,
// f and o.
func (c *simplifiedBackward[F]) cell(t, b int, du, dpre, sums []F) {
	h, before := c.H, c.before(b, t)
	gc, gh, dh := c.gc[b*h:][:h], c.gh[b*h:][:h], c.zero
	if c.dh != nil {
		dh = c.row(c.dh, b, t)
	}
	in, forget, out, u := c.row(c.tape.I, b, t), c.row(c.tape.F, b, t), c.row(c.tape.O, b, t), c.row(c.tape.U, b, t)
	vec.Activate(vec.Tanh, c.row(c.tape.C, b, t), du)
	di, df, do := dpre[:h], dpre[h:2*h], dpre[2*h:3*h]
	for j, y := range du {
		up, i, f, o := dh[j]+gh[j], in[j], forget[j], out[j]
		d := gc[j] + up*o*(1-y*y)
		do[j] = up * y * (o - o*o)
		di[j] = d * u[j] * i
		df[j] = d * before[j] * (f - f*f)
		du[j], gc[j] = d*i, d*f
	}
	c.gate(0, c.row(c.tape.PreI, b, t), di, sums[:2*h])
	c.gate(1, c.row(c.tape.PreF, b, t), df, sums[2*h:])
}

// gate takes the gradient d of a gate's normalised pre-activations back to the
// pre-activations, in place, and adds to those of γ and β.
func (c *simplifiedBackward[F]) gate(k int, pre, d, sums []F) {
	gamma, _ := c.w.norm(k)
	vec.Axpy(sums[c.H:], 1, d)
	mean, rstd := groupStats(c.norm(), pre)
	sum, sumX := vec.NormSums(pre, gamma, d, mean, rstd)
	vec.NormGrad(pre, gamma, d, mean, rstd, sum/F(c.H), sumX/F(c.H), sums[:c.H], d)
}

// before returns C of sequence b before step t.
func (c *simplifiedBackward[F]) before(b, t int) []F {
	switch {
	case c.Resets.at(c.T, b, t):
		return c.zero
	case t > 0:
		return c.row(c.tape.C, b, t-1)
	case c.state != nil:
		return c.state[(c.B+b)*c.H:][:c.H]
	}
	return c.zero
}
