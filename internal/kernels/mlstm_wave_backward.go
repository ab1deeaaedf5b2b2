package kernels

// mlstmWaveBackward is a backward pass in the order of a wave. The steps of the wave are
// the chunks from the end to the beginning.
type mlstmWaveBackward[F Float] struct {
	*mlstmBackward[F]
	*wave
	shared []mlstmWaveBackItem[F]
}

// mlstmWaveBackItem is what the chunks of one head of one sequence share: the memories
// before them, the gradients of those after them, and what becomes of the gates.
type mlstmWaveBackItem[F Float] struct {
	memories mlstmWaveItem[F]
	grads    mlstmPlaces[F]
	rows     gateRows[F]
}

func (it *mlstmWaveBackItem[F]) layOut(space *arena[F], s MLSTM) {
	it.memories.layOut(space)
	it.grads.layOut(space)
	it.rows.layOut(space, s.T)
}

// inWave is mlstmBackward.whole in the order of a wave. It needs the memories before all
// chunks at once, so that without a tape it writes one first.
func (c *mlstmBackward[F]) inWave(w *wave) {
	if len(c.tape) == 0 {
		tape, lent := scratch[F](c.TapeLen())
		defer giveBack(lent)
		c.writeTape(w.again(), tape)
		c.tape = tape
	}
	p := mlstmWaveBackward[F]{mlstmBackward: c, wave: w}
	kept, lentKept := scratch[float64](c.B * c.NH * c.chunks())
	defer giveBack(lentKept)
	defer giveBack(p.begin(kept))
	w.run(p.lead, p.gradients)
	Parallel(len(p.shared), func(item int) {
		b := c.item(item)
		var space arena[F]
		b.gates.layOut(&space, c.chunk())
		defer giveBack(space.claim())
		b.gates.layOut(&space, c.chunk())
		b.rows = p.shared[item].rows
		b.gatesBack(c.dLast, c.grads.State)
	})
}

// writeTape writes a tape as the forward pass would.
func (c *mlstmBackward[F]) writeTape(w *wave, tape []F) {
	p := mlstmWaveForward[F]{MLSTM: c.MLSTM, wave: w, inputs: func(item int) mlstmInputs[F] { return c.item(item).in }}
	defer giveBack(p.begin(c.state, MLSTMState[F]{}, tape))
	w.run(p.lead, func(item, step int) {
		it, b := &p.shared[item], c.item(item)
		cell := &b.mlstmCell
		var space arena[F]
		cell.layOut(&space)
		defer giveBack(space.claim())
		cell.layOut(&space)
		it.resume(cell, step)
		cell.empty = step == 0 && p.begins
		cell.loadQueries()
		cell.loadKeys()
		cell.scores(it.at(step).n, matrix[F]{})
		it.tape.keepDen(cell.t0, cell.den[:cell.l])
	})
	for _, it := range p.shared {
		it.keepMs()
	}
}

// begin takes the scratch space that all items share, and reads the memories before the
// sequences and the gradients of those after them.
func (p *mlstmWaveBackward[F]) begin(kept []float64) (lent *[]F) {
	s := p.MLSTM
	p.shared = make([]mlstmWaveBackItem[F], s.B*s.NH)
	for item := range p.shared {
		it := &p.shared[item]
		it.memories.mlstmPlaces = mlstmPlaces[F]{MLSTM: s, tape: tapeOf(s, p.tape, item)}
		it.memories.gates = make([]mlstmGates[F], s.chunks())
		it.grads.MLSTM = s
		it.grads.setLast(p.grads.State, item)
		it.rows.kept = kept[item*s.chunks() : (item+1)*s.chunks()]
	}
	var space arena[F]
	layOut := func() {
		for item := range p.shared {
			p.shared[item].layOut(&space, s)
		}
	}
	layOut()
	lent = space.claim()
	layOut()
	for item := range p.shared {
		it := &p.shared[item]
		it.memories.begin(p.state, item)
		copy(it.memories.ms[1:], it.memories.tape.ms)
		if p.dLast.some() {
			it.grads.at(0).setState(s, p.dLast, item)
		}
	}
	return lent
}

// at returns the chunk of a step.
func (p *mlstmWaveBackward[F]) at(step int) int { return p.chunks() - 1 - step }

// lead leads a block of columns of the gradients of memories from one chunk to another.
func (p *mlstmWaveBackward[F]) lead(item, block, from, to int) {
	it, b := &p.shared[item], p.item(item)
	c := newChain(p.MLSTM, b.in, block, p.columns)
	var space arena[F]
	c.layOutBack(&space)
	defer giveBack(space.claim())
	c.layOutBack(&space)
	c.read(it.grads.at(from), from == 0 && !p.dLast.some())
	for step := from; step < to; step++ {
		k := p.at(step)
		it.memories.load(c, k, float64(it.memories.ms[k]))
		if it.grads.leads(step) {
			c.backTo(it.grads.at(step+1), b.h, b.dh, it.memories.tape.dens)
		}
		p.reach(item, block, step+1)
	}
}

// gradients computes the gradients of a step's chunk, but for those of the gates.
func (p *mlstmWaveBackward[F]) gradients(item, step int) {
	it, b, k := &p.shared[item], p.item(item), p.at(step)
	b.rows = it.rows
	var space arena[F]
	b.layOutChunk(&space)
	defer giveBack(space.claim())
	b.layOutChunk(&space)
	b.empty, b.unread = k == 0 && p.state.C == nil, step == 0 && !p.dLast.some()
	b.dmem = it.grads.at(step)
	it.memories.resume(&b.mlstmCell, k)
	b.chunkBack(it.memories.at(k))
}
