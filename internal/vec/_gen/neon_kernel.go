package main

import (
	"strings"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonKernel is a kernel while it is written for arm64. A turn of its loop handles
// sixteen numbers, in four registers, and sums are added up in as many: so the order of
// additions is AVX's.
type neonKernel struct {
	*neon.Func
	neon.Registers
	kernel
	words          *[]uint32 // the table of constants of all kernels
	n, table, temp neon.Reg
	bases          map[string]neon.Reg
	starts         map[string]neon.Reg // of a row's vectors, if there are several
	rows           neon.Reg            // that are left
	params         map[string]*virtual
	sums           map[string][]*virtual
	constants      map[uint32]*virtual
	fixed          int // vector registers that keep something through all of the kernel: the first ones
}

const quarters = step / 4

// writeNEON writes the kernels for arm64.
func writeNEON(all []kernel, assembly, stubs string) error {
	f := neon.NewFile("vec", "internal/vec/_gen")
	var words []uint32
	for _, k := range all {
		k.writeNEON(f, &words)
	}
	writePrefetchNEON(f)
	var lanes []uint32
	for _, w := range words {
		lanes = append(lanes, w, w, w, w)
	}
	f.Constant(constantTable, lanes)
	f.Constant(laneMasks, []uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1, 0, 0, 0, 0})
	return f.Write(assembly, stubs)
}

const constantTable = "constants"

func (k kernel) writeNEON(f *neon.File, words *[]uint32) {
	w := &neonKernel{Func: f.Func(k.name+"NEON", k.signature()), kernel: k, words: words,
		bases: map[string]neon.Reg{}, starts: map[string]neon.Reg{}, params: map[string]*virtual{}, sums: map[string][]*virtual{}, constants: map[uint32]*virtual{}}
	w.arguments()
	turn := w.best()
	w.keepConstants()
	w.beginRow()
	w.Go("SUBS $%d, %v, %v", step, w.n, w.n)
	w.Go("BLT tail")
	w.Label("whole")
	turn.flush()
	w.advance(4 * step)
	w.Go("SUBS $%d, %v, %v", step, w.n, w.n)
	w.Go("BGE whole")
	w.Label("tail")
	switch {
	case k.fours != "":
	case k.results == "":
		w.more()
		w.tail()
	default:
		w.more()
		w.tailWithResults()
	}
	w.Label("done")
	w.nextRow()
	w.finish()
	w.Go("RET")
}

// beginRow notes where the vectors of the first row begin.
func (w *neonKernel) beginRow() {
	if w.strided == "" {
		return
	}
	for _, v := range w.pointers() {
		w.Go("MOVD %v, %v", w.bases[v], w.starts[v])
	}
	w.Label("row")
}

// nextRow moves on to the next row, if there is one.
func (w *neonKernel) nextRow() {
	if w.strided == "" {
		return
	}
	for _, v := range strings.Fields(w.strided) {
		w.LoadArg(v+"Row", w.temp)
		w.Go("ADD %v<<2, %v, %v", w.temp, w.starts[v], w.starts[v])
	}
	for _, v := range w.pointers() {
		w.Go("MOVD %v, %v", w.starts[v], w.bases[v])
	}
	w.LoadArg("elements", w.n)
	w.Go("SUBS $1, %v, %v", w.rows, w.rows)
	w.Go("BNE row")
}

// more counts the elements of a step and leaves the loop if none are left.
func (w *neonKernel) more() {
	w.Go("ADDS $%d, %v, %v", step, w.n, w.n)
	w.Go("BEQ done")
}

// arguments loads the arguments and clears the results.
func (w *neonKernel) arguments() {
	load := func(name string) neon.Reg {
		r := w.New()
		w.LoadArg(name, r)
		return r
	}
	for _, v := range w.pointers() {
		if w.bases[v] = load(v); w.strided != "" {
			w.starts[v] = w.New()
		}
	}
	w.n, w.table, w.temp = load("elements"), w.New(), w.New()
	if w.strided != "" {
		w.rows = load("rows")
	}
	w.Go("MOVD $%s<>(SB), %v", constantTable, w.table)
	for _, p := range strings.Fields(w.scalars) {
		v := w.keep(new(virtual))
		w.Go("FMOVS %s, F%d", w.Arg(p), v.reg)
		w.Vec("dup v%d.4s, v%d.s[0]", v.reg, v.reg)
		w.params[p] = v
	}
	for _, r := range strings.Fields(w.results) {
		for range quarters {
			v := w.keep(new(virtual))
			start := &virtual{constant: true, bits: w.folding().start}
			w.Go("FMOVQ %d(%v), F%d", w.constant(start, v.reg).disp, w.table, v.reg)
			w.sums[r] = append(w.sums[r], v)
		}
	}
}

// keep gives v a register for all of the kernel.
func (w *neonKernel) keep(v *virtual) *virtual {
	v.fixed, v.reg = true, w.fixed
	w.fixed++
	return v
}

// best is the shortest code of a turn: with an instruction of one, two or all four of
// its quarters after the other, and as many constants in registers as then go there.
// It keeps these.
func (w *neonKernel) best() *neonWriter {
	var best *neonWriter
	var kept []*virtual
	for _, together := range []int{4, 2, 1} {
		code := w.turn(together)
		constants, first := constantsIn(code), w.fixed
		for n := len(constants); n >= 0; n-- {
			for _, v := range constants[:n] {
				w.keep(v)
			}
			turn, ok := w.assign(code)
			w.fixed = first
			for _, v := range constants[:n] {
				v.fixed = false
			}
			if ok && (best == nil || turn.size < best.size) {
				best, kept = turn, constants[:n]
			}
		}
	}
	if best == nil {
		panic(w.name + ": there are too few registers")
	}
	for _, v := range kept {
		w.keep(v)
	}
	return best
}

// constantsIn is the constants that operations read, in the order of their first
// use. Those that are changed into a result need a register each time anyway.
func constantsIn(code []operation) (all []*virtual) {
	seen := map[*virtual]bool{}
	for _, o := range code {
		for _, v := range o.args {
			if v.constant && !seen[v] {
				seen[v] = true
				all = append(all, v)
			}
		}
	}
	return all
}

// turn records a turn of sixteen numbers, an instruction of each of the quarters
// that are together after the other.
func (w *neonKernel) turn(together int) (code []operation) {
	for first := 0; first < quarters; first += together {
		var sides [][]operation
		for q := range together {
			t := &neonTurn{neonKernel: w, quarter: first + q, results: first + q}
			sides = append(sides, t.run())
		}
		for i := range sides[0] {
			for _, side := range sides {
				code = append(code, side[i])
			}
		}
	}
	return code
}

func (t *neonTurn) run() []operation {
	t.kernel.body(&body{lanes{t}, t})
	return t.code
}

// keepConstants loads the constants that stay in registers.
func (w *neonKernel) keepConstants() {
	for _, k := range sortedByRegister(w.constants) {
		w.Go("FMOVQ %d(%v), F%d", w.constant(k, k.reg).disp, w.table, k.reg)
	}
}

func sortedByRegister(constants map[uint32]*virtual) []*virtual {
	var all [32]*virtual
	for _, v := range constants {
		if v.fixed {
			all[v.reg] = v
		}
	}
	var sorted []*virtual
	for _, v := range all {
		if v != nil {
			sorted = append(sorted, v)
		}
	}
	return sorted
}

// advance moves on in all vectors.
func (w *neonKernel) advance(bytes int) {
	for _, v := range strings.Fields(w.vectors) {
		w.Go("ADD $%d, %v, %v", bytes, w.bases[v], w.bases[v])
	}
	for _, v := range strings.Fields(w.fours) {
		w.Go("ADD $%d, %v, %v", 4*bytes, w.bases[v], w.bases[v])
	}
}

// four writes a turn of four numbers, or of the few that are left.
func (w *neonKernel) four(few bool) {
	t := &neonTurn{neonKernel: w, few: few}
	turn, ok := w.assign(t.run())
	if !ok {
		panic(w.name + ": there are too few registers for the tail")
	}
	turn.flush()
}

// tail does what is left of the vectors: fours, and then few.
func (w *neonKernel) tail() {
	w.Go("SUBS $4, %v, %v", w.n, w.n)
	w.Go("BLT few")
	w.Label("four")
	w.four(false)
	w.advance(16)
	w.Go("SUBS $4, %v, %v", w.n, w.n)
	w.Go("BGE four")
	w.Label("few")
	w.Go("ADDS $4, %v, %v", w.n, w.n)
	w.Go("BEQ done")
	w.four(true)
}

// tailWithResults does the same four times, whatever is left, and each time puts
// other sums into the first registers, so that they are at home again at the end.
func (w *neonKernel) tailWithResults() {
	rounds := w.New()
	w.Go("MOVD $%d, %v", quarters, rounds)
	w.Label("round")
	w.Go("CMP $4, %v", w.n)
	w.Go("BLT few")
	w.four(false)
	w.advance(16)
	w.Go("SUB $4, %v, %v", w.n, w.n)
	w.Go("B next")
	w.Label("few")
	w.Go("CBZ %v, next", w.n)
	w.four(true)
	w.Go("MOVD $0, %v", w.n)
	w.Label("next")
	const spare = 31
	for _, name := range strings.Fields(w.results) {
		sums := w.sums[name]
		w.Vec("mov v%d.16b, v%d.16b", spare, sums[0].reg)
		for i := range quarters - 1 {
			w.Vec("mov v%d.16b, v%d.16b", sums[i].reg, sums[i+1].reg)
		}
		w.Vec("mov v%d.16b, v%d.16b", sums[quarters-1].reg, spare)
	}
	w.Go("SUBS $1, %v, %v", rounds, rounds)
	w.Go("BNE round")
}

// finish folds the lanes of the results: sixteen to eight, four, two and one.
func (w *neonKernel) finish() {
	for _, name := range strings.Fields(w.results) {
		t := &neonTurn{neonKernel: w}
		both := func(a, b value) value { return w.folding().both(lanes{t}, a, b) }
		sums := w.sums[name]
		four := both(both(sums[0], sums[2]), both(sums[1], sums[3]))
		two := both(four, t.swap(2, four))
		one := both(two, t.swap(1, two))
		t.record(operation{args: virtuals([]value{one}), move: func(w *neonWriter, reg int) {
			w.write(func() { w.Go("FMOVS F%d, %s", reg, w.Arg(name)) })
		}})
		end, ok := w.assign(t.code)
		if !ok {
			panic(w.name + ": there are too few registers for the results")
		}
		end.flush()
	}
}
