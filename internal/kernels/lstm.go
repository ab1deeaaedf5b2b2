package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// LSTM describes a scan of the classic LSTM cell over T steps:
//
//	g~ = x_g + R_g·h + b_g                       g in i, f, g, o
//	c' = σ(f~)·c + σ(i~)·tanh(g~)
//	h' = σ(o~)·tanh(c')
//
// The input x is [B·T,4·H], gate by gate, the output h [B·T,H]. R is [4·H,H] and
// b [4·H], both gate by gate. A state is [2,B,H], the slices h and c; all zero at
// the start.
type LSTM struct {
	B, T, H int
	// The state is zero before every step at which a document begins.
	Resets Resets
}

// LSTMTape holds the values of every step that the backward pass needs: the
// gates after their non-linearities, [B·T,4·H], and c, [B·T,H].
type LSTMTape[F Float] struct{ Gates, C []F }

// LSTMTapeOf returns a tape in the memory of buf, 5·B·T·H elements.
func LSTMTapeOf[F Float](s LSTM, buf []F) LSTMTape[F] {
	n := 4 * s.B * s.T * s.H
	return LSTMTape[F]{Gates: buf[:n], C: buf[n:]}
}

// lstmRows is the number of sequences that one piece of work scans together.
const lstmRows = 8

// lstmUnits is the least number of units that is worth a core of its own.
const lstmUnits = 32

// lstmPacked is the number of steps from which on it pays to lay the recurrent
// weights out for the products.
const lstmPacked = 8

// lstmPiece is a part of every step: some sequences and some units.
type lstmPiece struct{ b0, b1, u0, u1 int }

func (p lstmPiece) rows() int  { return p.b1 - p.b0 }
func (p lstmPiece) units() int { return p.u1 - p.u0 }

// cut returns n pieces of nearly equal length of 0 … total, multiples of unit.
func cut(total, n, unit int) (bounds []int) {
	blocks := (total + unit - 1) / unit
	n = min(n, blocks)
	for k := range n + 1 {
		bounds = append(bounds, min(total, k*blocks/n*unit))
	}
	return bounds
}

// lstmCached is the number of weights of which every core may read all in every
// step: that many are in its own cache.
const lstmCached = 1 << 19

// pieces returns how the scan is divided: by sequences, which then run on their
// own, or by units, which must wait for one another after every step, if that
// employs more cores or there are more weights than one core holds. The results are
// the same.
func (s LSTM) pieces() (all []lstmPiece, byUnits bool) {
	blocks, parts := (s.B+lstmRows-1)/lstmRows, min(cores.Procs(), s.H/lstmUnits)
	if (parts > blocks || 4*s.H*s.H > lstmCached) && s.B*4*s.H*(s.H+gateWork) >= wakeWork {
		bounds := cut(s.H, parts, 16)
		for k := range len(bounds) - 1 {
			all = append(all, lstmPiece{0, s.B, bounds[k], bounds[k+1]})
		}
		return all, true
	}
	bounds := cut(s.B, blocks, 1)
	for k := range len(bounds) - 1 {
		all = append(all, lstmPiece{bounds[k], bounds[k+1], 0, s.H})
	}
	return all, false
}

// lstmScan is a scan with its working memory.
type lstmScan[F Float] struct {
	LSTM
	list    []lstmPiece
	byUnits bool
	weights []*blas.Packed[F] // of every piece, or one for all
	release []func()
}

// layOut divides the scan and lays the recurrent weights out.
func (c *lstmScan[F]) layOut(pack func(p lstmPiece) (*blas.Packed[F], func())) {
	c.list, c.byUnits = c.pieces()
	n := 1
	if c.byUnits {
		n = len(c.list)
	}
	c.weights, c.release = make([]*blas.Packed[F], n), make([]func(), n)
	Parallel(n, func(i int) { c.weights[i], c.release[i] = pack(c.list[i]) })
}

// run calls step for every piece and all steps, of each piece in order.
func (c *lstmScan[F]) run(step func(piece, t int)) {
	if c.byUnits {
		for t := range c.T {
			Parallel(len(c.list), func(i int) { step(i, t) })
		}
		return
	}
	parallelWork(len(c.list), c.T*c.list[0].rows()*4*c.H*(c.H+gateWork), func(i int) {
		for t := range c.T {
			step(i, t)
		}
	})
}

// close gives the memory of the weights back.
func (c *lstmScan[F]) close() {
	for _, f := range c.release {
		f()
	}
}

// weight returns the weights of a piece.
func (c *lstmScan[F]) weight(i int) *blas.Packed[F] {
	if c.byUnits {
		return c.weights[i]
	}
	return c.weights[0]
}

// LSTMForward computes h, the new state, which may share the memory of state,
// and the tape, whose gates may be in the memory of x; state may be nil for zeros.
func LSTMForward[F Float](s LSTM, x, r, bias, state, h, newState []F, tape LSTMTape[F]) {
	s.Resets = s.Resets.some()
	n := s.B * s.H
	if state != nil {
		copy(newState, state)
	} else {
		clear(newState)
	}
	// Two outputs, the last and the next: with pieces by units all read the last.
	buf, lent := scratch[F](n + 4*n)
	defer giveBack(lent)
	c := lstmForward[F]{
		lstmScan: lstmScan[F]{LSTM: s}, x: x, bias: bias, h: h, tape: tape,
		last: [2][]F{newState[:n], buf[:n]}, c: newState[n:], pre: buf[n:],
	}
	c.reset(0, lstmPiece{0, s.B, 0, s.H})
	if s.T < lstmPacked {
		c.short(r)
	} else {
		c.layOut(func(p lstmPiece) (*blas.Packed[F], func()) { return packLSTM(s, r, p) })
		defer c.close()
		c.run(c.step)
	}
	copy(newState[:n], c.last[s.T%2])
}

// packLSTM lays out the recurrent weights of a piece's units, gate by gate, to
// be multiplied with h.
func packLSTM[F Float](s LSTM, r []F, p lstmPiece) (*blas.Packed[F], func()) {
	if p.units() == s.H {
		return packed(true, s.H, 4*s.H, r, s.H)
	}
	rows, lent := scratch[F](4 * p.units() * s.H)
	defer giveBack(lent)
	for k := range 4 {
		copy(rows[k*p.units()*s.H:], r[(k*s.H+p.u0)*s.H:(k*s.H+p.u1)*s.H])
	}
	return packed(true, s.H, 4*p.units(), rows, s.H)
}

// lstmForward is a scan forward.
type lstmForward[F Float] struct {
	lstmScan[F]
	x, bias, h []F
	last       [2][]F // h before an even step and before an odd one
	c          []F
	pre        []F // [B,4·H], for each piece the pre-activations of a step
	tape       LSTMTape[F]
}

// short scans few steps.
func (c *lstmForward[F]) short(r []F) {
	all := lstmPiece{0, c.B, 0, c.H}
	for t := range c.T {
		Gemm(false, true, c.B, 4*c.H, c.H, 1, c.last[t%2], c.H, r, c.H, 0, c.pre, 4*c.H)
		c.gates(all, t, c.pre)
	}
}

// step computes a piece of step t.
func (c *lstmForward[F]) step(i, t int) {
	p := c.list[i]
	pre := c.pre[4*(p.b0*c.H+p.rows()*p.u0):][:4*p.rows()*p.units()]
	c.weight(i).Gemm(gblas.NoTrans, p.rows(), 1, c.last[t%2][p.b0*c.H:], c.H, 0, pre, 4*p.units())
	c.gates(p, t, pre)
}

// gates computes the cells of a piece at step t from the recurrent parts of their
// pre-activations, [sequences, 4·units].
func (c *lstmForward[F]) gates(p lstmPiece, t int, pre []F) {
	n := p.units()
	for b := p.b0; b < p.b1; b++ {
		row := b*c.T + t
		cell := vec.LSTM[F]{
			C: c.c[b*c.H+p.u0:][:n], CNext: c.tape.C[row*c.H+p.u0:][:n], Y: c.h[row*c.H+p.u0:][:n],
		}
		for k := range 4 {
			at := k*c.H + p.u0
			cell.P[k], cell.X[k], cell.B[k] = pre[((b-p.b0)*4+k)*n:][:n], c.x[4*row*c.H+at:][:n], c.bias[at:][:n]
			cell.Gates[k] = c.tape.Gates[4*row*c.H+at:][:n]
		}
		cell.Forward()
		copy(c.last[(t+1)%2][b*c.H+p.u0:][:n], cell.Y)
	}
	c.reset(t+1, p)
}

// reset clears what a piece carries into step t where a document begins there.
func (c *lstmForward[F]) reset(t int, p lstmPiece) {
	if c.Resets == nil || t == c.T {
		return
	}
	for b := p.b0; b < p.b1; b++ {
		if c.Resets.at(c.T, b, t) {
			clear(c.last[t%2][b*c.H+p.u0 : b*c.H+p.u1])
			clear(c.c[b*c.H+p.u0 : b*c.H+p.u1])
		}
	}
}

// LSTMGrads receives the gradients of LSTMForward, in the shapes of the
// corresponding inputs. State may be nil.
type LSTMGrads[F Float] struct{ X, R, Bias, State []F }

// LSTMBackward computes the exact gradients of LSTMForward from the upstream
// gradient dh of the outputs and dNew of the final state; either may be nil, and
// so may the initial state. The gradient of x may be in the memory of the tape's
// gates.
func LSTMBackward[F Float](s LSTM, r, state, h []F, tape LSTMTape[F], dh, dNew []F, grads LSTMGrads[F]) {
	s.Resets = s.Resets.some()
	n := s.B * s.H
	buf, lent := scratch[F](n*(2+2*4) + s.H)
	defer giveBack(lent)
	dState := buf[:2*n]
	if grads.State != nil {
		dState = grads.State
	}
	clear(dState)
	copy(dState, dNew)
	c := lstmBackward[F]{
		lstmScan: lstmScan[F]{LSTM: s}, state: state, dh: dh, gh: dState[:n], gc: dState[n:], tape: tape, dx: grads.X,
		dpre: [2][]F{buf[2*n : 6*n], buf[6*n : 10*n]}, zero: buf[10*n:],
	}
	clear(c.zero)
	c.layOut(func(p lstmPiece) (*blas.Packed[F], func()) { return packed(false, 4*s.H, p.units(), r[p.u0:], s.H) })
	for i := range c.list {
		c.gates(c.list[i], s.T-1)
	}
	c.run(func(i, t int) { c.step(i, s.T-1-t) })
	c.close()
	recurrentGrad(s, state, h, grads.X, grads.R)
	ColumnSums(s.B*s.T, 4*s.H, grads.X, grads.Bias)
}

// lstmBackward is a scan back.
type lstmBackward[F Float] struct {
	lstmScan[F]
	state, dh, zero []F
	gh, gc          []F    // the gradients of h and c, carried back
	dpre            [2][]F // [B,4·H], of the pre-activations of an even step and of an odd one
	dx              []F
	tape            LSTMTape[F]
}

// step carries the gradients of a piece from step t to the step before, of which
// it computes those of the pre-activations. They must be there for all units at
// step t.
func (c *lstmBackward[F]) step(i, t int) {
	p := c.list[i]
	c.weight(i).Gemm(gblas.NoTrans, p.rows(), 1, c.dpre[t%2][4*p.b0*c.H:], 4*c.H, 0, c.gh[p.b0*c.H+p.u0:], c.H)
	for b := p.b0; b < p.b1 && c.Resets != nil; b++ {
		if c.Resets.at(c.T, b, t) {
			clear(c.gh[b*c.H+p.u0 : b*c.H+p.u1])
			clear(c.gc[b*c.H+p.u0 : b*c.H+p.u1])
		}
	}
	if t > 0 {
		c.gates(p, t-1)
	}
}

// gates computes the gradients of a piece's pre-activations at step t.
func (c *lstmBackward[F]) gates(p lstmPiece, t int) {
	n := p.units()
	for b := p.b0; b < p.b1; b++ {
		row := b*c.T + t
		cell := vec.LSTMGrad[F]{
			CNext: c.tape.C[row*c.H+p.u0:][:n], CPrev: c.before(p, b, t), DY: c.zero[:n],
			Carried: c.gh[b*c.H+p.u0:][:n], DC: c.gc[b*c.H+p.u0:][:n],
		}
		if c.dh != nil {
			cell.DY = c.dh[row*c.H+p.u0:][:n]
		}
		for k := range 4 {
			at := k*c.H + p.u0
			cell.Gates[k], cell.DPre[k] = c.tape.Gates[4*row*c.H+at:][:n], c.dx[4*row*c.H+at:][:n]
		}
		cell.Step()
		for k, d := range cell.DPre {
			copy(c.dpre[t%2][4*b*c.H+k*c.H+p.u0:], d)
		}
	}
}

// before returns c of a piece's units in sequence b before step t.
func (c *lstmBackward[F]) before(p lstmPiece, b, t int) []F {
	switch {
	case c.Resets.at(c.T, b, t):
		return c.zero[:p.units()]
	case t > 0:
		return c.tape.C[(b*c.T+t-1)*c.H+p.u0:][:p.units()]
	case c.state != nil:
		return c.state[(c.B+b)*c.H+p.u0:][:p.units()]
	}
	return c.zero[:p.units()]
}

// recurrentGrad computes dR from the gradients dx of the pre-activations of all
// steps.
func recurrentGrad[F Float](s LSTM, state, h, dx, dr []F) {
	before, lent := scratch[F](s.B * s.T * s.H)
	defer giveBack(lent)
	Parallel(s.B, func(b int) { lstmBefore(s, b, state, h, before) })
	Gemm(true, false, 4*s.H, s.H, s.B*s.T, 1, dx, 4*s.H, before, s.H, 0, dr, s.H)
}

// lstmBefore sets the rows of sequence b to what h is before each step.
func lstmBefore[F Float](s LSTM, b int, state, h, before []F) {
	first, rows := b*s.T*s.H, (b+1)*s.T*s.H
	copy(before[first+s.H:rows], h[first:])
	clear(before[first : first+s.H])
	if state != nil {
		copy(before[first:first+s.H], state[b*s.H:])
	}
	for t := range s.T {
		if s.Resets.at(s.T, b, t) {
			clear(before[first+t*s.H:][:s.H])
		}
	}
}
