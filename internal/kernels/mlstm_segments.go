package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Few long sequences do not employ all cores, if each computes one head of one
// sequence. They are then cut into segments of several chunks, which are computed at
// the same time: first the memories before the segments, and on the way back the
// gradients of those after them, then the segments. Each memory is computed in
// blocks of its columns, which do not depend on each other. None of this changes the
// order of any sum, so that the results are the same bits.

// segmentColumns is the number of columns of a memory that are one piece of work: a
// tile of the widest kernels.
const segmentColumns = 32

// segments returns into how many segments to cut every sequence, 1 for none. The
// memories that are computed twice cost about a third of the work, so that there
// must be at least twice as many cores as without.
func (s MLSTM) segments() int {
	items, procs := s.B*s.NH, cores.Procs()
	if 2*items > procs {
		return 1
	}
	return max(1, min(s.chunks()/2, (2*procs+items-1)/items))
}

// cut returns the chunks of segment g of n: first … last−1.
func (s MLSTM) cut(g, n int) (first, last int) {
	chunks := s.chunks()
	return chunks * g / n, chunks * (g + 1) / n
}

// boundaries holds one memory for each segment, with its stabiliser.
type boundaries[F Float] struct {
	memories, m []F
}

func (x *boundaries[F]) layOut(space *arena[F], s MLSTM, segments int) {
	x.memories, x.m = space.take(segments*(s.size()+s.DQK)), space.take(segments)
}

// mlstmChain computes some columns of the memories of one head of one sequence, chunk
// by chunk, or of their gradients. The first columns' chain computes n beside them.
type mlstmChain[F Float] struct {
	mlstmCell[F]
	column, columns int
	c               matrix[F] // the columns
	n               []F
	g               matrix[F] // of the gradients, β_i·ScaleQ·G_i
	dden            []F
}

func (c *mlstmChain[F]) layOut(space *arena[F]) {
	l := c.chunk()
	c.gates.layOut(space, l)
	c.q, c.k, c.v = space.matrix(l, c.DQK), space.matrix(l, c.DQK), space.matrix(l, c.columns)
	c.g, c.dden = space.matrix(l, c.columns), space.take(l)
	c.c, c.n = space.matrix(c.DQK, c.columns), space.take(c.DQK)
}

// eachChain calls f at the same time for blocks of columns of the memories of all
// items.
func eachChain[F Float](s MLSTM, q, k, v, i, f []F, do func(item int, c *mlstmChain[F])) {
	blocks := (s.DHV + segmentColumns - 1) / segmentColumns
	Parallel(s.B*s.NH*blocks, func(at int) {
		item, column := at/blocks, at%blocks*segmentColumns
		c := mlstmChain[F]{mlstmCell: mlstmCell[F]{MLSTM: s, in: mlstmItem(s, item, q, k, v, i, f)}, column: column, columns: min(segmentColumns, s.DHV-column)}
		var space arena[F]
		c.layOut(&space)
		defer giveBack(space.claim())
		c.layOut(&space)
		do(item, &c)
	})
}

// main reports whether the chain computes n.
func (c *mlstmChain[F]) main() bool { return c.column == 0 }

// set begins with a memory, or with zeros.
func (c *mlstmChain[F]) set(memory, n []F) {
	clear(c.c.data)
	clear(c.n)
	if memory != nil {
		copyRows(c.c, matrix[F]{memory, c.DHV}.from(0, c.column), c.DQK, c.columns)
	}
	copy(c.n, n)
}

// keep writes the columns to memory g.
func (c *mlstmChain[F]) keep(to []F, g int) {
	mem := memoryAt(c.MLSTM, to, g)
	copyRows(mem.c.from(0, c.column), c.c, c.DQK, c.columns)
	if c.main() {
		copy(mem.n, c.n)
	}
}

// forward computes the memories before the segments from the state. ns, unless it is
// nil, receives n before every chunk, and ms the stabilisers.
func (c *mlstmChain[F]) forward(state MLSTMState[F], item, segments int, to boundaries[F], ns, ms []F) {
	sc, sn, _ := mlstmHead(c.MLSTM, state, item)
	c.set(sc, sn)
	m := c.beginM(state, item)
	last, _ := c.cut(segments-1, segments) // the last chunk whose memory is needed
	for k, g := 0, 0; k < c.chunks(); k++ {
		if first, _ := c.cut(g, segments); g < segments && k == first {
			c.keep(to.memories, g)
			if c.main() {
				to.m[g] = F(m)
			}
			g++
		}
		if c.main() && ns != nil {
			copy(ns[k*c.DQK:(k+1)*c.DQK], c.n)
			ms[k] = F(m)
		}
		if k >= last && (!c.main() || ns == nil) {
			return
		}
		c.begin(k*c.chunk(), m)
		c.advanceColumns(k < last)
		m = c.gates.last
	}
}

// beginM returns the stabiliser of the initial state.
func (s mlstmCell[F]) beginM(state MLSTMState[F], item int) float64 {
	if state.C == nil {
		return s.initialM()
	}
	return float64(state.M[item])
}

// advanceColumns is mlstmCell.advance for the columns, or for n alone.
func (c *mlstmChain[F]) advanceColumns(all bool) {
	copyRows(c.k, matrix[F]{c.in.k, c.in.ldq}.from(c.t0, 0), c.l, c.DQK)
	keep := F(c.gates.keep)
	if c.main() {
		apply(true, c.l, c.DQK, 1, c.k, c.gates.carry, keep, c.n)
	}
	if all {
		copyRows(c.v, matrix[F]{c.in.v, c.in.ldv}.from(c.t0, c.column), c.l, c.columns)
		scaleRows(c.k, c.gates.carry[:c.l], c.k, c.DQK)
		multiply(true, false, c.DQK, c.columns, c.l, 1, c.k, c.v, keep, c.c)
	}
}

// backward computes the gradients of the memories after the segments.
func (c *mlstmChain[F]) backward(dLast MLSTMState[F], item, segments int, dh matrix[F], rows *segmentRows[F], to boundaries[F]) {
	gc, gn, _ := mlstmHead(c.MLSTM, dLast, item)
	c.set(gc, gn)
	_, first := c.cut(0, segments)
	for k, g := c.chunks(), segments-1; ; k-- {
		if _, last := c.cut(g, segments); k == last {
			c.keep(to.memories, g)
			g--
		}
		if k == first {
			return
		}
		c.begin((k-1)*c.chunk(), float64(rows.ms[k-1]))
		c.columnsBack(dh, rows)
	}
}

// columnsBack is mlstmBack.memoryBack for the columns.
func (c *mlstmChain[F]) columnsBack(dh matrix[F], rows *segmentRows[F]) {
	c.loadQueries()
	keep, inter := F(c.gates.keep), c.gates.inter[:c.l]
	if c.main() {
		vec.Mul(c.dden[:c.l], rows.dden[c.t0:c.t0+c.l], inter)
		apply(true, c.l, c.DQK, 1, c.q, c.dden, keep, c.n)
	}
	if dh.data == nil {
		clear(c.g.data)
	} else {
		scaleRows(c.g, rows.share[c.t0:c.t0+c.l], dh.from(c.t0, c.column), c.columns)
		scaleRows(c.g, inter, c.g, c.columns)
	}
	multiply(true, false, c.DQK, c.columns, c.l, 1, c.q, c.g, keep, c.c)
}

// mlstmForwardInSegments is MLSTMTapedForward in segments.
func mlstmForwardInSegments[F Float](s MLSTM, segments int, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], tape []F) {
	begins := make([]boundaries[F], s.B*s.NH)
	var space arena[F]
	layOut := func() {
		for item := range begins {
			begins[item].layOut(&space, s, segments)
		}
	}
	layOut()
	defer giveBack(space.claim())
	layOut()
	eachChain(s, q, k, v, i, f, func(item int, c *mlstmChain[F]) {
		c.forward(state, item, segments, begins[item], nil, nil)
	})
	Parallel(s.B*s.NH*segments, func(at int) {
		item, g := at/segments, at%segments
		cell := mlstmCell[F]{MLSTM: s, in: mlstmItem(s, item, q, k, v, i, f), alone: last.C == nil, tape: tapeOf(s, tape, item)}
		var space arena[F]
		cell.layOut(&space)
		defer giveBack(space.claim())
		cell.layOut(&space)
		mem := memoryAt(s, begins[item].memories, g)
		_, ov, _ := s.offsets(item)
		from, to := s.cut(g, segments)
		m := cell.run(from, to, float64(begins[item].m[g]), mem, state.C == nil, matrix[F]{h[ov:], cell.in.ldv})
		if g == segments-1 && !cell.alone {
			c, n, lastM := mlstmHead(s, last, item)
			copy(c, mem.c.data)
			copy(n, mem.n)
			lastM[0] = F(m)
		}
	})
}

// segmentRows is what the segments of one head of one sequence share on the way
// back.
type segmentRows[F Float] struct {
	begins, ends boundaries[F] // memories before the segments, gradients of those after them
	ns, ms       []F           // n and the stabiliser before every chunk
	share, dden  []F           // of every step, 1/N_i and δden_i
	gates        gateRows[F]
}

func (r *segmentRows[F]) layOut(space *arena[F], s MLSTM, segments int) {
	r.begins.layOut(space, s, segments)
	r.ends.layOut(space, s, segments)
	r.ns, r.ms = space.take(s.chunks()*s.DQK), space.take(s.chunks())
	r.share, r.dden = space.take(s.T), space.take(s.T)
	r.gates.layOut(space, s.T)
}

// inSegments is MLSTMBackward in segments, which does not read the tape.
func (c *mlstmBackward[F]) inSegments(segments int) {
	items := c.B * c.NH
	rows := make([]segmentRows[F], items)
	kept, lent := scratch[float64](items * c.chunks())
	defer giveBack(lent)
	var space arena[F]
	layOut := func() {
		for item := range rows {
			rows[item].layOut(&space, c.MLSTM, segments)
			rows[item].gates.kept = kept[item*c.chunks() : (item+1)*c.chunks()]
		}
	}
	layOut()
	defer giveBack(space.claim())
	layOut()
	eachChain(c.MLSTM, c.q, c.k, c.v, c.i, c.f, func(item int, chain *mlstmChain[F]) {
		chain.forward(c.state, item, segments, rows[item].begins, rows[item].ns, rows[item].ms)
	})
	if c.dh != nil {
		Parallel(items*c.chunks(), func(at int) { c.outputsBack(at/c.chunks(), at%c.chunks(), &rows[at/c.chunks()]) })
	} else {
		for item := range rows {
			clear(rows[item].dden)
		}
	}
	eachChain(c.MLSTM, c.q, c.k, c.v, c.i, c.f, func(item int, chain *mlstmChain[F]) {
		chain.backward(c.dLast, item, segments, c.item(item).dh, &rows[item], rows[item].ends)
	})
	Parallel(items*segments, func(at int) { c.segment(at/segments, at%segments, segments, &rows[at/segments]) })
	Parallel(items, func(item int) {
		b := c.item(item)
		var space arena[F]
		b.gates.layOut(&space, c.chunk())
		defer giveBack(space.claim())
		b.gates.layOut(&space, c.chunk())
		b.rows = rows[item].gates
		b.gatesBack(c.dLast, c.grads.State)
	})
}

// outputsBack computes 1/N and δden of chunk k.
func (c *mlstmBackward[F]) outputsBack(item, k int, rows *segmentRows[F]) {
	b := c.item(item)
	cell := &b.mlstmCell
	var space arena[F]
	cell.layOut(&space)
	defer giveBack(space.claim())
	cell.layOut(&space)
	cell.begin(k*c.chunk(), float64(rows.ms[k]))
	cell.loadQueries()
	cell.loadInputs()
	cell.scores(rows.ns[k*c.DQK:(k+1)*c.DQK], matrix[F]{})
	for i := range cell.l {
		t := cell.t0 + i
		rows.share[t], rows.dden[t], _ = cell.rowBack(i, b.dh.row(t, c.DHV), b.h.row(t, c.DHV))
	}
}

// segment computes the gradients of segment g, but for those of the gates.
func (c *mlstmBackward[F]) segment(item, g, segments int, rows *segmentRows[F]) {
	b := c.item(item)
	b.first, b.last = c.cut(g, segments)
	b.rows = rows.gates
	var space arena[F]
	b.layOut(&space)
	defer giveBack(space.claim())
	b.layOut(&space)
	b.memory(b.first).set(memoryAt(c.MLSTM, rows.begins.memories, g))
	b.replay(float64(rows.begins.m[g]))
	b.dmem = b.memory(b.last)
	b.dmem.set(memoryAt(c.MLSTM, rows.ends.memories, g))
	b.unread = g == segments-1 && !c.dLast.some()
	b.chunksBack(g == 0 && c.state.C == nil, g == 0 && c.grads.State.C != nil)
	if g == 0 && c.grads.State.C != nil {
		gc, gn, _ := mlstmHead(c.MLSTM, c.grads.State, item)
		copy(gc, b.dmem.c.data)
		copy(gn, b.dmem.n)
	}
}
