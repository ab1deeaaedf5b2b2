package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	gblas "gonum.org/v1/gonum/blas"
)

// SLSTMMaps are what the input parts of an sLSTM's gates are made of, by a map per head:
// the input and the forget gate of C, the others of X, each [B·T,NH·DH], with the
// weights W [NH,DH,DH] of the gates i, f, z and o.
type SLSTMMaps[F Float] struct {
	C, X []F
	W    [4][]F
}

// sources returns what the gates are maps of.
func (m SLSTMMaps[F]) sources() [4][]F { return [4][]F{m.C, m.C, m.X, m.X} }

// weights returns the weights of the gates of head h.
func (m SLSTMMaps[F]) weights(s SLSTM, h int) (w [4][]F) {
	for k := range w {
		w[k] = m.W[k][h*s.DH*s.DH:][:s.DH*s.DH]
	}
	return w
}

// mappedElements is how many elements the gates have for as many steps as are mapped at
// a time: a quarter of a second-level cache.
const mappedElements = slstmRows << 13

// mappedSteps is the largest number of steps that are mapped at a time: more are no
// faster.
const mappedSteps = 128

// mappedGap keeps steps and sequences from falling on the same places of a cache.
const mappedGap = 16

// mappedBlocks returns the number of blocks of steps that are mapped one after the
// other, and the number of steps of the longest.
func (s SLSTM) mappedBlocks() (blocks, steps int) {
	most := max(8, min(mappedSteps, mappedElements/(4*s.DH*min(s.B, slstmRows))))
	blocks = (s.T + most - 1) / most
	return blocks, (s.T + blocks - 1) / blocks
}

// mappedSize returns the size of the gates of a block of steps of nb sequences.
func (s SLSTM) mappedSize(nb int) int {
	_, steps := s.mappedBlocks()
	return nb * (steps*(4*s.DH+mappedGap) + mappedGap)
}

// mappedGates are the gates of a block of steps from step from on, of the sequences from
// b0 on, in buf.
func mappedGates[F Float](s SLSTM, buf []F, b0, from int) slstmGates[F] {
	_, steps := s.mappedBlocks()
	g := slstmGates[F]{step: 4*s.DH + mappedGap}
	g.sequence = steps*g.step + mappedGap
	g.at = -b0*g.sequence - from*g.step
	for k := range g.g {
		g.g[k] = buf[k*s.DH:]
	}
	return g
}

// SLSTMMappedForward is SLSTMForward of mapped inputs, which are mapped a block of steps
// at a time.
func SLSTMMappedForward[F Float](s SLSTM, m SLSTMMaps[F], r, bias, state, y, newState []F, tape SLSTMTape[F]) {
	s.Resets = s.Resets.some()
	if state != nil {
		copy(newState, state)
	} else {
		clear(newState)
	}
	blocks, _ := s.mappedBlocks()
	s.pieces(func(h, b0, b1 int) {
		nb := b1 - b0
		buf, lent := scratch[F](nb*4*s.DH + s.mappedSize(nb))
		defer giveBack(lent)
		c := slstmForward[F]{slstmScan: slstmScan[F]{SLSTM: s, h: h, b0: b0, b1: b1, pre: slstmOneStep(s, buf, b0)}, bias: bias, y: y, state: newState, tape: tape}
		c.begin(r)
		defer c.recurrent.release()
		maps := newSLSTMWeights(s, true, m.weights(s, h))
		defer maps.release()
		for i := range blocks {
			from, to := s.T*i/blocks, s.T*(i+1)/blocks
			x := mappedGates(s, buf[nb*4*s.DH:], b0, from)
			c.mapInputs(maps, m, &x, from, to)
			for t := from; t < to; t++ {
				c.step(t, &x, r)
			}
		}
	})
}

// mapInputs computes the input parts of the gates of steps from … to−1.
func (c *slstmScan[F]) mapInputs(maps *slstmWeights[F], m SLSTMMaps[F], x *slstmGates[F], from, to int) {
	d := c.NH * c.DH
	for b := c.b0; b < c.b1; b++ {
		rows := x.rows(b, from)
		for k, source := range m.sources() {
			maps.gates[k].Gemm(gblas.NoTrans, to-from, 1, source[(b*c.T+from)*d+c.h*c.DH:], d, 0, rows[k*c.DH:], x.step)
		}
	}
}

// SLSTMMappedGrads receives the gradients of SLSTMMappedForward, in the shapes of the
// corresponding inputs. State may be nil.
type SLSTMMappedGrads[F Float] struct {
	C, X           []F
	W              [4][]F
	R, Bias, State []F
}

// mappedTogether is the number of sequences whose contributions to the gradients of the
// weights are added up one after the other. It follows from the shape, so that the order
// of sums does.
func (s SLSTM) mappedTogether() int {
	const pieces = 16 // for as many cores
	g := slstmRows
	for g > 1 && s.NH*((s.B+g-1)/g) < pieces {
		g /= 2
	}
	return g
}

// SLSTMMappedBackward is SLSTMBackward of mapped inputs. The gradient of C may lie in the
// memory of dy, and that of X in the memory of y: a block of steps is read before its
// gradients are written.
func SLSTMMappedBackward[F Float](s SLSTM, m SLSTMMaps[F], r, state, y, newState []F, tape SLSTMTape[F], dy, dNew []F, grads SLSTMMappedGrads[F]) {
	s.Resets = s.Resets.some()
	together := s.mappedTogether()
	parts := slstmParts[F]{SLSTM: s, n: (s.B + together - 1) / together, first: grads}
	buf, lent := scratch[F](parts.size())
	defer giveBack(lent)
	parts.hold(buf)
	slstmScanBack(s, state, newState, dNew, grads.State, func(dState, zero []F) {
		s.piecesOf(max(together, s.rows()), func(h, b0, b1 int) {
			c := slstmMappedBack[F]{maps: m, grads: grads, together: together, parts: parts}
			c.slstmBack = slstmBack[F]{slstmScan: slstmScan[F]{SLSTM: s, h: h, b0: b0, b1: b1}, state: state, y: y, dy: dy, dState: dState, zero: zero, tape: tape}
			c.run(r)
		})
	})
	parts.sum()
}

// slstmParts are n parts of the gradients of the weights, of some sequences each. The first
// is where the sums will be, except for biases.
type slstmParts[F Float] struct {
	SLSTM
	n      int
	first  SLSTMMappedGrads[F]
	others []F // of each other part and each head R and the maps, gate by gate
	bias   []F // of each part and each head, gate by gate
}

// weights is the number of elements of R, and of the maps, of a head.
func (p *slstmParts[F]) weights() int { return 4 * p.DH * p.DH }

func (p *slstmParts[F]) size() int { return p.NH * ((p.n-1)*2*p.weights() + p.n*4*p.DH) }

// hold gives the parts their memory.
func (p *slstmParts[F]) hold(buf []F) {
	all := p.n * p.NH * 4 * p.DH
	p.bias, p.others = buf[:all], buf[all:]
}

// of returns those of head h in part i.
func (p *slstmParts[F]) of(i, h int) (r []F, w [4][]F, bias []F) {
	n, bias := p.weights(), p.bias[(i*p.NH+h)*4*p.DH:][:4*p.DH]
	if i == 0 {
		return slstmR(p.SLSTM, p.first.R, h), SLSTMMaps[F]{W: p.first.W}.weights(p.SLSTM, h), bias
	}
	part := p.others[((i-1)*p.NH+h)*2*n:]
	w[0], w[1], w[2], w[3] = split4(part[n : 2*n])
	return part[:n], w, bias
}

// sum adds up the parts in their order.
func (p *slstmParts[F]) sum() {
	n := p.DH * p.DH
	parallelWork(p.NH*4, p.n*2*n, func(i int) {
		h, k := i/4, i%4
		dr, dw, _ := p.of(0, h)
		db := slstmHead(p.SLSTM, p.first.Bias, k, h)
		clear(db)
		for part := range p.n {
			r, w, bias := p.of(part, h)
			vec.Add(db, db, bias[k*p.DH:(k+1)*p.DH])
			if part > 0 {
				vec.Add(dr[k*n:(k+1)*n], dr[k*n:(k+1)*n], r[k*n:(k+1)*n])
				vec.Add(dw[k], dw[k], w[k])
			}
		}
	})
}

// slstmMappedBack is a scan back with maps.
type slstmMappedBack[F Float] struct {
	slstmBack[F]
	maps     SLSTMMaps[F]
	back     *slstmWeights[F] // those of the maps
	grads    SLSTMMappedGrads[F]
	parts    slstmParts[F]
	together int
}

// run takes the sequences back to the first step.
func (c *slstmMappedBack[F]) run(r []F) {
	buf, lent := scratch[F](c.mappedSize(c.b1 - c.b0))
	defer giveBack(lent)
	c.recurrent = newSLSTMRecurrent(c.SLSTM, false, r, c.h)
	defer c.recurrent.release()
	c.back = newSLSTMWeights(c.SLSTM, false, c.maps.weights(c.SLSTM, c.h))
	defer c.back.release()
	for i := c.b0 / c.together; i*c.together < c.b1; i++ {
		dr, dw, db := c.parts.of(i, c.h)
		for _, sum := range [][]F{dr, dw[0], dw[1], dw[2], dw[3], db} {
			clear(sum)
		}
	}
	c.begin()
	blocks, _ := c.mappedBlocks()
	for i := blocks - 1; i >= 0; i-- {
		from, to := c.T*i/blocks, c.T*(i+1)/blocks
		c.pre = mappedGates(c.SLSTM, buf, c.b0, from)
		for t := to - 1; t >= from; t-- {
			c.step(t)
		}
		for b := c.b0; b < c.b1; b++ {
			c.weightGrads(b, from, to)
			c.inputGrads(b, from, to)
		}
	}
}

// inputGrads computes the gradients of C and X of steps from … to−1 of sequence b.
func (c *slstmMappedBack[F]) inputGrads(b, from, to int) {
	d, gates := c.NH*c.DH, c.pre.rows(b, from)
	for k, dx := range [4][]F{c.grads.C, c.grads.C, c.grads.X, c.grads.X} {
		c.back.gates[k].Gemm(gblas.NoTrans, to-from, 1, gates[k*c.DH:], c.pre.step, F(k%2), dx[(b*c.T+from)*d+c.h*c.DH:], d)
	}
}

// weightGrads adds what steps from … to−1 of sequence b contribute to the gradients of
// the weights.
func (c *slstmMappedBack[F]) weightGrads(b, from, to int) {
	d := c.NH * c.DH
	dr, dw, db := c.parts.of(b/c.together, c.h)
	gates, at := c.pre.rows(b, from), (b*c.T+from)*d+c.h*c.DH
	for k, x := range c.maps.sources() {
		serialGemm(true, false, c.DH, c.DH, to-from, 1, gates[k*c.DH:], c.pre.step, x[at:], d, 1, dw[k], c.DH)
	}
	for t := from; t < to; t++ {
		row := c.pre.rows(b, t)[:4*c.DH]
		vec.Add(db, db, row)
	}
	for t := from; t < to; {
		first := t
		if t++; c.Resets.at(c.T, b, first) {
			continue
		}
		if first == 0 {
			if c.state != nil {
				serialGemm(true, false, 4*c.DH, c.DH, 1, 1, gates, c.pre.step, c.state[b*d+c.h*c.DH:], d, 1, dr, c.DH)
			}
			continue
		}
		for t < to && !c.Resets.at(c.T, b, t) {
			t++
		}
		serialGemm(true, false, 4*c.DH, c.DH, t-first, 1, c.pre.rows(b, first), c.pre.step, c.y[(b*c.T+first-1)*d+c.h*c.DH:], d, 1, dr, c.DH)
	}
}
