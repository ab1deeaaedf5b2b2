package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// mlstmPlaces are where a chain writes memories of one head of one sequence, or their
// gradients, for the steps that follow it: on a tape, or in some places in turn.
type mlstmPlaces[F Float] struct {
	MLSTM
	tape   mlstmTape[F]
	inTurn []F
	n      int            // in turn
	last   mlstmMemory[F] // after all steps; without data if it is not asked for
}

// layOut takes the space for those that are not on the tape: the first one if there is
// a tape.
func (p *mlstmPlaces[F]) layOut(space *arena[F]) {
	p.n = 1
	if !p.tape.written() {
		p.n = min(p.chunks(), waveAhead*waveGroup+1)
	}
	p.inTurn = space.take(p.n * (p.size() + p.DQK))
}

// setLast has the last memory written to the state of an item, if there is one.
func (p *mlstmPlaces[F]) setLast(state MLSTMState[F], item int) {
	if state.C != nil {
		c, n, _ := mlstmHead(p.MLSTM, state, item)
		p.last = mlstmMemory[F]{matrix[F]{c, p.DHV}, n}
	}
}

// at returns the memory before a step.
func (p *mlstmPlaces[F]) at(step int) mlstmMemory[F] {
	switch {
	case step == p.chunks():
		return p.last
	case step > 0 && p.tape.written():
		return p.tape.memory(p.MLSTM, step)
	}
	return memoryAt(p.MLSTM, p.inTurn, step%p.n)
}

// leads reports whether a chain leads through a step: the last one may not be asked for.
func (p *mlstmPlaces[F]) leads(step int) bool {
	return step+1 < p.chunks() || p.last.n != nil
}

// mlstmChain computes some columns of the memories of one head of one sequence, chunk
// by chunk, or of their gradients. The chain of the first columns computes n as well.
type mlstmChain[F Float] struct {
	mlstmCell[F]
	column, columns int
	c               matrix[F] // the columns
	n               []F
	g               matrix[F] // of the gradients, β_i·ScaleQ·G_i
	dden            []F       // of the gradients, β_i·ScaleQ·δden_i
}

// newChain returns the chain of a block of so many columns, without scratch space.
func newChain[F Float](s MLSTM, in mlstmInputs[F], block, columns int) *mlstmChain[F] {
	c := &mlstmChain[F]{mlstmCell: mlstmCell[F]{MLSTM: s, in: in}, column: block * columns}
	c.columns = min(columns, s.DHV-c.column)
	c.in.v = c.in.v[c.column:]
	if in.mapped {
		for j, taps := range in.maps[2] {
			c.in.maps[2][j] = taps[c.column:][:c.columns]
		}
	}
	return c
}

// layOut takes the scratch space for memories, layOutBack that for gradients.
func (c *mlstmChain[F]) layOut(space *arena[F]) {
	c.layOutColumns(space)
	c.k, c.v = space.matrix(c.chunk(), c.DQK), space.matrix(c.chunk(), c.columns)
}

func (c *mlstmChain[F]) layOutBack(space *arena[F]) {
	c.layOutColumns(space)
	c.q, c.g = space.matrix(c.chunk(), c.DQK), space.matrix(c.chunk(), c.columns)
	c.den, c.dden = space.take(c.chunk()), space.take(c.chunk())
}

func (c *mlstmChain[F]) layOutColumns(space *arena[F]) {
	c.gates.layOut(space, c.chunk())
	c.c, c.n = space.matrix(c.DQK, c.columns), space.take(c.DQK)
}

// withN reports whether the chain computes n.
func (c *mlstmChain[F]) withN() bool { return c.column == 0 }

// read begins with the columns of a memory, or with zeros.
func (c *mlstmChain[F]) read(mem mlstmMemory[F], zero bool) {
	if zero {
		clear(c.c.data)
		clear(c.n)
		return
	}
	copyRows(c.c, mem.c.from(0, c.column), c.DQK, c.columns)
	copy(c.n, mem.n)
}

// write writes the columns to a memory.
func (c *mlstmChain[F]) write(mem mlstmMemory[F]) {
	copyRows(mem.c.from(0, c.column), c.c, c.DQK, c.columns)
	if c.withN() {
		copy(mem.n, c.n)
	}
}

// advanceTo is mlstmCell.advance for the columns, and writes them to a memory.
func (c *mlstmChain[F]) advanceTo(mem mlstmMemory[F]) {
	c.loadKeys()
	c.load(2, c.v, matrix[F]{c.in.v, c.in.ldv}, c.columns)
	keep := F(c.gates.keep)
	if c.withN() {
		apply(true, c.l, c.DQK, 1, c.k, c.gates.carry, keep, c.n)
	}
	scaleRows(c.k, c.gates.carry[:c.l], c.k, c.DQK)
	var next [blas.MostAhead]blas.Ahead[F]
	if t := c.t0 + c.l; t < c.T {
		next[0] = blas.Ahead[F]{Data: c.in.k[t*c.in.ldq:], Row: c.in.ldq, Cols: c.DQK}
		next[1] = blas.Ahead[F]{Data: c.in.v[t*c.in.ldv:], Row: c.in.ldv, Cols: c.columns}
	}
	c.addTo(mem, c.k, c.v, next)
}

// addTo computes C = keep·C + aᵀ·b and writes the columns to a memory. Meanwhile it
// fetches the first parts of next and the place to write to, by as many rows as a chunk
// has.
func (c *mlstmChain[F]) addTo(mem mlstmMemory[F], a, b matrix[F], next [blas.MostAhead]blas.Ahead[F]) {
	for i := 0; i < 2 && i*c.l < c.DQK; i++ {
		next[3+i] = blas.Ahead[F]{Data: mem.c.from(i*c.l, c.column).data, Row: mem.c.ld, Cols: c.columns}
	}
	multiplyAhead(true, false, c.DQK, c.columns, c.l, 1, a, b, F(c.gates.keep), c.c, next[:])
	c.write(mem)
}

// backTo is mlstmBack.memoryBack for the columns, and writes them to a memory. h and dh
// are the outputs and their gradients, den the denominators of all steps. Whole rows of h
// and dh are read, for the gradient of a denominator.
func (c *mlstmChain[F]) backTo(mem mlstmMemory[F], h, dh matrix[F], den []F) {
	c.loadQueries()
	c.rowsBack(h, dh, den[c.t0:])
	inter := c.gates.inter[:c.l]
	if c.withN() {
		vec.Mul(c.dden[:c.l], c.dden, inter)
		apply(true, c.l, c.DQK, 1, c.q, c.dden, F(c.gates.keep), c.n)
	}
	scaleRows(c.g, inter, c.g, c.columns)
	var next [blas.MostAhead]blas.Ahead[F]
	if t := c.t0 - c.chunk(); t >= 0 {
		next[0] = blas.Ahead[F]{Data: c.in.q[t*c.in.ldq:], Row: c.in.ldq, Cols: c.DQK}
		if dh.data != nil {
			next[1] = blas.Ahead[F]{Data: dh.from(t, 0).data, Row: dh.ld, Cols: c.DHV}
			next[2] = blas.Ahead[F]{Data: h.from(t, 0).data, Row: h.ld, Cols: c.DHV}
		}
	}
	c.addTo(mem, c.q, c.g, next)
}

// rowsBack is mlstmBack.rowsBack for the columns.
func (c *mlstmChain[F]) rowsBack(h, dh matrix[F], den []F) {
	if dh.data == nil {
		clear(c.g.data)
		clear(c.dden)
		return
	}
	copy(c.den, den[:c.l])
	for i := range c.l {
		row := dh.row(c.t0+i, c.DHV)
		var share F
		share, c.dden[i], _ = c.rowBack(i, row, h.row(c.t0+i, c.DHV))
		vec.Scale(c.g.row(i, c.columns), share, row[c.column:])
	}
}
