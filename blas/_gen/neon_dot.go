package main

import (
	"fmt"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonDotWriter is a kernel for scalar products while it is written.
type neonDotWriter struct {
	*neonKernel
	a, b []neon.Reg // rows
	k    neon.Reg
	temp neon.Reg
}

// neonParts is the registers of partial sums for each scalar product: as many
// sums as in AVX's.
const neonParts = partSums / 16

// neonDotKernel writes a kernel for the scalar products of some rows of A with
// some rows of B, as dots does, in the same order of additions.
func neonDotKernel(f *neon.File, e neonElement, rows, cols int) {
	w := &neonDotWriter{neonKernel: newNEONKernel(f, e, fmt.Sprintf("dotsNEONx%dx%d", rows, cols),
		"func(k int, a *%[1]s, aRow int, b *%[1]s, bRow int, c *%[1]s, cRow int, alpha, beta %[1]s)")}
	w.k, w.temp = w.arg("k"), w.New()
	w.a = w.rows("a", w.stride("aRow"), rows)
	w.b = w.rows("b", w.stride("bRow"), cols)
	w.clear(rows * cols * neonParts)
	w.loop()
	w.tail()
	w.Label("sum")
	w.finish()
	w.Go("RET")
}

// acc is the register of part u of the product of row i of A and row j of B.
func (w *neonDotWriter) acc(i, j, u int) int { return (i*len(w.b)+j)*neonParts + u }

// free is the first register that no sums are in.
func (w *neonDotWriter) free() int { return len(w.a) * len(w.b) * neonParts }

// loop adds as many products at a time as there are partial sums.
func (w *neonDotWriter) loop() {
	lanes := partSums / w.size
	w.Go("SUBS $%d, %v, %v", lanes, w.k, w.k)
	w.Go("BLT tail")
	w.Label("next")
	some := 1 // parts that are loaded at a time
	if w.free()+2*(len(w.a)+len(w.b)) <= 32 {
		some = 2
	}
	for u := 0; u < neonParts; u += some {
		w.step(u, some, func(row neon.Reg, first int) {
			w.loadVectors(row, 16*u, []int{first, first + 1}[:some]...)
		})
	}
	for _, row := range append(w.a, w.b...) {
		w.Go("ADD $%d, %v, %v", partSums, row, row)
	}
	w.Go("SUBS $%d, %v, %v", lanes, w.k, w.k)
	w.Go("BGE next")
	w.Label("tail")
	w.Go("ADDS $%d, %v, %v", lanes, w.k, w.k)
	w.Go("BEQ sum")
}

// step adds the products of some parts from u on.
func (w *neonDotWriter) step(u, some int, load func(row neon.Reg, first int)) {
	x := w.free()
	for i, row := range append(w.a, w.b...) {
		load(row, x+i*some)
	}
	for part := range some {
		for i := range w.a {
			for j := range w.b {
				w.Vec("fmla v%[1]d.%[4]s, v%[2]d.%[4]s, v%[3]d.%[4]s",
					w.acc(i, j, u+part), x+i*some+part, x+(len(w.a)+j)*some+part, w.four)
			}
		}
	}
}

// tail adds the products that are left: whole registers first, then what does
// not fill one.
func (w *neonDotWriter) tail() {
	lanes := 16 / w.size
	for u := range neonParts {
		few := w.NewLabel("few")
		if u < neonParts-1 {
			w.Go("CMP $%d, %v", lanes, w.k)
			w.Go("BLT %s", few)
			w.step(u, 1, func(row neon.Reg, x int) { w.Go("FMOVQ %d(%v), F%d", 16*u, row, x) })
			w.Go("SUB $%d, %v, %v", lanes, w.k, w.k)
			next := w.NewLabel("part")
			w.Go("B %s", next)
			w.Label(few)
			w.few(u)
			w.Go("B sum")
			w.Label(next)
		} else {
			w.few(u)
		}
	}
}

// few adds the products that do not fill a register, if there are any.
func (w *neonDotWriter) few(u int) {
	w.Go("CBZ %v, sum", w.k)
	w.step(u, 1, func(row neon.Reg, x int) {
		if w.size == 8 {
			w.Go("FMOVD %d(%v), F%d", 16*u, row, x)
		} else {
			w.LoadFew(x, row, 16*u, w.k, w.temp)
		}
	})
}

// finish adds the partial sums and writes C, which is not read where beta is zero.
func (w *neonDotWriter) finish() {
	alpha, beta, old, write := 31, 30, 29, "write"
	c, cRow := w.arg("c"), w.stride("cRow")
	each := func(do func(sum int, at string)) {
		row := w.temp
		w.Go("MOVD %v, %v", c, row)
		for i := range w.a {
			for j := range w.b {
				do(w.acc(i, j, 0), fmt.Sprintf("%d(%v)", j*w.size, row))
			}
			w.Go("ADD %v, %v, %v", cRow, row, row)
		}
	}
	w.alpha(alpha)
	for i := range w.a {
		for j := range w.b {
			w.reduce(w.acc(i, j, 0))
			w.scale(w.acc(i, j, 0), alpha)
		}
	}
	w.beta(beta, write)
	each(func(sum int, at string) {
		w.Go("%s %s, F%d", w.move, at, old)
		w.fma(sum, old, beta)
	})
	w.Label(write)
	each(func(sum int, at string) { w.Go("%s F%d, %s", w.move, sum, at) })
}

// reduce adds the partial sums in four registers, halving them until one is left.
func (w *neonDotWriter) reduce(x int) {
	add := func(to, a, b int) {
		w.Vec("fadd v%[1]d.%[4]s, v%[2]d.%[4]s, v%[3]d.%[4]s", to, a, b, w.four)
	}
	add(x, x, x+2)
	add(x+1, x+1, x+3)
	add(x, x, x+1)
	if w.size == 8 {
		w.Vec("faddp d%d, v%d.2d", x, x)
		return
	}
	w.Vec("ext v%d.16b, v%d.16b, v%d.16b, #8", x+1, x, x)
	add(x, x, x+1)
	w.Vec("faddp s%d, v%d.2s", x, x)
}
