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
	gates       [3]*blas.Packed[F] // the weights of the gates, by input
	release     []func()
}

func (s MLSTMEntry) headwise() Headwise {
	return Headwise{N: s.B * s.T, Heads: s.D / 4, In: 4, Out: 4, Stride: 4}
}

// begin lays out the parameters; the gates' weights transposed on the way forward.
func (e *mlstmEntry[F]) begin(x, window []F, p MLSTMEntryParams[F], back bool) {
	conv, lent := newConvWork(e.Conv, x, p.W, p.Bias, window)
	e.conv = conv
	e.release = append(e.release, func() { giveBack(lent) })
	h, gates, width := e.headwise(), 2*e.NH, 3*e.D
	buf := e.take(24*e.D + gates*width)
	for k, w := range p.Maps {
		e.maps[k], e.turns[k] = quadTaps(buf[8*k*e.D:][:4*e.D]), quadTaps(buf[(8*k+4)*e.D:][:4*e.D])
		layOutQuads(h, w, e.maps[k], false)
		layOutQuads(h, w, e.turns[k], true)
	}
	stacked := buf[24*e.D:]
	stackGates(p.Gates.W, stacked)
	for k := range e.gates {
		var release func()
		if w := stacked[k*e.D:]; back {
			e.gates[k], release = packed(false, gates, e.D, w, width)
		} else {
			e.gates[k], release = packed(true, e.D, gates, w, width)
		}
		e.release = append(e.release, release)
	}
}

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
	e.begin(x, window, p, false)
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
		cRow := e.row(b, t)(c)
		convSum(in[:], e.conv.taps, e.conv.bias, cRow, true)
		for k, from := range [3][]F{cRow, cRow, in[3]} {
			vec.Quads(from, e.maps[k], qkv[k][(t-t0)*e.D:][:e.D], false)
		}
	}
}

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
// window is nil, of the window. c, q, k and v are computed again.
func MLSTMEntryBackward[F Float](s MLSTMEntry, x []F, p MLSTMEntryParams[F], window []F, up MLSTMEntryUpstream[F], dx []F, grads MLSTMEntryParams[F], dWindow []F) {
	s.Resets = s.Resets.some()
	e := mlstmEntry[F]{MLSTMEntry: s}
	e.begin(x, window, p, true)
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
func (e *mlstmEntry[F]) partSize() int { return e.D*(5+12+6*e.NH) + 2*e.NH }

// entryParts are the parts of such a share: taps and bias of the convolution, the
// maps, the stacked weights [2·NH,3·D] of the gates, and the gates' biases.
type entryParts[F Float] struct {
	taps         vec.Taps[F]
	bias         []F
	maps         [3]vec.Taps[F]
	gates, gateB []F
}

func (e *mlstmEntry[F]) partsOf(share []F) (p entryParts[F]) {
	p.taps, share = quadTaps(share[:4*e.D]), share[4*e.D:]
	p.bias, share = share[:e.D], share[e.D:]
	for k := range p.maps {
		p.maps[k], share = quadTaps(share[:4*e.D]), share[4*e.D:]
	}
	n := 6 * e.NH * e.D
	p.gates, p.gateB = share[:n], share[n:]
	return p
}

// unpack writes the sum of all shares to the gradients of the parameters.
func (e *mlstmEntry[F]) unpack(sum []F, grads MLSTMEntryParams[F]) {
	p, h := e.partsOf(sum), e.headwise()
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
	for g := range grads.Gates.W {
		copy(grads.Gates.W[g], p.gates[g*e.NH*3*e.D:])
		copy(grads.Gates.B[g], p.gateB[g*e.NH:])
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
	dpre      []F    // of the convolution's sums from t0 on
	both      []F    // the gradients of the gates, side by side
	c, dc     []F    // entryRows rows each, as are the following
	qkv, dqkv [3][]F // dqkv with what comes through the gates
}

// begin clears the share of the piece and takes its scratch space.
func (w *entryBack[F]) begin(share []F) (lent *[]F) {
	clear(share)
	w.parts = w.partsOf(share)
	block := entryRows * w.D
	buf, lent := scratch[F]((convBlock+w.K-1)*w.D + entryRows*2*w.NH + 8*block)
	take := func(n int) (part []F) {
		part, buf = buf[:n], buf[n:]
		return part
	}
	w.dpre, w.c, w.dc = take((convBlock+w.K-1)*w.D), take(block), take(block)
	for k := range w.qkv {
		w.qkv[k], w.dqkv[k] = take(block), take(block)
	}
	w.both = take(entryRows * 2 * w.NH)
	return lent
}

func (w *entryBack[F]) run(dWindow []F) {
	end := min(w.T, w.t1+w.K-1)
	for t := w.t0; t < end; t += entryRows {
		n := min(entryRows, end-t)
		w.throughGates(t, n)
		for i := range n {
			w.rowBack(t+i, i)
		}
		w.gateWeights(min(n, w.t1-t))
	}
	w.inputs(end, dWindow)
}

// throughGates computes the gradients of q, k and v for n steps.
func (w *entryBack[F]) throughGates(t, n int) {
	r, width := w.b*w.T+t, 2*w.NH
	for i := range n {
		for g, dy := range w.up.Gates {
			copy(w.both[i*width+g*w.NH:][:w.NH], dy[(r+i)*w.NH:])
		}
	}
	for k, dy := range w.up.QKV {
		copy(w.dqkv[k][:n*w.D], dy[r*w.D:])
		w.gates[k].Gemm(gblas.NoTrans, n, 1, w.both, width, 1, w.dqkv[k], w.D)
	}
}

// rowBack goes back through the maps and the activation at step t, row i of the
// blocks, and adds to the gradients of their parameters.
func (w *entryBack[F]) rowBack(t, i int) {
	var in [4][]F
	w.conv.rows(w.b, t, in[:])
	cut := func(x []F) []F { return x[i*w.D : (i+1)*w.D] }
	c, dc, dpre := cut(w.c), cut(w.dc), w.dpre[(t-w.t0)*w.D:][:w.D]
	copy(dc, w.row(w.b, t)(w.up.C))
	for k := range 2 {
		vec.Quads(cut(w.dqkv[k]), w.turns[k], dc, true)
	}
	w.conv.gradPre(in[:], dc, dpre)
	if t >= w.t1 {
		return
	}
	convSum(in[:], w.conv.taps, w.conv.bias, c, true)
	for k, from := range [3][]F{c, c, in[3]} {
		vec.Quads(from, w.maps[k], cut(w.qkv[k]), false)
		vec.QuadsWeights(from, cut(w.dqkv[k]), w.parts.maps[k])
	}
	vec.Conv4Weights(vec.Taps[F](in), dpre, w.parts.taps, w.parts.bias)
	vec.Quads(cut(w.dqkv[2]), w.turns[2], w.row(w.b, t)(w.dx), false)
}

// gateWeights adds to the gradients of the gates' parameters, for n rows of the
// blocks.
func (w *entryBack[F]) gateWeights(n int) {
	if n <= 0 {
		return
	}
	width := 2 * w.NH
	for k, x := range w.qkv {
		serialGemm(true, false, width, w.D, n, 1, w.both, width, x, w.D, 1, w.parts.gates[k*w.D:], 3*w.D)
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
