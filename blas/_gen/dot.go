package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// partSums is the size in bytes of the partial sums of each scalar product for all
// registers: one of AVX-512 or two of AVX2.
const partSums = 64

// dotWriter holds the registers of one kernel while it is written.
type dotWriter struct {
	set
	element
	rows, cols int
	a, b       rowPointers
	acc        [][][]reg.VecVirtual // by row, column and part
	// What is fetched for the next kernel, and how many bytes with each step; nil for
	// nothing.
	next, nextStep reg.Register
}

// dots writes a kernel for the scalar products of some rows of A with some
// rows of B,
//
//	C[i, j] = alpha · A[i]·B[j] + beta · C[i, j]
//
// A product is the same however many rows are taken at a time.
func dots(s set, e element, rows, cols int) {
	w := &dotWriter{set: s, element: e, rows: rows, cols: cols}
	TEXT(fmt.Sprintf("%sdots%sx%dx%d", e.prefix, s.name, rows, cols), NOSPLIT, fmt.Sprintf("func(%s)", dotParams(e)))
	w.tile()
}

// dotsAhead writes a kernel that does the same and fetches memory for the next one:
// with every step two lines from ahead on, which then moves by aheadStep elements.
func dotsAhead(s set, e element, rows, cols int) {
	w := &dotWriter{set: s, element: e, rows: rows, cols: cols}
	TEXT(fmt.Sprintf("%sdots%sx%dx%dAhead", e.prefix, s.name, rows, cols), NOSPLIT, fmt.Sprintf("func(%s, ahead *%s, aheadStep int)", dotParams(e), e.name))
	w.next, w.nextStep = Load(Param("ahead"), GP64()), stride(e, "aheadStep")
	w.tile()
}

func dotParams(e element) string {
	return fmt.Sprintf("k int, a *%[1]s, aRow int, b *%[1]s, bRow int, c *%[1]s, cRow int, alpha, beta %[1]s", e.name)
}

// tile writes what the kernels for tiles have in common.
func (w *dotWriter) tile() {
	e := w.element
	Pragma("noescape")
	w.a = newRowPointers(Load(Param("a"), GP64()), stride(e, "aRow"), w.rows)
	w.b = newRowPointers(Load(Param("b"), GP64()), stride(e, "bRow"), w.cols)
	w.clearAccumulators()
	w.loop()
	w.write(newRowPointers(Load(Param("c"), GP64()), stride(w.element, "cRow"), w.rows))
	VZEROUPPER()
	RET()
}

// dotsInTurn writes a kernel for the scalar products of a vector with n rows of B, one
// after the other,
//
//	c[j] = alpha · a·B[j] + beta · c[j]
//
// so that B is read in the order of memory. The processor fetches it by itself: with
// instructions to fetch some kilobytes ahead, memory was slower on Zen 4 (16 GB/s
// instead of 20), and the third-level cache as fast.
func dotsInTurn(s set, e element) {
	w := &dotWriter{set: s, element: e, rows: 1, cols: 1}
	TEXT(fmt.Sprintf("%sdots%sInTurn", e.prefix, s.name), NOSPLIT, fmt.Sprintf(
		"func(n, k int, a, b *%[1]s, bRow int, c *%[1]s, alpha, beta %[1]s)", e.name))
	Pragma("noescape")
	n, a, b, c := Load(Param("n"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	bRow := stride(e, "bRow")
	Label("row")
	w.a, w.b, w.acc = newRowPointers(a, bRow, 1), newRowPointers(b, bRow, 1), nil
	w.clearAccumulators()
	w.loop()
	w.write(rowPointers{base: []reg.GPVirtual{c.(reg.GPVirtual)}})
	ADDQ(bRow, b)
	ADDQ(Imm(uint64(e.size)), c)
	DECQ(n)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

func (w *dotWriter) parts() int { return partSums / w.bytes }

func (w *dotWriter) clearAccumulators() {
	for range w.rows {
		var row [][]reg.VecVirtual
		for range w.cols {
			var parts []reg.VecVirtual
			for range w.parts() {
				x := w.vector()
				w.zero(x)
				parts = append(parts, x)
			}
			row = append(row, parts)
		}
		w.acc = append(w.acc, row)
	}
}

// loop adds as many products at a time as there are partial sums; those left
// over at the end go through masks.
func (w *dotWriter) loop() {
	k := Load(Param("k"), GP64())
	lanes := uint64(partSums / w.size)
	SUBQ(Imm(lanes), k)
	JL(LabelRef("tail"))
	Label("next")
	if w.next != nil {
		PREFETCHT1(Mem{Base: w.next})
		PREFETCHT1(Mem{Base: w.next, Disp: 64})
		ADDQ(w.nextStep, w.next)
	}
	for u := range w.parts() {
		w.step(u, func(from Mem, to reg.VecVirtual) { w.move(from, to) })
	}
	w.a.advance(Imm(partSums))
	w.b.advance(Imm(partSums))
	SUBQ(Imm(lanes), k)
	JGE(LabelRef("next"))

	Label("tail")
	ADDQ(Imm(lanes), k)
	JZ(LabelRef("sum"))
	if w.set.name == avx2.name {
		w.maskedStepsAVX2(k)
	} else {
		bits, mask := GP64(), K()
		XORL(bits.As32(), bits.As32())
		BTSQ(k, bits)
		DECQ(bits)
		KMOVW(bits.As32(), mask)
		w.step(0, func(from Mem, to reg.VecVirtual) { w.moveZero(from, mask, to) })
	}
	Label("sum")
}

func (w *dotWriter) maskedStepsAVX2(k reg.Register) {
	window := maskWindow(w.element, k)
	for u := range w.parts() {
		mask := w.vector()
		VMOVDQU(Mem{Base: window, Disp: u * w.bytes}, mask)
		w.step(u, func(from Mem, to reg.VecVirtual) { w.maskMove(from, mask, to) })
	}
}

// step adds the products of part u.
func (w *dotWriter) step(u int, load func(from Mem, to reg.VecVirtual)) {
	var av []reg.VecVirtual
	for i := range w.rows {
		x := w.vector()
		load(w.a.at(i, u*w.bytes), x)
		av = append(av, x)
	}
	for j := range w.cols {
		x := w.vector()
		load(w.b.at(j, u*w.bytes), x)
		for i := range w.rows {
			w.fma(av[i], x, w.acc[i][j][u])
		}
	}
}

// write adds the partial sums and writes C, which is not read where beta is zero.
func (w *dotWriter) write(c rowPointers) {
	wide := min(w.cols, 4) // elements of C to a register
	alpha, beta := w.sums(wide), w.sums(wide)
	w.toAll(param("alpha"), alpha)
	w.toAll(param("beta"), beta)
	results := make(map[[2]int]reg.Register)
	w.each(wide, func(i, j int) {
		r := w.reduce(w.acc[i][j : j+wide])
		w.mul(alpha, r, r)
		results[[2]int{i, j}] = r
	})
	skipIfZero(w.element, "beta", "write")
	w.each(wide, func(i, j int) {
		old := w.sums(wide)
		w.moveSums(c.at(i, j*w.size), old)
		w.fma(beta, old, results[[2]int{i, j}])
	})
	Label("write")
	w.each(wide, func(i, j int) { w.moveSums(results[[2]int{i, j}], c.at(i, j*w.size)) })
}

// each runs along the rows of C by a register at a time.
func (w *dotWriter) each(wide int, do func(i, j int)) {
	for i := range w.rows {
		for j := 0; j < w.cols; j += wide {
			do(i, j)
		}
	}
}

// sums is a register for some elements of C.
func (w *dotWriter) sums(wide int) reg.VecVirtual {
	if wide*w.size > 16 {
		return YMM()
	}
	return XMM()
}

// moveSums loads or stores a register of C's elements, or one of them.
func (w *dotWriter) moveSums(from, to Op) {
	if w.cols == 1 {
		w.moveOne(from, to)
	} else {
		w.move(from, to)
	}
}

// toAll fills a register with copies of one element.
func (w *dotWriter) toAll(from Mem, to reg.VecVirtual) {
	if w.size == 8 && to.Size() == 16 {
		VMOVDDUP(from, to)
	} else {
		w.broadcast(from, to)
	}
}

// reduce adds the partial sums of one or four products, halving them until one
// is left of each.
func (w *dotWriter) reduce(products [][]reg.VecVirtual) reg.Register {
	var x []reg.VecVirtual
	for _, parts := range products {
		x = append(x, w.quarter(parts))
	}
	if len(x) == 1 {
		return w.reduceOne(x[0])
	}
	low, high := w.pairs(x[0], x[1]), w.pairs(x[2], x[3])
	r := w.sums(4)
	if w.size == 8 {
		if w.set.name == avx512.name {
			VINSERTF32X4(Imm(1), high, low.AsY(), r) // reaches all registers
		} else {
			VINSERTF128(Imm(1), high, low.AsY(), r)
		}
		return r
	}
	odd := XMM()
	VSHUFPS(Imm(0x88), high, low, r)
	VSHUFPS(Imm(0xdd), high, low, odd)
	w.add(odd, r, r)
	return r
}

// quarter adds partial sums until 16 bytes of them are left.
func (w *dotWriter) quarter(parts []reg.VecVirtual) reg.VecVirtual {
	low, high := YMM(), YMM()
	if len(parts) == 2 {
		w.add(parts[1], parts[0], low)
		VEXTRACTF128(Imm(1), low, high.AsX())
	} else {
		VEXTRACTF64X4(Imm(1), parts[0], high)
		w.add(high, parts[0].AsY(), low)
		VEXTRACTF32X4(Imm(1), low, high.AsX()) // reaches all registers
	}
	x := XMM()
	w.add(high.AsX(), low.AsX(), x)
	return x
}

// pairs adds the halves of x and those of y.
func (w *dotWriter) pairs(x, y reg.VecVirtual) reg.VecVirtual {
	low, high := XMM(), XMM()
	VUNPCKLPD(y, x, low)
	VUNPCKHPD(y, x, high)
	w.add(high, low, low)
	return low
}

func (w *dotWriter) reduceOne(x reg.VecVirtual) reg.Register {
	y := XMM()
	VMOVHLPS(x, x, y)
	w.add(y, x, x)
	if w.size == 4 {
		VMOVSHDUP(x, y)
		w.add(y, x, x)
	}
	return x
}
