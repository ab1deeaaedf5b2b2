package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Conv describes a causal depthwise convolution over time, separate for each
// channel:
//
//	out[t] = bias + Σ_j w[j]·x[t−(K−1)+j],  j = 0 … K−1
//
// followed by SiLU if set. x is [B·T,D]; the weight [D,1,K] as the official code
// stores it; the window [B,K,D] holds the last K inputs, newest last, so that a
// sequence can be continued (its oldest row is never read).
type Conv struct {
	B, T, D, K int
	SiLU       bool
	// Steps before the beginning of a document count as zeros for it, also in the
	// new window.
	Resets Resets
}

// convRow returns the row of step t ≥ −K of sequence b; those before the start
// lie in the window, and are nil without one.
func convRow[F Float](s Conv, b, t int, x, window []F) []F {
	switch {
	case t >= 0:
		return x[(b*s.T+t)*s.D:][:s.D]
	case window == nil:
		return nil
	}
	return window[(b*s.K+s.K+t)*s.D:][:s.D]
}

// hidden reports whether the row of step t ≥ −K lies before a document that
// begins after it and up to step last, which has then nothing to do with it.
func (s Conv) hidden(b, t, last int) bool {
	for u := max(0, t+1); s.Resets != nil && u <= min(last, s.T-1); u++ {
		if s.Resets.at(s.T, b, u) {
			return true
		}
	}
	return false
}

// convWork is what all rows of a convolution share.
type convWork[F Float] struct {
	Conv
	x, window, bias []F
	taps            [][]F // the weight as K vectors of D channels, oldest step first
	zero            []F   // the row before the start of a text
}

// newConvWork lays the weight out for convolution, in scratch space to be given
// back.
func newConvWork[F Float](s Conv, x, w, bias, window []F) (convWork[F], *[]F) {
	buf, lent := scratch[F]((s.K + 1) * s.D)
	c := convWork[F]{Conv: s, x: x, window: window, bias: bias, zero: buf[s.K*s.D:]}
	clear(c.zero)
	for j := range s.K {
		tap := buf[j*s.D : (j+1)*s.D]
		for d := range tap {
			tap[d] = w[d*s.K+j]
		}
		c.taps = append(c.taps, tap)
	}
	return c, lent
}

// rows fills in with the K rows that end with step t of sequence b.
func (c *convWork[F]) rows(b, t int, in [][]F) {
	for j := range in {
		from := t - (c.K - 1) + j
		if in[j] = convRow(c.Conv, b, from, c.x, c.window); in[j] == nil || c.hidden(b, from, t) {
			in[j] = c.zero
		}
	}
}

// usualTaps is the kernel size up to which lists of rows need no memory.
const usualTaps = 4

// listOf returns a list of k rows, in space if it is large enough.
func listOf[F Float](space [][]F, k int) [][]F {
	if k <= len(space) {
		return space[:k]
	}
	return make([][]F, k)
}

// convSum computes y = bias + Σ w[j]·x[j], and SiLU of it if asked to.
func convSum[F Float](x, w [][]F, bias, y []F, silu bool) {
	if len(w) == 4 {
		vec.Conv4(vec.Taps[F](x), vec.Taps[F](w), bias, y, silu)
		return
	}
	copy(y, bias)
	for j, tap := range w {
		vec.MulAdd(y, tap, x[j])
	}
	if silu {
		vec.Activate(SiLU, y, y)
	}
}

// gradPre computes the gradient of the sums before the activation, in is their
// inputs.
func (c *convWork[F]) gradPre(in [][]F, dy, dpre []F) {
	switch {
	case !c.SiLU:
		copy(dpre, dy)
	case c.K == 4:
		vec.Conv4SiLUGrad(vec.Taps[F](in), vec.Taps[F](c.taps), c.bias, dy, dpre, nil)
	default:
		convSum(in, c.taps, c.bias, dpre, false)
		vec.ActivateGrad(SiLU, dpre, dy, dpre)
	}
}

// convWeights adds the share of one step to the gradients of taps and bias.
func convWeights[F Float](in [][]F, g []F, dtaps [][]F, dbias []F) {
	if len(dtaps) == 4 {
		vec.Conv4Weights(vec.Taps[F](in), g, vec.Taps[F](dtaps), dbias)
		return
	}
	for j, dtap := range dtaps {
		vec.MulAdd(dtap, g, in[j])
	}
	vec.Add(dbias, dbias, g)
}

// convBlock is the number of time steps that make one piece of work.
const convBlock = 64

// pieces calls f for every block of steps of every sequence.
func (s Conv) pieces(f func(piece, b, t0, t1 int)) {
	perSeq := s.perSequence()
	parallelWork(s.B*perSeq, s.D*min(s.T, convBlock)*(s.K+gateWork), func(i int) {
		t0 := i % perSeq * convBlock
		f(i, i/perSeq, t0, min(s.T, t0+convBlock))
	})
}

func (s Conv) perSequence() int { return (s.T + convBlock - 1) / convBlock }

// ConvForward computes y [B·T,D] and the new window, which may share the memory
// of window: its rows move towards the beginning. window may be nil.
func ConvForward[F Float](s Conv, x, w, bias, window, y, newWindow []F) {
	s.Resets = s.Resets.some()
	if s.T == 1 && s.B < laidOut && s.K == 4 && s.SiLU && window != nil && s.Resets == nil {
		convSingle(s, x, w, bias, window, y)
	} else {
		convAll(s, x, w, bias, window, y)
	}
	convMove(s, x, window, newWindow)
}

func convAll[F Float](s Conv, x, w, bias, window, y []F) {
	c, lent := newConvWork(s, x, w, bias, window)
	defer giveBack(lent)
	s.pieces(func(_, b, t0, t1 int) {
		var space [usualTaps][]F
		in := listOf(space[:], s.K)
		for t := t0; t < t1; t++ {
			c.rows(b, t, in)
			convSum(in, c.taps, bias, y[(b*s.T+t)*s.D:][:s.D], s.SiLU)
		}
	})
}

// laidOut is the number of rows from which on it pays to lay weights out for
// vectors.
const laidOut = 3

// convSingle computes one step of the usual convolution for few sequences.
func convSingle[F Float](s Conv, x, w, bias, window, y []F) {
	for b := range s.B {
		in := vec.Taps[F]{3: x[b*s.D : (b+1)*s.D]}
		for j := range 3 {
			in[j] = convRow(s, b, j-3, x, window)
		}
		vec.Conv4Row(in, w, bias, y[b*s.D:(b+1)*s.D])
	}
}

// convMove writes the window that follows.
func convMove[F Float](s Conv, x, window, newWindow []F) {
	for b := range s.B {
		for k := range s.K {
			dst := newWindow[(b*s.K+k)*s.D:][:s.D]
			from := s.T - s.K + k
			if src := convRow(s, b, from, x, window); src != nil && !s.hidden(b, from, s.T-1) {
				copy(dst, src)
			} else {
				clear(dst)
			}
		}
	}
}

// ConvBackward computes the gradients of ConvForward. window, dy and dNewWindow may
// be nil, and dWindow with the first.
func ConvBackward[F Float](s Conv, x, w, bias, window, dy, dNewWindow, dx, dw, dbias, dWindow []F) {
	s.Resets = s.Resets.some()
	c, lent := newConvWork(s, x, w, bias, window)
	defer giveBack(lent)
	// One vector per piece for the taps and the bias, added up in order.
	size := (s.K + 1) * s.D
	parts, lentParts := scratch[F](s.B * s.perSequence() * size)
	defer giveBack(lentParts)
	s.pieces(func(piece, b, t0, t1 int) {
		c.pieceBack(b, t0, t1, dy, parts[piece*size:(piece+1)*size], dx, dWindow)
	})
	if dNewWindow != nil {
		convWindowBack(s, dNewWindow, dx, dWindow)
	}
	addParts(parts[:size], parts[size:])
	for d := range s.D {
		for j := range s.K {
			dw[d*s.K+j] = parts[j*s.D+d]
		}
	}
	copy(dbias, parts[s.K*s.D:size])
}

// pieceBack computes the gradients of the inputs at steps t0 to t1 and those
// steps' share of the gradients of taps and bias, part [K+1,D]. The inputs also
// went into the K−1 steps that follow, whose gradients are computed here once
// more.
func (c *convWork[F]) pieceBack(b, t0, t1 int, dy, part, dx, dWindow []F) {
	d, k := c.D, c.K
	buf, lent := scratch[F]((convBlock + k - 1) * d)
	defer giveBack(lent)
	clear(part)
	var spaceIn, spaceTaps, spaceBack [usualTaps][]F
	in, dtaps, back := listOf(spaceIn[:], k), listOf(spaceTaps[:], k), listOf(spaceBack[:], k)
	for j := range k {
		dtaps[j] = part[j*d : (j+1)*d]
		back[j] = c.taps[k-1-j]
	}
	end := min(c.T, t1+k-1)
	dpre := func(t int) []F {
		if t < t0 || t >= end {
			return c.zero
		}
		return buf[(t-t0)*d : (t-t0+1)*d]
	}
	for t := t0; t < end; t++ {
		c.rows(b, t, in)
		up := c.zero
		if dy != nil {
			up = dy[(b*c.T+t)*d:][:d]
		}
		c.gradPre(in, up, dpre(t))
		if t < t1 {
			convWeights(in, dpre(t), dtaps, part[k*d:])
		}
	}
	first := t0
	if t0 == 0 && dWindow != nil {
		first = -k // the first piece has the window's rows too
	}
	for t := first; t < t1; t++ {
		for j := range k {
			if in[j] = dpre(t + j); c.hidden(b, t, t+j) {
				in[j] = c.zero
			}
		}
		convSum(in, back, c.zero, convRow(c.Conv, b, t, dx, dWindow), false)
	}
}

// convWindowBack adds the gradient of the new window to the inputs it holds.
func convWindowBack[F Float](s Conv, dNewWindow, dx, dWindow []F) {
	for b := range s.B {
		for k := range s.K {
			from := s.T - s.K + k
			if dst := convRow(s, b, from, dx, dWindow); dst != nil && !s.hidden(b, from, s.T-1) {
				vec.Add(dst, dst, dNewWindow[(b*s.K+k)*s.D:][:s.D])
			}
		}
	}
}
