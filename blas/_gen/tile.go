package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// variant says how wide a tile is and whether it has a ragged edge.
type variant struct {
	name    string
	vectors int  // side by side
	masked  bool // only the first n columns exist
	ahead   bool // fetches memory that is needed after the tile
}

var (
	full   = variant{"Full", 2, false, false}
	wide   = variant{"Wide", 2, true, false}
	narrow = variant{"Narrow", 1, true, false}

	// fetching is full, and fetches a line of a cache with each product.
	fetching = variant{"Fetching", 2, false, true}

	// row is for A with one row, where only width gives the processor enough to do at
	// a time.
	row = variant{"Row", 8, false, false}
)

// mostPanels is how many packed panels of B the kernels for one row of A take side by
// side, at most: only so the processor has enough to do at a time.
const mostPanels = 4

// panelRow writes a kernel for
//
//	c = alpha · a · B + beta · c
//
// with one row and as many packed panels of B, each two vectors wide, at distances of
// bPanel elements.
func panelRow(s set, e element, panels int) {
	w := &tileWriter{set: s, element: e, variant: variant{name: "Panels", vectors: 2 * panels}, rows: 1}
	TEXT(fmt.Sprintf("%sgemm%sPanels%d", e.prefix, s.name, panels), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, aCol int, b *%[1]s, bPanel int, c *%[1]s, alpha, beta %[1]s)", e.name))
	Pragma("noescape")
	w.clearAccumulators()
	k, a, aCol := Load(Param("k"), GP64()), Load(Param("a"), GP64()), stride(e, "aCol")
	b := newRowPointers(Load(Param("b"), GP64()), stride(e, "bPanel"), panels)
	Label("next")
	x := w.vector()
	w.broadcast(Mem{Base: a}, x)
	w.eachVector(func(_, v int) { w.fma(b.at(v/2, v%2*w.bytes), x, w.acc[0][v]) })
	ADDQ(aCol, a)
	b.advance(Imm(uint64(2 * w.bytes)))
	DECQ(k)
	JNZ(LabelRef("next"))
	w.writeC(newRowPointers(Load(Param("c"), GP64()), nil, 1))
	VZEROUPPER()
	RET()
}

// sumBlocks is the number of blocks of the inner index that a kernel of rowSums takes side
// by side: the gates of an LSTM.
const sumBlocks = 4

// rowSums writes a kernel for
//
//	c = alpha · a₀ · B₀ + beta · c, then c += alpha · aᵢ · Bᵢ for the other blocks in turn
//
// with rows aᵢ that are aBlock elements apart, and panels Bᵢ of B, bBlock elements apart.
// The sums of a block are its own, as if it were multiplied alone.
func rowSums(s set, e element) {
	w := &tileWriter{set: s, element: e, variant: full, rows: sumBlocks}
	TEXT(fmt.Sprintf("%sgemm%sSums%d", e.prefix, s.name, sumBlocks), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, aBlock, aCol int, b *%[1]s, bBlock int, c *%[1]s, alpha, beta %[1]s)", e.name))
	Pragma("noescape")
	w.clearAccumulators()
	k, aCol := Load(Param("k"), GP64()), stride(e, "aCol")
	a := newRowPointers(Load(Param("a"), GP64()), stride(e, "aBlock"), sumBlocks)
	b := newRowPointers(Load(Param("b"), GP64()), stride(e, "bBlock"), sumBlocks)
	Label("next")
	for i := range sumBlocks {
		x := w.vector()
		w.broadcast(a.at(i, 0), x)
		for v := range w.vectors {
			w.fma(b.at(i, v*w.bytes), x, w.acc[i][v])
		}
	}
	a.advance(aCol)
	b.advance(Imm(uint64(w.vectors * w.bytes)))
	DECQ(k)
	JNZ(LabelRef("next"))
	w.writeSums(Load(Param("c"), GP64()))
	VZEROUPPER()
	RET()
}

// writeSums writes the sums of all blocks to c.
func (w *tileWriter) writeSums(c reg.Register) {
	alpha, beta := w.vector(), w.vector()
	w.broadcast(param("alpha"), alpha)
	w.broadcast(param("beta"), beta)
	w.eachVector(func(i, v int) { w.mul(alpha, w.acc[i][v], w.acc[i][v]) })

	skipIfZero(w.element, "beta", "sum")
	for v := range w.vectors {
		w.fma(Mem{Base: c, Disp: v * w.bytes}, beta, w.acc[0][v])
	}
	Label("sum")
	for v := range w.vectors {
		for i := 1; i < w.rows; i++ {
			w.element.add(w.acc[i][v], w.acc[0][v], w.acc[0][v])
		}
		w.move(w.acc[0][v], Mem{Base: c, Disp: v * w.bytes})
	}
}

// tileWriter holds the registers of one kernel while it is written.
type tileWriter struct {
	set
	element
	variant
	rows int
	acc  [][]reg.VecVirtual
	kreg []reg.OpmaskVirtual // AVX-512: the lanes that exist, by vector
	mask reg.GPVirtual       // AVX2: where the same is in memory
}

// tile writes a kernel for
//
//	C[rows×n] = alpha · A[rows×k] · B[k×n] + beta · C
//
// that reads element (i, p) of A at i·aRow + p·aCol and element (p, j) of B at
// p·bRow + j, so that it takes packed panels and matrices as they lie alike.
func tile(s set, e element, rows int, v variant) {
	w := &tileWriter{set: s, element: e, variant: v, rows: rows}
	signature := "func(k int, a *%[1]s, aRow, aCol int, b *%[1]s, bRow int, c *%[1]s, cRow, n int, alpha, beta %[1]s"
	if v.ahead {
		signature += ", ahead *%[1]s, aheadRow int"
	}
	TEXT(fmt.Sprintf("%sgemm%s%s%d", e.prefix, s.name, v.name, rows), NOSPLIT, fmt.Sprintf(signature+")", e.name))
	Pragma("noescape")
	w.prepareMasks()
	w.fetchC()
	w.clearAccumulators()
	w.loop()
	w.writeC(newRowPointers(Load(Param("c"), GP64()), stride(w.element, "cRow"), w.rows))
	VZEROUPPER()
	RET()
}

func (w *tileWriter) prepareMasks() {
	if !w.masked {
		return
	}
	n := Load(Param("n"), GP64())
	if w.set.name == avx2.name {
		w.mask = maskWindow(w.element, n)
		return
	}
	bits := GP64()
	XORL(bits.As32(), bits.As32())
	BTSQ(n, bits)
	DECQ(bits)
	for v := range w.vectors {
		k := K()
		KMOVW(bits.As32(), k)
		w.kreg = append(w.kreg, k)
		if v+1 < w.vectors {
			SHRQ(Imm(uint64(w.bytes/w.size)), bits)
		}
	}
}

// fetchC fetches the tile of C, which is needed when the products are done.
func (w *tileWriter) fetchC() {
	c := newRowPointers(Load(Param("c"), GP64()), stride(w.element, "cRow"), w.rows)
	for i := range w.rows {
		for at := 0; at < w.vectors*w.bytes; at += 64 {
			PREFETCHT0(c.at(i, at))
		}
	}
}

func (w *tileWriter) clearAccumulators() {
	for range w.rows {
		var row []reg.VecVirtual
		for range w.vectors {
			x := w.vector()
			w.zero(x)
			row = append(row, x)
		}
		w.acc = append(w.acc, row)
	}
}

// loop adds the k products to the accumulators, one after the other.
func (w *tileWriter) loop() {
	k := Load(Param("k"), GP64())
	aRow, aCol := stride(w.element, "aRow"), stride(w.element, "aCol")
	a := newRowPointers(Load(Param("a"), GP64()), aRow, w.rows)
	b, bRow := Load(Param("b"), GP64()), stride(w.element, "bRow")
	var ahead, aheadRow reg.Register
	if w.variant.ahead {
		ahead, aheadRow = Load(Param("ahead"), GP64()), stride(w.element, "aheadRow")
	}

	Label("next")
	if w.variant.ahead {
		PREFETCHT1(Mem{Base: ahead})
		ADDQ(aheadRow, ahead)
	}
	if w.rows == 1 {
		w.multiplyRow(a, aCol, b, bRow)
	} else {
		w.multiplyRows(a, aCol, b, bRow)
	}
	a.advance(aCol)
	ADDQ(bRow, b)
	DECQ(k)
	JNZ(LabelRef("next"))
}

// multiplyRows adds the products of a column of A and a row of B, whose vectors
// stay in registers for all rows of A.
func (w *tileWriter) multiplyRows(a rowPointers, aCol, b, bRow reg.Register) {
	var bv []reg.VecVirtual
	for v := range w.vectors {
		bv = append(bv, w.vectorOfB(v, b, bRow))
	}
	for i := range w.rows {
		x := w.vector()
		w.broadcast(a.at(i, 0), x)
		for v := range w.vectors {
			w.fma(bv[v], x, w.acc[i][v])
		}
	}
}

// multiplyRow is multiplyRows for one row of A, which uses each vector of B at
// once: eight of them beside eight accumulators would fill all registers of AVX2,
// and leave none for A.
func (w *tileWriter) multiplyRow(a rowPointers, aCol, b, bRow reg.Register) {
	x := w.vector()
	w.broadcast(a.at(0, 0), x)
	for v := range w.vectors {
		w.fma(w.vectorOfB(v, b, bRow), x, w.acc[0][v])
	}
}

// vectorOfB loads vector v of a row of B. Tiles of few rows, and with AVX-512 all, fetch
// the one eight rows on.
func (w *tileWriter) vectorOfB(v int, b, bRow reg.Register) reg.VecVirtual {
	x := w.vector()
	w.load(Mem{Base: b, Disp: v * w.bytes}, v, x)
	if w.rows <= w.fetched {
		PREFETCHT0(Mem{Base: b, Index: bRow, Scale: 8, Disp: v * w.bytes})
	}
	return x
}

// writeC writes the tile of C; where beta is zero it does not read it. All is
// read before anything is written: the processor may take the lanes that a mask
// leaves out for an overlap of one row with the next, and wait.
func (w *tileWriter) writeC(c rowPointers) {
	alpha, beta := w.vector(), w.vector()
	w.broadcast(param("alpha"), alpha)
	w.broadcast(param("beta"), beta)
	w.eachVector(func(i, v int) { w.mul(alpha, w.acc[i][v], w.acc[i][v]) })

	skipIfZero(w.element, "beta", "write")
	w.eachVector(func(i, v int) {
		x := w.vector()
		w.load(c.at(i, v*w.bytes), v, x)
		w.fma(beta, x, w.acc[i][v])
	})
	Label("write")
	w.eachVector(func(i, v int) { w.store(w.acc[i][v], v, c.at(i, v*w.bytes)) })
}

func (w *tileWriter) eachVector(do func(i, v int)) {
	for i := range w.rows {
		for v := range w.vectors {
			do(i, v)
		}
	}
}

// load loads vector v of a row; lanes that do not exist become zero.
func (w *tileWriter) load(from Mem, v int, to reg.VecVirtual) {
	switch {
	case !w.masked:
		w.move(from, to)
	case w.set.name == avx2.name:
		// There is no register to spare: the target holds the mask first.
		VMOVDQU(Mem{Base: w.mask, Disp: v * w.bytes}, to)
		w.maskMove(from, to, to)
	default:
		w.moveZero(from, w.kreg[v], to)
	}
}

// store stores vector v of a row, and nothing where there is no lane.
func (w *tileWriter) store(from reg.VecVirtual, v int, to Mem) {
	switch {
	case !w.masked:
		w.move(from, to)
	case w.set.name == avx2.name:
		mask := w.vector()
		VMOVDQU(Mem{Base: w.mask, Disp: v * w.bytes}, mask)
		w.maskMove(from, mask, to)
	default:
		w.move(from, w.kreg[v], to)
	}
}
