package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

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
	// Clip bounds the gradient that flows to y of the previous step; +∞ means
	// no bound, and 0 stops the gradient.
	Clip float64
	// The state is zero before every step at which a document begins.
	Resets Resets
}

// SLSTMTape holds the values of every step that the backward pass needs: the gates
// after their non-linearities, 1−σ(f~), and the states c and n. Those of a head of a
// sequence are contiguous, step after step: a scan of several sequences then writes
// and reads as many streams, rather than seven times as many.
type SLSTMTape[F Float] []F

// The vectors of a step on the tape; those of the gates come first.
const (
	tapeFbar = 4
	tapeC    = 5
	tapeN    = 6
	tapeSize = 7
)

// TapeSize returns the number of elements of a tape.
func (s SLSTM) TapeSize() int { return tapeSize * s.B * s.T * s.NH * s.DH }

// SLSTMTapeOf returns a tape in the memory of buf.
func SLSTMTapeOf[F Float](s SLSTM, buf []F) SLSTMTape[F] { return buf[:s.TapeSize()] }

// tapeAt returns where the vectors of step t of head h of sequence b begin.
func (s SLSTM) tapeAt(h, b, t int) int { return ((h*s.B+b)*s.T + t) * tapeSize * s.DH }

// slstmTape returns the vectors of step t of head h of sequence b, one after the other.
func slstmTape[F Float](s SLSTM, tape SLSTMTape[F], h, b, t int) []F {
	return tape[s.tapeAt(h, b, t):][:tapeSize*s.DH]
}

// tapeVector returns vector k, of n elements, of those of a step.
func tapeVector[F Float](v []F, k, n int) []F { return v[k*n : (k+1)*n] }

// tapeGates returns the vectors of the gates.
func tapeGates[F Float](v []F, n int) [4][]F {
	return [4][]F{v[:n], v[n : 2*n], v[2*n : 3*n], v[3*n : 4*n]}
}

// slstmRows is the number of sequences that one piece of work scans together, or
// the most.
const slstmRows = 8

// gateWork is how many multiply-adds take as long as one element of a gate.
const gateWork = 16

// rows returns how many sequences to scan together: fewer where there are more
// cores than pieces of work otherwise. That makes no difference to the bits of
// products with packed weights.
func (s SLSTM) rows() int {
	rows := slstmRows
	for s.T >= slstmPacked && rows > 1 && s.NH*((s.B+rows-1)/rows) < cores.Procs() {
		rows /= 2
	}
	return rows
}

// pieces calls f for every head and every block of sequences.
func (s SLSTM) pieces(f func(h, b0, b1 int)) { s.piecesOf(s.rows(), f) }

// piecesOf is pieces of so many sequences each.
func (s SLSTM) piecesOf(rows int, f func(h, b0, b1 int)) {
	blocks := (s.B + rows - 1) / rows
	parallelWork(s.NH*blocks, s.T*min(s.B, rows)*4*s.DH*(s.DH+gateWork), func(i int) {
		b0 := i / s.NH * rows
		f(i%s.NH, b0, min(s.B, b0+rows))
	})
}

// slstmHead returns the columns of head h in a row, for any array of rows of D.
func slstmHead[F Float](s SLSTM, x []F, row, h int) []F {
	return x[(row*s.NH+h)*s.DH:][:s.DH]
}

// slstmPacked is the number of steps from which on it pays to lay the recurrent
// weights out for the products.
const slstmPacked = 8

// slstmR returns R of head h, [4·DH, DH].
func slstmR[F Float](s SLSTM, r []F, h int) []F {
	size := 4 * s.DH * s.DH
	return r[h*size : (h+1)*size]
}

// fetchTape asks for vectors from … to−1 of step t of sequence b on the tape, if there is
// such a step. The tape of a layer exceeds a second-level cache, and is not read in the
// order of the memory. A scan asks for some vectors before the products of a step and for
// the others after them, since processors take few requests at a time.
func (c *slstmScan[F]) fetchTape(tape SLSTMTape[F], b, t, from, to int) {
	if t >= 0 && t < c.T {
		vec.Prefetch(tape[c.tapeAt(c.h, b, t):][from*c.DH : to*c.DH])
	}
}

// slstmScan is a scan of one head over some sequences.
type slstmScan[F Float] struct {
	SLSTM
	h, b0, b1 int
	pre       slstmGates[F]      // recurrent parts of the pre-activations of a step, or gradients of pre-activations
	recurrent *slstmRecurrent[F] // of the head; nil for few steps
}

// slstmGates are vectors of a head's four gates. That of step t of sequence b is at
// at + b·sequence + t·step in each.
type slstmGates[F Float] struct {
	g                  [4][]F
	at, sequence, step int
}

// of returns the vectors of step t of sequence b.
func (g *slstmGates[F]) of(dh, b, t int) (v [4][]F) {
	at := g.at + b*g.sequence + t*g.step
	for k := range v {
		v[k] = g.g[k][at:][:dh]
	}
	return v
}

// rows returns what begins with the first gate of step t of sequence b, where the gates
// of a step are contiguous.
func (g *slstmGates[F]) rows(b, t int) []F { return g.g[0][g.at+b*g.sequence+t*g.step:] }

// slstmColumns are the columns of head h in x, each [B·T,NH·DH].
func slstmColumns[F Float](s SLSTM, x [4][]F, h int) slstmGates[F] {
	d := s.NH * s.DH
	return slstmGates[F]{g: x, at: h * s.DH, sequence: s.T * d, step: d}
}

// slstmOneStep are gates of a single step of the sequences from b0 on, in buf of [sequences,
// 4·DH].
func slstmOneStep[F Float](s SLSTM, buf []F, b0 int) slstmGates[F] {
	g := slstmGates[F]{at: -b0 * 4 * s.DH, sequence: 4 * s.DH}
	for k := range g.g {
		g.g[k] = buf[k*s.DH:]
	}
	return g
}

// SLSTMForward computes y, the new state, which may share the memory of state,
// and the tape; state may be nil for zeros.
func SLSTMForward[F Float](s SLSTM, x [4][]F, r, bias, state, y, newState []F, tape SLSTMTape[F]) {
	s.Resets = s.Resets.some()
	if state != nil {
		copy(newState, state)
	} else {
		clear(newState)
	}
	s.pieces(func(h, b0, b1 int) {
		pre, lent := scratch[F]((b1 - b0) * 4 * s.DH)
		defer giveBack(lent)
		c := slstmForward[F]{slstmScan: slstmScan[F]{SLSTM: s, h: h, b0: b0, b1: b1, pre: slstmOneStep(s, pre, b0)}, bias: bias, y: y, state: newState, tape: tape}
		if s.T >= slstmPacked {
			c.begin(r)
			defer c.recurrent.release()
		}
		columns := slstmColumns(s, x, h)
		for t := range s.T {
			c.step(t, &columns, r)
		}
	})
}

// slstmForward is a scan forward. state holds the state before a step and after it.
type slstmForward[F Float] struct {
	slstmScan[F]
	bias, y, state []F
	tape           SLSTMTape[F]
}

// begin prepares a scan of many steps.
func (c *slstmForward[F]) begin(r []F) {
	c.recurrent = newSLSTMRecurrent(c.SLSTM, true, r, c.h)
	for b := c.b0; b < c.b1; b++ {
		c.prepare(&c.recurrent.cells[b-c.b0], b)
	}
}

// prepare sets what all steps have in common in the cell of sequence b.
func (c *slstmForward[F]) prepare(cell *vec.SLSTM[F], b int) {
	_, sc, sn, sm := split4(c.state)
	cell.P = c.pre.of(c.DH, b, 0)
	for k := range cell.B {
		cell.B[k] = slstmHead(c.SLSTM, c.bias, k, c.h)
	}
	cell.C, cell.N, cell.M = slstmHead(c.SLSTM, sc, b, c.h), slstmHead(c.SLSTM, sn, b, c.h), slstmHead(c.SLSTM, sm, b, c.h)
}

// step advances the sequences by one step. x are the input parts of the gates.
func (c *slstmForward[F]) step(t int, x *slstmGates[F], r []F) {
	d, h, n := c.NH*c.DH, c.h, c.DH
	sy, sc, sn, sm := split4(c.state)
	c.reset(t, sy, sc, sn, sm)
	if before := sy[c.b0*d+h*c.DH:]; c.recurrent != nil {
		c.recurrent.multiply(t, c.b1-c.b0, before, d, c.pre.rows(c.b0, t), c.pre.sequence)
	} else {
		serialGemm(false, true, c.b1-c.b0, 4*c.DH, c.DH, 1, before, d, slstmR(c.SLSTM, r, h), c.DH, 0, c.pre.rows(c.b0, t), c.pre.sequence)
	}
	var alone vec.SLSTM[F]
	for b := c.b0; b < c.b1; b++ {
		c.fetchTape(c.tape, b, t+2, tapeFbar, tapeSize)
		cell, v := &alone, slstmTape(c.SLSTM, c.tape, h, b, t)
		if c.recurrent != nil {
			cell = &c.recurrent.cells[b-c.b0]
		} else {
			c.prepare(cell, b)
		}
		cell.X, cell.Y = x.of(n, b, t), slstmHead(c.SLSTM, c.y, b*c.T+t, h)
		cell.Gates, cell.Fbar = tapeGates(v, n), tapeVector(v, tapeFbar, n)
		cell.CNext, cell.NNext = tapeVector(v, tapeC, n), tapeVector(v, tapeN, n)
		cell.Forward()
		c.fetchTape(c.tape, b, t+2, 0, tapeFbar)
		copy(slstmHead(c.SLSTM, sy, b, h), cell.Y)
	}
}

// reset clears what the sequences carry into step t where a document begins there,
// or on the way back what flows out of it.
func (c *slstmScan[F]) reset(t int, carried ...[]F) {
	for b := c.b0; b < c.b1 && c.Resets != nil; b++ {
		if c.Resets.at(c.T, b, t) {
			for _, x := range carried {
				clear(slstmHead(c.SLSTM, x, b, c.h))
			}
		}
	}
}

// split4 returns the four quarters of a.
func split4[F Float](a []F) (x, y, z, w []F) {
	n := len(a) / 4
	return a[:n], a[n : 2*n], a[2*n : 3*n], a[3*n:]
}

// SLSTMGrads receives the gradients of SLSTMForward, in the shapes of the
// corresponding inputs. State may be nil.
type SLSTMGrads[F Float] struct {
	X              [4][]F
	R, Bias, State []F
}

// SLSTMBackward computes the exact gradients of SLSTMForward from the upstream
// gradient dy of the outputs and dNew of the final state; either may be nil,
// and so may the initial state.
//
// The output does not depend on the stabiliser, whose gradient is therefore
// zero along the whole scan; only the gradient of the final state, whose c and
// n are stored relative to m, leaves a remainder that flows back through the
// maximum.
func SLSTMBackward[F Float](s SLSTM, r, state, y, newState []F, tape SLSTMTape[F], dy, dNew []F, grads SLSTMGrads[F]) {
	s.Resets = s.Resets.some()
	slstmScanBack(s, state, newState, dNew, grads.State, func(dState, zero []F) {
		s.pieces(func(h, b0, b1 int) {
			dpre, lent := scratch[F]((b1 - b0) * 4 * s.DH)
			defer giveBack(lent)
			rh := newSLSTMRecurrent(s, false, r, h)
			defer rh.release()
			c := slstmBack[F]{slstmScan: slstmScan[F]{SLSTM: s, h: h, b0: b0, b1: b1, pre: slstmOneStep(s, dpre, b0), recurrent: rh}, state: state, y: y, dy: dy, dState: dState, zero: zero, tape: tape}
			c.begin()
			columns := slstmColumns(s, grads.X, h)
			for t := s.T - 1; t >= 0; t-- {
				c.step(t)
				c.copyTo(&columns, t)
			}
		})
	})
	slstmWeightGrads(s, state, y, grads)
}

// slstmScanBack calls scan with the gradients of the state, in the memory of given unless
// that is nil, which scan takes back to the first step, and with zeros for a head.
func slstmScanBack[F Float](s SLSTM, state, newState, dNew, given []F, scan func(dState, zero []F)) {
	dState := given
	if dState == nil {
		var lent *[]F
		dState, lent = scratch[F](4 * s.B * s.NH * s.DH)
		defer giveBack(lent)
	}
	clear(dState)
	slstmSeed(newState, dNew, dState)
	zero, lent := scratch[F](s.DH)
	defer giveBack(lent)
	clear(zero)
	scan(dState, zero)
	slstmFinish(state, dState)
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

// slstmBack is a scan back.
type slstmBack[F Float] struct {
	slstmScan[F]
	state, y, dy, dState, zero []F
	tape                       SLSTMTape[F]
	cells                      [slstmRows]vec.SLSTMGrad[F] // of the sequences, with what all steps have in common
}

// begin prepares the cells.
func (c *slstmBack[F]) begin() {
	gy, gc, gn, rest := split4(c.dState)
	for b := c.b0; b < c.b1; b++ {
		cell := &c.cells[b-c.b0]
		cell.Carried, cell.DC = slstmHead(c.SLSTM, gy, b, c.h), slstmHead(c.SLSTM, gc, b, c.h)
		cell.DN, cell.Rest = slstmHead(c.SLSTM, gn, b, c.h), slstmHead(c.SLSTM, rest, b, c.h)
		cell.DY = c.zero
	}
}

// step takes the sequences one step back, and leaves the gradients of the gates in pre.
func (c *slstmBack[F]) step(t int) {
	d, h, n := c.NH*c.DH, c.h, c.DH
	gy, gc, gn, rest := split4(c.dState)
	for b := c.b0; b < c.b1; b++ {
		cell, v, row := &c.cells[b-c.b0], slstmTape(c.SLSTM, c.tape, h, b, t), b*c.T+t
		cell.Gates, cell.Fbar, cell.NNext = tapeGates(v, n), tapeVector(v, tapeFbar, n), tapeVector(v, tapeN, n)
		cell.Y, cell.DPre = slstmHead(c.SLSTM, c.y, row, h), c.pre.of(n, b, t)
		if c.dy != nil {
			cell.DY = slstmHead(c.SLSTM, c.dy, row, h)
		}
		cell.CPrev, cell.NPrev = c.before(b, t)
		cell.Step()
		c.fetchTape(c.tape, b, t-2, 0, tapeFbar)
	}
	c.recurrent.multiply(t, c.b1-c.b0, c.pre.rows(c.b0, t), c.pre.sequence, gy[c.b0*d+h*c.DH:], d)
	for b := c.b0; b < c.b1; b++ {
		c.fetchTape(c.tape, b, t-2, tapeFbar, tapeSize)
	}
	c.clip(gy)
	c.reset(t, gy, gc, gn, rest)
}

// copyTo copies the gradients of the gates of step t.
func (c *slstmBack[F]) copyTo(dx *slstmGates[F], t int) {
	for b := c.b0; b < c.b1; b++ {
		from, to := c.pre.of(c.DH, b, t), dx.of(c.DH, b, t)
		for k := range to {
			copy(to[k], from[k])
		}
	}
}

// before returns c and n of sequence b before step t.
func (c *slstmBack[F]) before(b, t int) (cPrev, nPrev []F) {
	if c.Resets.at(c.T, b, t) {
		return c.zero, c.zero
	}
	if t > 0 {
		v := slstmTape(c.SLSTM, c.tape, c.h, b, t-1)
		return tapeVector(v, tapeC, c.DH), tapeVector(v, tapeN, c.DH)
	}
	if c.state == nil {
		return c.zero, c.zero
	}
	_, sc, sn, _ := split4(c.state)
	return slstmHead(c.SLSTM, sc, b, c.h), slstmHead(c.SLSTM, sn, b, c.h)
}

// clip bounds the gradient of the outputs of the step before.
func (c *slstmBack[F]) clip(gy []F) {
	if math.IsInf(c.Clip, 1) {
		return
	}
	bound := F(c.Clip)
	for b := c.b0; b < c.b1; b++ {
		row := slstmHead(c.SLSTM, gy, b, c.h)
		for j, v := range row {
			row[j] = min(max(v, -bound), bound)
		}
	}
}

// slstmWeightGrads computes dR and db from the gate gradients of all steps. That of R
// is computed in parts, of some sequences each, which are added in their order.
func slstmWeightGrads[F Float](s SLSTM, state, y []F, grads SLSTMGrads[F]) {
	d, gates := s.NH*s.DH, s.NH*4
	blocks := (s.B + slstmSequences - 1) / slstmSequences
	parts, lent := scratch[F](blocks * len(grads.R))
	defer giveBack(lent)
	Parallel(gates*blocks, func(i int) {
		part := parts[i*s.DH*s.DH:][:s.DH*s.DH]
		clear(part)
		for b := i / gates * slstmSequences; b < min(s.B, (i/gates+1)*slstmSequences); b++ {
			slstmSequenceGrads(s, i%gates, b, state, y, grads, part)
		}
	})
	clear(grads.R)
	addParts(grads.R, parts)
	for k := range 4 {
		ColumnSums(s.B*s.T, d, grads.X[k], grads.Bias[k*d:(k+1)*d])
	}
}

// slstmSequences is the number of sequences of one part of the gradient of R.
const slstmSequences = 4

// slstmSequenceGrads adds the gradient of R of one gate of one head, at is head·4 +
// gate, for one sequence.
func slstmSequenceGrads[F Float](s SLSTM, at, b int, state, y []F, grads SLSTMGrads[F], dr []F) {
	d, h, x := s.NH*s.DH, at/4, grads.X[at%4]
	for part := range s.Resets.spans(s.T, b) {
		from, n := (b*s.T+part.from)*d+h*s.DH, part.to-part.from
		if part.from == 0 && !part.fresh && state != nil {
			serialGemm(true, false, s.DH, s.DH, 1, 1, x[from:], d, state[b*d+h*s.DH:], d, 1, dr, s.DH)
		}
		if n > 1 {
			serialGemm(true, false, s.DH, s.DH, n-1, 1, x[from+d:], d, y[from:], d, 1, dr, s.DH)
		}
	}
}
