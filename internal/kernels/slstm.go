package kernels

import "math"

// SLSTM describes a scan of the sLSTM cell (paper, section 2.2) over T steps:
//
//	g~ = x_g + R_g·y + b_g                       g in i, f, z, o; R per head
//	m' = max(log σ(f~) + m, i~)                  i~ alone where n = 0
//	i' = exp(i~ − m');  f' = exp(log σ(f~) + m − m')
//	c' = f'·c + i'·tanh(z~);  n' = f'·n + i'
//	y' = σ(o~)·c'/n'
//
// The width D is NH·DH. The inputs x_i, x_f, x_z, x_o and the output y are
// [B·T,D]. R is [NH, 4·DH, DH]: head, then gate (i, f, z, o) and output, then
// input. b is [4·D], gate-major. A state is [4,B,D], the slices y, c, n, m; all
// zero at the start.
type SLSTM struct {
	B, T, NH, DH int
	// Clip bounds the gradient that flows back into y of the step before; +∞
	// for no bound, 0 to cut it.
	Clip float64
}

// SLSTMTape holds what the backward pass needs of every step, each [B·T,D]: the
// gates after their non-linearities, 1−σ(f~), and the states c and n.
type SLSTMTape[F Float] struct{ I, F, Z, O, Fbar, C, N []F }

// TapeSize is the number of elements of a tape.
func (s SLSTM) TapeSize() int { return 7 * s.B * s.T * s.NH * s.DH }

// SLSTMTapeOf lays a tape out in buf.
func SLSTMTapeOf[F Float](s SLSTM, buf []F) SLSTMTape[F] {
	n := s.B * s.T * s.NH * s.DH
	at := func(k int) []F { return buf[k*n : (k+1)*n] }
	return SLSTMTape[F]{I: at(0), F: at(1), Z: at(2), O: at(3), Fbar: at(4), C: at(5), N: at(6)}
}

// slstmRows is the number of sequences that one piece of work scans together.
const slstmRows = 8

// gateWork is how many multiply-adds take as long as one element of a gate.
const gateWork = 16

// pieces calls f for every head and every block of sequences.
func (s SLSTM) pieces(f func(h, b0, b1 int)) {
	blocks := (s.B + slstmRows - 1) / slstmRows
	parallelWork(s.NH*blocks, s.T*min(s.B, slstmRows)*4*s.DH*(s.DH+gateWork), func(i int) {
		b0 := i % blocks * slstmRows
		f(i/blocks, b0, min(s.B, b0+slstmRows))
	})
}

// SLSTMForward computes y, the new state, which may lie in the memory of state,
// and the tape; state may be nil for zeros.
func SLSTMForward[F Float](s SLSTM, x [4][]F, r, bias, state, y, newState []F, tape SLSTMTape[F]) {
	if state != nil {
		copy(newState, state)
	} else {
		clear(newState)
	}
	s.pieces(func(h, b0, b1 int) {
		pre, release := scratch[F]((b1 - b0) * 4 * s.DH)
		defer release()
		for t := range s.T {
			slstmStep(s, h, b0, b1, t, x, r, bias, y, newState, pre, tape)
		}
	})
}

// slstmStep advances head h of sequences b0…b1 by one step. newState holds the
// state before the step and after it.
func slstmStep[F Float](s SLSTM, h, b0, b1, t int, x [4][]F, r, bias, y, newState, pre []F, tape SLSTMTape[F]) {
	d, g := s.NH*s.DH, 4*s.DH
	sy, sc, sn, sm := split4(newState)
	rh := r[h*g*s.DH : (h+1)*g*s.DH]
	Gemm(false, true, b1-b0, g, s.DH, 1, sy[b0*d+h*s.DH:], d, rh, s.DH, 0, pre, g)
	for b := b0; b < b1; b++ {
		p := pre[(b-b0)*g:][:g]
		for j := range s.DH {
			col := h*s.DH + j
			at, st := (b*s.T+t)*d+col, b*d+col
			// Gates may be large; their sums must not cost digits of the exponentials.
			it := float64(p[j]) + float64(x[0][at]) + float64(bias[col])
			ft := float64(p[s.DH+j]) + float64(x[1][at]) + float64(bias[d+col])
			z := tanh(p[2*s.DH+j] + x[2][at] + bias[2*d+col])
			o := sigmoid(p[3*s.DH+j] + x[3][at] + bias[3*d+col])
			lf := logSigmoid(ft) + float64(sm[st])
			m := math.Max(lf, it)
			if sn[st] == 0 { // nothing to keep, and nothing to keep finite
				m, lf = it, math.Min(lf, it)
			}
			// The stored stabiliser is rounded; the gates must refer to it, though
			// the larger may then pass 1 by as much.
			sm[st] = F(m)
			m = float64(sm[st])
			ig, fg := F(math.Exp(it-m)), F(math.Exp(lf-m))
			sc[st] = fg*sc[st] + ig*z
			sn[st] = fg*sn[st] + ig
			sy[st] = o * sc[st] / sn[st]
			y[at] = sy[st]
			tape.I[at], tape.F[at], tape.Z[at], tape.O[at] = ig, fg, z, o
			tape.Fbar[at], tape.C[at], tape.N[at] = F(sigmoid(-ft)), sc[st], sn[st]
		}
	}
}

// split4 returns the four quarters of a.
func split4[F Float](a []F) (x, y, z, w []F) {
	n := len(a) / 4
	return a[:n], a[n : 2*n], a[2*n : 3*n], a[3*n:]
}

// SLSTMGrads receives the gradients of SLSTMForward, in the shapes of what they
// belong to. State may be nil.
type SLSTMGrads[F Float] struct {
	X              [4][]F
	R, Bias, State []F
}

// SLSTMBackward computes the exact gradients of SLSTMForward from the upstream
// gradient dy of the outputs and dNew of the final state; either may be nil,
// and so may the initial state.
//
// The output does not depend on the stabiliser, whose gradient is therefore
// zero along the whole scan; only a gradient that comes in through the final
// state, whose c and n are stored relative to m, leaves a remainder that
// follows the path of the maximum back.
func SLSTMBackward[F Float](s SLSTM, r, state, y, newState []F, tape SLSTMTape[F], dy, dNew []F, grads SLSTMGrads[F]) {
	dState := grads.State
	if dState == nil {
		var release func()
		dState, release = scratch[F](4 * s.B * s.NH * s.DH)
		defer release()
	}
	clear(dState)
	slstmSeed(newState, dNew, dState)
	s.pieces(func(h, b0, b1 int) {
		dpre, release := scratch[F]((b1 - b0) * 4 * s.DH)
		defer release()
		for t := s.T - 1; t >= 0; t-- {
			slstmStepBack(s, h, b0, b1, t, r, state, y, tape, dy, dState, dpre, grads.X)
		}
	})
	slstmFinish(state, dState)
	slstmWeightGrads(s, state, y, grads)
}

// slstmSeed begins the backward scan: dState's slices hold the gradients of y,
// c and n after the last step, and in the place of m what remains for the
// stabiliser once the dependence of c and n on it is taken off.
func slstmSeed[F Float](newState, dNew, dState []F) {
	if dNew == nil {
		return
	}
	copy(dState, dNew)
	_, c, n, _ := split4(newState)
	_, dc, dn, rest := split4(dState)
	for k := range rest {
		rest[k] -= c[k]*dc[k] + n[k]*dn[k]
	}
}

// slstmFinish turns the remainder back into the gradient of the initial m.
func slstmFinish[F Float](state, dState []F) {
	if state == nil {
		return
	}
	_, c, n, _ := split4(state)
	_, dc, dn, rest := split4(dState)
	for k := range rest {
		rest[k] += c[k]*dc[k] + n[k]*dn[k]
	}
}

// slstmStepBack takes head h of sequences b0…b1 one step back.
func slstmStepBack[F Float](s SLSTM, h, b0, b1, t int, r, state, y []F, tape SLSTMTape[F], dy, dState, dpre []F, dx [4][]F) {
	d, g := s.NH*s.DH, 4*s.DH
	gy, gc, gn, rest := split4(dState)
	for b := b0; b < b1; b++ {
		p := dpre[(b-b0)*g:][:g]
		for j := range s.DH {
			col := h*s.DH + j
			at, st := (b*s.T+t)*d+col, b*d+col
			cPrev, nPrev := slstmBefore(s, b, t, col, state, tape)
			dyt := gy[st]
			if dy != nil {
				dyt += dy[at]
			}
			ig, fg, z, o := tape.I[at], tape.F[at], tape.Z[at], tape.O[at]
			dc := gc[st] + o*dyt/tape.N[at]
			dn := gn[st] - y[at]*dyt/tape.N[at]
			di := ig * (dc*z + dn)
			dlf := fg * (dc*cPrev + dn*nPrev)
			// The larger gate is the one on the side of the maximum.
			if fg >= ig && nPrev != 0 {
				dlf += rest[st]
			} else {
				di += rest[st]
				rest[st] = 0
			}
			p[j], p[s.DH+j] = di, dlf*tape.Fbar[at]
			p[2*s.DH+j] = dc * ig * (1 - z*z)
			p[3*s.DH+j] = (1 - o) * y[at] * dyt
			for k := range 4 {
				dx[k][at] = p[k*s.DH+j]
			}
			gc[st], gn[st] = fg*dc, fg*dn
		}
	}
	Gemm(false, false, b1-b0, s.DH, g, 1, dpre, g, r[h*g*s.DH:], s.DH, 0, gy[b0*d+h*s.DH:], d)
	slstmClip(s, h, b0, b1, gy)
}

// slstmBefore returns c and n before step t.
func slstmBefore[F Float](s SLSTM, b, t, col int, state []F, tape SLSTMTape[F]) (c, n F) {
	d := s.NH * s.DH
	if t > 0 {
		at := (b*s.T+t-1)*d + col
		return tape.C[at], tape.N[at]
	}
	if state == nil {
		return 0, 0
	}
	_, sc, sn, _ := split4(state)
	return sc[b*d+col], sn[b*d+col]
}

func slstmClip[F Float](s SLSTM, h, b0, b1 int, gy []F) {
	if math.IsInf(s.Clip, 1) {
		return
	}
	bound := F(s.Clip)
	for b := b0; b < b1; b++ {
		row := gy[(b*s.NH+h)*s.DH:][:s.DH]
		for j, v := range row {
			row[j] = min(max(v, -bound), bound)
		}
	}
}

// slstmWeightGrads computes dR and db from the gate gradients of all steps.
func slstmWeightGrads[F Float](s SLSTM, state, y []F, grads SLSTMGrads[F]) {
	d := s.NH * s.DH
	Parallel(s.NH*4, func(i int) {
		h, k := i/4, i%4
		dr := grads.R[(h*4+k)*s.DH*s.DH:][:s.DH*s.DH]
		clear(dr)
		for b := range s.B {
			at := b*s.T*d + h*s.DH
			if state != nil {
				Gemm(true, false, s.DH, s.DH, 1, 1, grads.X[k][at:], d, state[b*d+h*s.DH:], d, 1, dr, s.DH)
			}
			if s.T > 1 {
				Gemm(true, false, s.DH, s.DH, s.T-1, 1, grads.X[k][at+d:], d, y[at:], d, 1, dr, s.DH)
			}
		}
	})
	for k := range 4 {
		ColumnSums(s.B*s.T, d, grads.X[k], grads.Bias[k*d:(k+1)*d])
	}
}
