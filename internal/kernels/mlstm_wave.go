package kernels

import (
	"sync/atomic"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
)

// Few long sequences do not employ all cores if each computes one head of one sequence.
// Then chains compute the memories between the chunks, or on the way back their
// gradients, in blocks of columns, which do not depend on each other; the chunks follow
// the chains, any of them on any core. None of this changes the order of any sum, so
// that the results are the same bits.

// wave distributes one pass over all heads of all sequences, its items. Its steps are the
// chunks, from the end on the way back.
type wave struct {
	steps, procs    int
	blocks, columns int // of a chain
	items           []waveItem
	lead            func(item, block, from, to int)
	step            func(item, step int)
}

// waveItem tells how far the work for an item has come.
type waveItem struct {
	chains []waveChain    // by block
	begun  atomic.Int64   // steps, each on any core
	done   []atomic.Int64 // by group, steps that have been made
	_      [128]byte      // in another line of the caches than the next one
}

// waveChain tells how far a block of a chain has come: groups of steps that it has begun
// to lead through, and the step that it has reached.
type waveChain struct{ begun, reached atomic.Int64 }

const (
	// waveGroup is the number of steps that a chain leads at a time, so that its columns
	// stay in a core's caches.
	waveGroup = 4
	// waveLead is by how many steps a chain leads if there is a core for it: enough for
	// the steps not to wait when the core is taken away for a while.
	waveLead = 4 * waveGroup
	// waveAhead is the number of groups that a chain has places for, which it writes to in
	// turn: those that it leads by, the one that it writes, and one whose steps may still
	// be at work.
	waveAhead = waveLead/waveGroup + 2
)

func (w *wave) groups() int { return ceil(w.steps, waveGroup) }

// run calls lead for all blocks of chains, to lead from one step to another and tell how
// far they have come, and step for all steps once the chains have led through them.
func (w *wave) run(lead func(item, block, from, to int), step func(item, step int)) {
	w.lead, w.step = lead, step
	for i := range w.items {
		w.items[i] = waveItem{chains: make([]waveChain, w.blocks), done: make([]atomic.Int64, w.groups())}
	}
	Parallel(w.procs, func(i int) { w.work(i * len(w.items) / w.procs) })
}

// work does what can be done, until there is nothing left to begin. A core stays with an
// item for as long as there is work, since its caches hold what it wrote there.
func (w *wave) work(item int) {
	for idle := 0; ; {
		if w.leads(item) || w.follows(item) {
			idle = 0
			continue
		}
		item = (item + 1) % len(w.items)
		if idle++; idle%len(w.items) == 0 {
			if w.over() {
				return
			}
			cores.Rest(idle / len(w.items))
		}
	}
}

// leads lets a block of an item's chain lead through a group of steps, if the steps are
// close behind it, and reports whether there was one that could.
func (w *wave) leads(item int) bool {
	it := &w.items[item]
	reached := it.reached()
	if reached-it.begun.Load() >= waveLead {
		return false
	}
	for block := range it.chains {
		c := &it.chains[block]
		group := c.begun.Load()
		from := group * waveGroup
		if from < int64(w.steps) && from <= reached && it.room(group) && c.begun.CompareAndSwap(group, group+1) {
			to := min(w.steps, int(from)+waveGroup)
			defer c.reached.Store(int64(to))
			w.lead(item, block, int(from), to)
			return true
		}
	}
	return false
}

// room reports whether there are places for the memories of a group of steps: the steps
// that read what was there have been made.
func (it *waveItem) room(group int64) bool {
	before := group - waveAhead
	return before < 0 || it.done[before].Load() == waveGroup
}

// follows makes a step of an item through which the chain has led, and reports whether
// there was one.
func (w *wave) follows(item int) bool {
	it := &w.items[item]
	for {
		step := it.begun.Load()
		if step == int64(w.steps) || step >= it.reached() {
			return false
		}
		if it.begun.CompareAndSwap(step, step+1) {
			defer it.done[step/waveGroup].Add(1)
			w.step(item, int(step))
			return true
		}
	}
}

// reached returns the step up to which all blocks of an item's chain lead.
func (it *waveItem) reached() int64 {
	step := it.chains[0].reached.Load()
	for i := range it.chains[1:] {
		step = min(step, it.chains[1+i].reached.Load())
	}
	return step
}

// over reports whether all steps have begun, for which chains have led through all.
func (w *wave) over() bool {
	for i := range w.items {
		if w.items[i].begun.Load() < int64(w.steps) {
			return false
		}
	}
	return true
}

// reach tells that a block of a chain has reached a step. The last step of a group is
// told when its work is over, since the next group begins then.
func (w *wave) reach(item, block, step int) {
	if step%waveGroup != 0 {
		w.items[item].chains[block].reached.Store(int64(step))
	}
}

// again returns the same wave, not yet begun.
func (w *wave) again() *wave {
	return &wave{steps: w.steps, procs: w.procs, blocks: w.blocks, columns: w.columns, items: make([]waveItem, len(w.items))}
}

// chainColumns is the least number of columns in a block of a chain: a tile of the
// widest kernels.
const chainColumns = 32

// How many cores follow a block of a chain as fast as it leads: a chunk takes less time
// forward than back, and the columns of its memory as much.
const coresForward, coresBack = 2, 4

// wave returns how cores share a pass in which so many of them follow a block of a chain,
// or nil if each should compute items alone.
func (s MLSTM) wave(follow int) *wave {
	items, procs := s.B*s.NH, cores.Procs()
	if !inWaves(items, s.chunks(), procs) {
		return nil
	}
	blocks := min(ceil(procs, follow*items), ceil(s.DHV, chainColumns))
	columns := ceil(ceil(s.DHV, blocks), chainColumns) * chainColumns
	return &wave{steps: s.chunks(), procs: procs, blocks: ceil(s.DHV, columns), columns: columns, items: make([]waveItem, items)}
}

// inWaves reports whether a wave takes clearly less time than as many turns of every core
// as there are items for it. It is about a fifth more work, which reads and writes more
// memory, and it begins with the first step of chains alone.
func inWaves(items, chunks, procs int) bool {
	turns := float64(ceil(items, procs))
	return 1.5*float64(items)/float64(procs)+1/float64(chunks) <= turns
}

// ceil returns n/d, rounded up.
func ceil(n, d int) int { return (n + d - 1) / d }
