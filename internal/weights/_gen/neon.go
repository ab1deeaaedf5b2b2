package main

import (
	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonKernel is a kernel while it is written for arm64.
type neonKernel struct {
	*neon.Func
	neon.Registers
	format
	w, scales, x, temp neon.Reg
}

// What the vector registers hold: sixteen numbers are in four of them.
const (
	neonSums    = 0  // four of sums, eight in bf16
	neonX       = 8  // up to eight of a group of x
	neonBytes   = 16 // four of the matrix as it is stored, and halfway widened
	neonNumbers = 20 // eight of a group of the matrix, or of products
	neonScale   = 28
)

// writeNEON writes the kernels for arm64.
func writeNEON(assembly, stubs string) error {
	f := neon.NewFile("weights", "internal/weights/_gen")
	for _, form := range formats {
		neonDots(f, form)
		neonUnpack(f, form)
	}
	return f.Write(assembly, stubs)
}

func newNEONKernel(f *neon.File, form format, name, signature string) *neonKernel {
	k := &neonKernel{Func: f.Func(name+form.name+"NEON", signature), format: form}
	k.w = k.arg("w")
	if form.scaled {
		k.scales, k.temp = k.arg("scales"), k.New()
	}
	return k
}

// arg is an argument in a register.
func (k *neonKernel) arg(name string) neon.Reg {
	r := k.New()
	k.LoadArg(name, r)
	return r
}

// neonDots writes a kernel for y = W·x, which adds in the order of AVX's.
func neonDots(f *neon.File, form format) {
	k := newNEONKernel(f, form, "dots", form.dotsSignature())
	vector, unit, sums := "x", 1, 8
	if form.scaled {
		vector, unit, sums = "units", form.unit, 4
	}
	x, y, rows, groups := k.arg(vector), k.arg("y"), k.arg("rows"), k.arg("groups")
	left := k.New()
	k.x = k.New()
	k.Label("row")
	for v := range sums {
		k.Vec("movi v%d.2d, #0x0", neonSums+v)
	}
	k.Go("MOVD %v, %v", x, k.x)
	k.Go("SUBS $%d, %v, %v", unit, groups, left)
	k.Go("BLT rest")
	k.Label("next")
	for g := range unit {
		k.add(g)
	}
	k.Go("ADD $%d, %v, %v", k.unitBytes(), k.x, k.x)
	k.Go("SUBS $%d, %v, %v", unit, left, left)
	k.Go("BGE next")
	k.Label("rest")
	k.Go("ADD $%d, %v, %v", unit, left, left)
	for g := range unit - 1 {
		k.Go("CBZ %v, sum", left)
		k.add(g)
		k.Go("SUB $1, %v, %v", left, left)
	}
	k.Label("sum")
	k.reduce(sums)
	k.Go("FMOVS F%d, (%v)", neonSums, y)
	k.Go("ADD $4, %v, %v", y, y)
	k.Go("SUBS $1, %v, %v", rows, rows)
	k.Go("BNE row")
	k.Go("RET")
}

// unitBytes is the size of a unit of x.
func (k *neonKernel) unitBytes() int {
	if k.scaled {
		return k.places + 128
	}
	return 4 * group
}

// add adds the products of group g of a unit.
func (k *neonKernel) add(g int) {
	switch k.format.name {
	case bf16.name:
		for v := 0; v < 8; v += 2 {
			k.Go("FLDPQ %d(%v), (F%d, F%d)", 16*v, k.x, neonX+v, neonX+v+1)
		}
		k.numbers()
		for v := range 8 {
			k.Vec("fmla v%d.4s, v%d.4s, v%d.4s", neonSums+v, neonNumbers+v, neonX+v)
		}
	case int8.name:
		k.Go("FLDPQ %d(%v), (F%d, F%d)", 32*g, k.x, neonX, neonX+1)
		k.Go("FLDPQ %d(%v), (F%d, F%d)", k.places+64+32*g, k.x, neonX+2, neonX+3)
		k.loadScale()
		k.Go("FLDPQ (%v), (F%d, F%d)", k.w, neonBytes, neonBytes+1)
		k.Go("ADD $%d, %v, %v", k.bytes, k.w, k.w)
		for half := range 2 {
			w, x, to := neonBytes+half, neonX+half, neonNumbers+2*half
			k.Vec("smull v%d.8h, v%d.8b, v%d.8b", to, w, x)
			k.Vec("smull2 v%d.8h, v%d.16b, v%d.16b", to+1, w, x)
			k.addUp(to, neonX+2+half, neonSums+2*g+half)
		}
	case int4.name:
		k.Go("FMOVQ %d(%v), F%d", 16*g, k.x, neonX)
		k.Go("FMOVQ %d(%v), F%d", 64+16*g, k.x, neonX+1)
		k.Go("FMOVQ %d(%v), F%d", k.places+64+16*g, k.x, neonX+2)
		k.loadScale()
		k.halves()
		k.Go("ADD $%d, %v, %v", k.bytes, k.w, k.w)
		to := neonNumbers
		k.Vec("smull v%d.8h, v%d.8b, v%d.8b", to, neonBytes, neonX)
		k.Vec("smull2 v%d.8h, v%d.16b, v%d.16b", to+1, neonBytes, neonX)
		k.Vec("smlal v%d.8h, v%d.8b, v%d.8b", to, neonBytes+1, neonX+1)
		k.Vec("smlal2 v%d.8h, v%d.16b, v%d.16b", to+1, neonBytes+1, neonX+1)
		k.addUp(to, neonX+2, neonSums+g)
	}
}

// addUp makes sums of four out of the products in two registers, and adds them,
// scaled, to a register of sums.
func (k *neonKernel) addUp(products, scales, to int) {
	k.Vec("saddlp v%d.4s, v%d.8h", products, products)
	k.Vec("saddlp v%d.4s, v%d.8h", products+1, products+1)
	k.Vec("addp v%d.4s, v%d.4s, v%d.4s", products, products, products+1)
	k.Vec("scvtf v%d.4s, v%d.4s", products, products)
	k.Vec("fmul v%d.4s, v%d.4s, v%d.4s", products, products, scales)
	k.Vec("fmla v%d.4s, v%d.4s, v%d.s[0]", to, products, neonScale)
}

// loadScale loads the next scale of the matrix.
func (k *neonKernel) loadScale() {
	k.Go("MOVHU (%v), %v", k.scales, k.temp)
	k.Go("LSL $16, %v, %v", k.temp, k.temp)
	k.Go("FMOVS %v, F%d", k.temp, neonScale)
	k.Go("ADD $%d, %v, %v", scaleBytes, k.scales, k.scales)
}

// halves loads the integers in the lower halves of a group's bytes, and then those in
// the upper ones.
func (k *neonKernel) halves() {
	k.Go("FMOVQ (%v), F%d", k.w, neonBytes)
	k.Vec("sshr v%d.16b, v%d.16b, #4", neonBytes+1, neonBytes)
	k.Vec("shl v%d.16b, v%d.16b, #4", neonBytes, neonBytes)
	k.Vec("sshr v%d.16b, v%d.16b, #4", neonBytes, neonBytes)
}

// numbers loads the next group, and its scale.
func (k *neonKernel) numbers() {
	if k.scaled {
		k.loadScale()
	}
	switch k.format.name {
	case bf16.name:
		for v := 0; v < 4; v += 2 {
			k.Go("FLDPQ %d(%v), (F%d, F%d)", 16*v, k.w, neonBytes+v, neonBytes+v+1)
		}
		for v := range 4 {
			k.Vec("shll v%d.4s, v%d.4h, #16", neonNumbers+2*v, neonBytes+v)
			k.Vec("shll2 v%d.4s, v%d.8h, #16", neonNumbers+2*v+1, neonBytes+v)
		}
	case int8.name:
		k.Go("FLDPQ (%v), (F%d, F%d)", k.w, neonBytes, neonBytes+1)
		k.widen()
	case int4.name:
		k.halves()
		k.widen()
	}
	k.Go("ADD $%d, %v, %v", k.bytes, k.w, k.w)
}

// widen makes numbers of the bytes in two registers.
func (k *neonKernel) widen() {
	for half := range 2 {
		from, middle, to := neonBytes+half, neonBytes+2, neonNumbers+4*half
		k.Vec("sshll v%d.8h, v%d.8b, #0", middle, from)
		k.Vec("sshll2 v%d.8h, v%d.16b, #0", middle+1, from)
		for v := range 2 {
			k.Vec("sshll v%d.4s, v%d.4h, #0", to+2*v, middle+v)
			k.Vec("sshll2 v%d.4s, v%d.8h, #0", to+2*v+1, middle+v)
		}
		for v := range 4 {
			k.Vec("scvtf v%d.4s, v%d.4s", to+v, to+v)
		}
	}
}

// reduce adds up the partial sums in some registers, of which four have sixteen:
// 32 to sixteen, eight, four, two and one.
func (k *neonKernel) reduce(registers int) {
	add := func(to, a, b int) { k.Vec("fadd v%d.4s, v%d.4s, v%d.4s", to, a, b) }
	for v := range registers - 4 {
		add(neonSums+v, neonSums+v, neonSums+4+v)
	}
	add(neonSums, neonSums, neonSums+2)
	add(neonSums+1, neonSums+1, neonSums+3)
	add(neonSums, neonSums, neonSums+1)
	k.Vec("ext v%d.16b, v%d.16b, v%d.16b, #8", neonSums+1, neonSums, neonSums)
	add(neonSums, neonSums, neonSums+1)
	k.Vec("faddp s%d, v%d.2s", neonSums, neonSums)
}

// neonUnpack writes a kernel for the numbers of a row.
func neonUnpack(f *neon.File, form format) {
	k := newNEONKernel(f, form, "unpack", form.unpackSignature())
	groups, dst := k.arg("groups"), k.arg("dst")
	k.Label("next")
	k.numbers()
	for v := 0; v < 8; v += 2 {
		a, b := neonNumbers+v, neonNumbers+v+1
		if k.scaled {
			k.Vec("fmul v%d.4s, v%d.4s, v%d.s[0]", a, a, neonScale)
			k.Vec("fmul v%d.4s, v%d.4s, v%d.s[0]", b, b, neonScale)
		}
		k.Go("FSTPQ (F%d, F%d), %d(%v)", a, b, 16*v, dst)
	}
	k.Go("ADD $%d, %v, %v", 4*group, dst, dst)
	k.Go("SUBS $1, %v, %v", groups, groups)
	k.Go("BNE next")
	k.Go("RET")
}
