package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// MLSTMEntry describes what an mLSTM layer computes before its cell: c =
// SiLU(conv(x)) and, from [q k v], the gates of NH heads, with q and k from c and v
// from x by maps of blocks of four columns. The convolution has four steps. All arrays
// of rows are [B·T,D]; they are read and written once, a few rows at a time.
type MLSTMEntry struct {
	Conv
	NH int
}

// MLSTMEntryParams are the parameters, or their gradients: the weight and the bias of
// the convolution, the weights [D/4,4,4] of the maps to q, k and v, and the gates'.
type MLSTMEntryParams[F Float] struct {
	W, Bias []F
	Maps    [3][]F
	Gates   MLSTMGatesParams[F]
}

// entryRows is the number of rows that pass through all operations at once: as many
// as a second-level cache holds.
const entryRows = 16

// mlstmEntry is what all pieces of work share.
type mlstmEntry[F Float] struct {
	MLSTMEntry
	conv        convWork[F]
	maps, turns [3]vec.Taps[F]     // the maps as vec.Quads takes them, and their transposes
	stacked     []F                // the weights [2·NH,3·D] of the gates
	gates       [3]*blas.Packed[F] // the same by input, on the way forward
	through     [2]*blas.Packed[F] // the weights from c and from x to the gates, on the way back
	release     []func()
}

func (s MLSTMEntry) headwise() Headwise {
	return Headwise{N: s.B * s.T, Heads: s.D / 4, In: 4, Out: 4, Stride: 4}
}

// begin lays out the parameters.
func (e *mlstmEntry[F]) begin(x, window []F, p MLSTMEntryParams[F]) {
	conv, lent := newConvWork(e.Conv, x, p.W, p.Bias, window)
	e.conv = conv
	e.release = append(e.release, func() { giveBack(lent) })
	h := e.headwise()
	buf := e.take((24 + 6*e.NH) * e.D)
	for k, w := range p.Maps {
		e.maps[k], e.turns[k] = quadTaps(buf[8*k*e.D:][:4*e.D]), quadTaps(buf[(8*k+4)*e.D:][:4*e.D])
		layOutQuads(h, w, e.maps[k], false)
		layOutQuads(h, w, e.turns[k], true)
	}
	e.stacked = buf[24*e.D:]
	stackGates(p.Gates.W, e.stacked)
}

// beginForward lays out the weights of the gates.
func (e *mlstmEntry[F]) beginForward() {
	for k := range e.gates {
		e.gates[k] = e.pack(true, e.D, 2*e.NH, e.stacked[k*e.D:], 3*e.D)
	}
}

// beginBack lays out the weights from c and x to the gates. What is between them is
// linear, so that q, k and v are not needed on the way back: with the maps Mq, Mk and
// Mv and the weights [Gq Gk Gv], the gates are
//
//	(Gq·Mq + Gk·Mk)·c + (Gv·Mv)·x + bias
//
// and what comes through the gates to the gradients of all weights follows from the
// sums Σ δg·cᵀ and Σ δg·xᵀ over the steps.
func (e *mlstmEntry[F]) beginBack() {
	gates := 2 * e.NH
	from := e.take(2 * gates * e.D)
	for g := range gates {
		c, x := from[g*e.D:][:e.D], from[(gates+g)*e.D:][:e.D]
		vec.Quads(e.gateWeight(g, 0), e.turns[0], c, false)
		vec.Quads(e.gateWeight(g, 1), e.turns[1], c, true)
		vec.Quads(e.gateWeight(g, 2), e.turns[2], x, false)
	}
	for k := range e.through {
		e.through[k] = e.pack(false, gates, e.D, from[k*gates*e.D:], e.D)
	}
}

// pack returns a packed matrix until end.
func (e *mlstmEntry[F]) pack(trans bool, k, n int, w []F, ld int) *blas.Packed[F] {
	p, release := packed(trans, k, n, w, ld)
	e.release = append(e.release, release)
	return p
}

// gateWeight returns the weights from q, k or v to a gate.
func (e *mlstmEntry[F]) gateWeight(gate, k int) []F { return e.stacked[(3*gate+k)*e.D:][:e.D] }

// take returns scratch space until end.
func (e *mlstmEntry[F]) take(n int) []F {
	buf, lent := scratch[F](n)
	e.release = append(e.release, func() { giveBack(lent) })
	return buf
}

func (e *mlstmEntry[F]) end() {
	for _, f := range e.release {
		f()
	}
}

// MLSTMEntryForward computes c, the new window, which may share the memory of window,
// and the gates; window may be nil.
func MLSTMEntryForward[F Float](s MLSTMEntry, x []F, p MLSTMEntryParams[F], window, c, newWindow []F, gates [2][]F) {
	s.Resets = s.Resets.some()
	e := mlstmEntry[F]{MLSTMEntry: s}
	e.begin(x, window, p)
	e.beginForward()
	defer e.end()
	s.pieces(func(_, b, t0, t1 int) {
		block := entryRows * s.D
		buf, lent := scratch[F](3*block + entryRows*2*s.NH)
		defer giveBack(lent)
		qkv, both := [3][]F{buf[:block], buf[block : 2*block], buf[2*block : 3*block]}, buf[3*block:]
		for t := t0; t < t1; t += entryRows {
			e.rowsForward(b, t, min(t1, t+entryRows), c, qkv)
			e.gatesForward(b*s.T+t, min(t1-t, entryRows), p.Gates.B, qkv, both, gates)
		}
	})
	convMove(s.Conv, x, window, newWindow)
}

// rowsForward computes c of steps t0 to t1, and q, k and v at the beginning of qkv.
func (e *mlstmEntry[F]) rowsForward(b, t0, t1 int, c []F, qkv [3][]F) {
	var in [4][]F
	for t := t0; t < t1; t++ {
		e.conv.rows(b, t, in[:])
		convSum(in[:], e.conv.taps, e.conv.bias, e.row(b, t)(c), true)
		i := (t - t0) / 2 * 2 // the first of two rows
		if n := t - t0 - i + 1; n == 2 || t+1 == t1 {
			for k, from := range [3][]F{c, c, e.conv.x} {
				e.quads(n, e.lines(from), b*e.T+t0+i, e.maps[k], e.lines(qkv[k]), i, false)
			}
		}
	}
}

// lines is a matrix of rows.
func (e *mlstmEntry[F]) lines(x []F) matrix[F] { return matrix[F]{x, e.D} }

// row returns what cuts the row of step t of sequence b out of an array.
func (e *mlstmEntry[F]) row(b, t int) func(x []F) []F {
	at := (b*e.T + t) * e.D
	return func(x []F) []F { return x[at : at+e.D] }
}

// gatesForward computes the gates of n rows from row r on, whose q, k and v are at the
// beginning of qkv.
func (e *mlstmEntry[F]) gatesForward(r, n int, bias [2][]F, qkv [3][]F, both []F, gates [2][]F) {
	width := 2 * e.NH
	for k, x := range qkv {
		beta := F(1)
		if k == 0 {
			beta = 0
		}
		e.gates[k].Gemm(gblas.NoTrans, n, 1, x, e.D, beta, both, width)
	}
	for i := range n {
		for g, y := range gates {
			row := y[(r+i)*e.NH:][:e.NH]
			for h, v := range both[i*width+g*e.NH:][:e.NH] {
				row[h] = v + bias[g][h]
			}
		}
	}
}

// MLSTMEntryUpstream are the gradients of the results: of q, k and v, of the gates,
// and the one of c that comes from other readers of c.
type MLSTMEntryUpstream[F Float] struct {
	QKV   [3][]F
	Gates [2][]F
	C     []F
}

// MLSTMEntryBackward computes the gradients of x, of the parameters and, unless
// window is nil, of the window. c is computed again.
func MLSTMEntryBackward[F Float](s MLSTMEntry, x []F, p MLSTMEntryParams[F], window []F, up MLSTMEntryUpstream[F], dx []F, grads MLSTMEntryParams[F], dWindow []F) {
	s.Resets = s.Resets.some()
	e := mlstmEntry[F]{MLSTMEntry: s}
	e.begin(x, window, p)
	e.beginBack()
	defer e.end()
	size := e.partSize()
	parts := e.take(s.B * s.perSequence() * size)
	s.pieces(func(piece, b, t0, t1 int) {
		w := entryBack[F]{mlstmEntry: &e, up: up, dx: dx, b: b, t0: t0, t1: t1}
		defer giveBack(w.begin(parts[piece*size : (piece+1)*size]))
		w.run(dWindow)
	})
	addParts(parts[:size], parts[size:])
	e.unpack(parts[:size], grads)
}

// partSize is the length of one piece's share of all parameters' gradients.
func (e *mlstmEntry[F]) partSize() int { return e.D*(5+12+4*e.NH) + 2*e.NH }

// entryParts are the parts of such a share: taps and bias of the convolution, the
// maps without what comes through the gates, the sums [2·NH,D] of δg·cᵀ and δg·xᵀ,
// and the gates' biases.
type entryParts[F Float] struct {
	taps  vec.Taps[F]
	bias  []F
	maps  [3]vec.Taps[F]
	sums  [2][]F
	gateB []F
}

func (e *mlstmEntry[F]) partsOf(share []F) (p entryParts[F]) {
	p.taps, share = quadTaps(share[:4*e.D]), share[4*e.D:]
	p.bias, share = share[:e.D], share[e.D:]
	for k := range p.maps {
		p.maps[k], share = quadTaps(share[:4*e.D]), share[4*e.D:]
	}
	for k, n := 0, 2*e.NH*e.D; k < 2; k++ {
		p.sums[k], share = share[:n], share[n:]
	}
	p.gateB = share
	return p
}

// unpack writes the sum of all shares to the gradients of the parameters.
func (e *mlstmEntry[F]) unpack(sum []F, grads MLSTMEntryParams[F]) {
	p, h := e.partsOf(sum), e.headwise()
	e.throughMaps(p, grads.Gates.W)
	for d := range e.D {
		for j, tap := range p.taps {
			grads.W[d*e.K+j] = tap[d]
		}
	}
	copy(grads.Bias, p.bias)
	for k, taps := range p.maps {
		for s, tap := range taps {
			for c, g := range tap {
				grads.Maps[k][h.quadAt(c, s)] = g
			}
		}
	}
	for g := range grads.Gates.B {
		copy(grads.Gates.B[g], p.gateB[g*e.NH:])
	}
}

// throughMaps computes the gradients of the gates' weights, and adds to those of the
// maps what comes through the gates.
func (e *mlstmEntry[F]) throughMaps(p entryParts[F], dw [2][]F) {
	for g := range 2 * e.NH {
		row := dw[g/e.NH][g%e.NH*3*e.D:]
		for k, sums := range [3][]F{p.sums[0], p.sums[0], p.sums[1]} {
			from := sums[g*e.D:][:e.D]
			vec.Quads(from, e.maps[k], row[k*e.D:][:e.D], false)
			vec.QuadsWeights(from, e.gateWeight(g, k), p.maps[k])
		}
	}
}

// entryBack is a piece of the backward pass: steps t0 to t1 of a sequence. The inputs
// at these steps also went into the steps that follow, whose gradients it computes
// once more.
type entryBack[F Float] struct {
	*mlstmEntry[F]
	up        MLSTMEntryUpstream[F]
	dx        []F
	b, t0, t1 int
	parts     entryParts[F]
	dpre      []F // of the convolution's sums from t0 on
	both      []F // the gradients of the gates, side by side
	c, dc     []F // entryRows rows each
}

// begin clears the share of the piece and takes its scratch space.
func (w *entryBack[F]) begin(share []F) (lent *[]F) {
	clear(share)
	w.parts = w.partsOf(share)
	block := entryRows * w.D
	buf, lent := scratch[F]((convBlock+w.K-1)*w.D + entryRows*2*w.NH + 2*block)
	take := func(n int) (part []F) {
		part, buf = buf[:n], buf[n:]
		return part
	}
	w.dpre, w.c, w.dc = take((convBlock+w.K-1)*w.D), take(block), take(block)
	w.both = take(entryRows * 2 * w.NH)
	return lent
}

func (w *entryBack[F]) run(dWindow []F) {
	end := min(w.T, w.t1+w.K-1)
	for t := w.t0; t < end; t += entryRows {
		n := min(entryRows, end-t)
		w.throughGates(t, n)
		for i := 0; i < n; i += 2 {
			w.rowsBack(t+i, i, min(2, n-i))
		}
		w.ownGates(t, min(n, w.t1-t))
	}
	w.inputs(end, dWindow)
}

// throughGates computes the gradients of c that come through the gates, for n steps.
func (w *entryBack[F]) throughGates(t, n int) {
	r, width := w.b*w.T+t, 2*w.NH
	for i := range n {
		for g, dy := range w.up.Gates {
			copy(w.both[i*width+g*w.NH:][:w.NH], dy[(r+i)*w.NH:])
		}
	}
	w.through[0].Gemm(gblas.NoTrans, n, 1, w.both, width, 0, w.dc, w.D)
}

// rowsBack goes back through the maps and the activation at one step or two from t on,
// from row i of the blocks, and adds to the gradients of their parameters.
func (w *entryBack[F]) rowsBack(t, i, n int) {
	r, c, dc := w.b*w.T+t, w.lines(w.c), w.lines(w.dc)
	for j := range n {
		vec.Add(dc.row(i+j, w.D), dc.row(i+j, w.D), w.lines(w.up.C).row(r+j, w.D))
	}
	for k := range 2 {
		w.quads(n, w.lines(w.up.QKV[k]), r, w.turns[k], dc, i, true)
	}
	own := min(n, w.t1-t)
	for j := range n {
		var in vec.Taps[F]
		w.conv.rows(w.b, t+j, in[:])
		dpre := w.lines(w.dpre).row(t+j-w.t0, w.D)
		var keep []F
		if j < own {
			keep = c.row(i+j, w.D)
		}
		vec.Conv4SiLUGrad(in, vec.Taps[F](w.conv.taps), w.conv.bias, dc.row(i+j, w.D), dpre, keep)
		if j < own {
			vec.Conv4Weights(in, dpre, w.parts.taps, w.parts.bias)
		}
	}
	if own <= 0 {
		return
	}
	w.quadsWeights(own, c, i, w.lines(w.up.QKV[0]), r, w.parts.maps[0])
	w.quadsWeights(own, c, i, w.lines(w.up.QKV[1]), r, w.parts.maps[1])
	w.quadsWeights(own, w.lines(w.conv.x), r, w.lines(w.up.QKV[2]), r, w.parts.maps[2])
	w.quads(own, w.lines(w.up.QKV[2]), r, w.turns[2], w.lines(w.dx), r, false)
}

// quads is vec.Quads of one row or two, from row i of x to row j of y.
func (e *mlstmEntry[F]) quads(n int, x matrix[F], i int, maps vec.Taps[F], y matrix[F], j int, add bool) {
	if n == 2 {
		vec.QuadsTwo(x.two(i, e.D), maps, y.two(j, e.D), add)
	} else {
		vec.Quads(x.row(i, e.D), maps, y.row(j, e.D), add)
	}
}

// quadsWeights is vec.QuadsWeights of one row or two, from row i of x and row j of dy.
func (e *mlstmEntry[F]) quadsWeights(n int, x matrix[F], i int, dy matrix[F], j int, dw vec.Taps[F]) {
	if n == 2 {
		vec.QuadsWeightsTwo(x.two(i, e.D), dy.two(j, e.D), dw)
	} else {
		vec.QuadsWeights(x.row(i, e.D), dy.row(j, e.D), dw)
	}
}

// ownGates adds to dx what comes through the gates, and to the gradients of the gates'
// parameters, for the first n rows of the blocks, from step t on.
func (w *entryBack[F]) ownGates(t, n int) {
	if n <= 0 {
		return
	}
	at, width := (w.b*w.T+t)*w.D, 2*w.NH
	w.through[1].Gemm(gblas.NoTrans, n, 1, w.both, width, 1, w.dx[at:], w.D)
	for k, x := range [2][]F{w.c, w.conv.x[at:]} {
		serialGemm(true, false, width, w.D, n, 1, w.both, width, x, w.D, 1, w.parts.sums[k], w.D)
	}
	for i := range n {
		vec.Add(w.parts.gateB, w.parts.gateB, w.both[i*width:(i+1)*width])
	}
}

// inputs adds to dx what comes through the convolution, and computes dWindow. dpre
// holds the gradients of the sums up to step end.
func (w *entryBack[F]) inputs(end int, dWindow []F) {
	var back, in [4][]F
	for j := range back {
		back[j] = w.conv.taps[w.K-1-j]
	}
	first := w.t0
	if first == 0 && dWindow != nil {
		first = -w.K // the first piece has the window's rows too
	}
	for t := first; t < w.t1; t++ {
		for j := range in {
			if at := t + j; at < w.t0 || at >= end || w.hidden(w.b, t, at) {
				in[j] = w.conv.zero
			} else {
				in[j] = w.dpre[(at-w.t0)*w.D:][:w.D]
			}
		}
		row := convRow(w.Conv, w.b, t, w.dx, dWindow)
		from := row
		if t < 0 {
			from = w.conv.zero
		}
		convSum(in[:], back[:], from, row, false)
	}
}
