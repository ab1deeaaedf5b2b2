package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// mlstmWaveForward is a forward pass in the order of a wave.
type mlstmWaveForward[F Float] struct {
	MLSTM
	*wave
	inputs func(item int) mlstmInputs[F]
	begins bool // the memories before the sequences are zero
	shared []mlstmWaveItem[F]
}

// mlstmWaveItem is what the chunks of one head of one sequence share with its chain: the
// memories before them and the stabilisers, one more of those, and their gates.
type mlstmWaveItem[F Float] struct {
	mlstmPlaces[F]
	ms    []F
	gates []mlstmGates[F]
}

func (it *mlstmWaveItem[F]) layOut(space *arena[F]) {
	it.mlstmPlaces.layOut(space)
	it.ms = space.take(it.chunks() + 1)
	for k := range it.gates {
		it.gates[k].layOut(space, it.chunk())
	}
}

// load moves a chain to chunk k, before which the stabiliser is m, and keeps the gates if
// it is the first block.
func (it *mlstmWaveItem[F]) load(c *mlstmChain[F], k int, m float64) {
	if !c.withN() {
		c.begin(k, m)
		return
	}
	c.gates = it.gates[k]
	c.begin(k, m)
	it.gates[k] = c.gates
}

// resume moves a cell to chunk k, through which the chain has led.
func (it *mlstmWaveItem[F]) resume(c *mlstmCell[F], k int) {
	c.moveTo(k)
	c.gates = it.gates[k]
}

// begin sets the memory before the sequence, unless it is zero.
func (it *mlstmWaveItem[F]) begin(state MLSTMState[F], item int) {
	m := it.initialM()
	if state.C != nil {
		m = mlstmBegin(it.MLSTM, state, item, it.at(0))
	}
	it.ms[0] = F(m)
}

// mlstmForwardInWave is mlstmForwardMapped in the order of a wave.
func mlstmForwardInWave[F Float](s MLSTM, w *wave, maps *[3]vec.Taps[F], q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], tape []F) {
	p := mlstmWaveForward[F]{MLSTM: s, wave: w, inputs: func(item int) mlstmInputs[F] {
		in := mlstmItem(s, item, q, k, v, i, f)
		in.mapBy(s, maps, item)
		return in
	}}
	defer giveBack(p.begin(state, last, tape))
	w.run(p.lead, func(item, step int) {
		it := &p.shared[item]
		cell := mlstmCell[F]{MLSTM: s, in: p.inputs(item), tape: it.tape}
		var space arena[F]
		cell.layOut(&space)
		defer giveBack(space.claim())
		cell.layOut(&space)
		_, ov, _ := s.offsets(item)
		it.resume(&cell, step)
		cell.outputs(it.at(step), step == 0 && p.begins, matrix[F]{h[ov:], cell.in.ldv})
	})
	for item, it := range p.shared {
		it.keepMs()
		if last.C != nil {
			last.M[item] = it.ms[s.chunks()]
		}
	}
}

// keepMs writes the stabilisers before all chunks but the first to the tape, if there is one.
func (it *mlstmWaveItem[F]) keepMs() { copy(it.tape.ms, it.ms[1:]) }

// begin takes the scratch space that all items share, and sets the memories before them.
func (p *mlstmWaveForward[F]) begin(state, last MLSTMState[F], tape []F) (lent *[]F) {
	p.begins = state.C == nil
	p.shared = make([]mlstmWaveItem[F], p.B*p.NH)
	for item := range p.shared {
		p.shared[item].mlstmPlaces = mlstmPlaces[F]{MLSTM: p.MLSTM, tape: tapeOf(p.MLSTM, tape, item)}
		p.shared[item].gates = make([]mlstmGates[F], p.chunks())
		p.shared[item].setLast(last, item)
	}
	var space arena[F]
	layOut := func() {
		for item := range p.shared {
			p.shared[item].layOut(&space)
		}
	}
	layOut()
	lent = space.claim()
	layOut()
	for item := range p.shared {
		p.shared[item].begin(state, item)
	}
	return lent
}

// lead leads a block of columns of the memories from one chunk to another.
func (p *mlstmWaveForward[F]) lead(item, block, from, to int) {
	it, c := &p.shared[item], newChain(p.MLSTM, p.inputs(item), block, p.columns)
	var space arena[F]
	c.layOut(&space)
	defer giveBack(space.claim())
	c.layOut(&space)
	c.read(it.at(from), from == 0 && p.begins)
	m := float64(it.ms[from])
	for k := from; k < to; k++ {
		it.load(c, k, m)
		if it.leads(k) {
			c.advanceTo(it.at(k + 1))
		}
		if m = c.gates.last; c.withN() {
			it.ms[k+1] = F(m)
		}
		p.reach(item, block, k+1)
	}
}
