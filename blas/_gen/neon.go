package main

import (
	"fmt"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonElement is a type of matrix element in NEON's registers.
type neonElement struct {
	prefix, name string
	size         int
	four         string // the arrangement of a full register
	lane         string // its first element
	move         string // of one element
	compare      string
}

var neonTypes = []neonElement{
	{"s", "float32", 4, "4s", "s[0]", "FMOVS", "FCMPS"},
	{"d", "float64", 8, "2d", "d[0]", "FMOVD", "FCMPD"},
}

// neonHeights are the heights of tiles. The greatest fills the registers: 24 with sums,
// four with a row of B, the rest with elements of A.
var neonHeights = []int{6, 4, 2, 1}

// neonDots are the rows of A and of B in kernels for scalar products.
var neonDots = [][2]int{{3, 2}, {3, 1}, {2, 2}, {2, 1}, {1, 4}, {1, 1}}

// neonBytes is the width of a tile in bytes: four registers.
const neonBytes = 64

// writeNEON writes the kernels for arm64.
func writeNEON(assembly, stubs string) error {
	f := neon.NewFile("blas", "blas/_gen")
	for _, e := range neonTypes {
		neonCopier(f, e, neonHeights[0])
		neonCopier(f, e, neonBytes/e.size)
		neonTransposer(f, e)
		for _, d := range neonDots {
			neonDotKernel(f, e, d[0], d[1])
		}
		neonTile(f, e, 1, neonRow)
		for _, rows := range neonHeights {
			neonTile(f, e, rows, neonFull)
			neonTile(f, e, rows, neonWide)
			neonTile(f, e, rows, neonNarrow)
		}
	}
	return f.Write(assembly, stubs)
}

// neonKernel is a kernel while it is written.
type neonKernel struct {
	*neon.Func
	neon.Registers
	neonElement
}

func newNEONKernel(f *neon.File, e neonElement, name, signature string) *neonKernel {
	return &neonKernel{Func: f.Func(e.prefix+name, fmt.Sprintf(signature, e.name)), neonElement: e}
}

// arg is an argument in a register.
func (k *neonKernel) arg(name string) neon.Reg {
	r := k.New()
	k.LoadArg(name, r)
	return r
}

// stride is a stride in bytes.
func (k *neonKernel) stride(name string) neon.Reg {
	r := k.arg(name)
	k.Go("LSL $%d, %v, %v", k.shift(), r, r)
	return r
}

// shift is the binary logarithm of the element's size.
func (e neonElement) shift() int {
	if e.size == 8 {
		return 3
	}
	return 2
}

// rows is the addresses of rows that are stride apart.
func (k *neonKernel) rows(first string, stride neon.Reg, n int) []neon.Reg {
	all := []neon.Reg{k.arg(first)}
	for len(all) < n {
		next := k.New()
		k.Go("ADD %v, %v, %v", stride, all[len(all)-1], next)
		all = append(all, next)
	}
	return all
}

// loadVectors loads vectors that follow one another in memory to registers.
func (k *neonKernel) loadVectors(base neon.Reg, disp int, to ...int) {
	for ; len(to) >= 2; to, disp = to[2:], disp+32 {
		k.Go("FLDPQ %d(%v), (F%d, F%d)", disp, base, to[0], to[1])
	}
	if len(to) > 0 {
		k.Go("FMOVQ %d(%v), F%d", disp, base, to[0])
	}
}

// storeVectors stores registers one after the other.
func (k *neonKernel) storeVectors(base neon.Reg, disp int, from ...int) {
	for ; len(from) >= 2; from, disp = from[2:], disp+32 {
		k.Go("FSTPQ (F%d, F%d), %d(%v)", from[0], from[1], disp, base)
	}
	if len(from) > 0 {
		k.Go("FMOVQ F%d, %d(%v)", from[0], disp, base)
	}
}

// fma adds the product of all of b and the first element of a.
func (k *neonKernel) fma(sum, b, a int) {
	k.Vec("fmla v%d.%s, v%d.%s, v%d.%s", sum, k.four, b, k.four, a, k.lane)
}

// scale multiplies by the first element of a.
func (k *neonKernel) scale(v, a int) {
	k.Vec("fmul v%d.%s, v%d.%s, v%d.%s", v, k.four, v, k.four, a, k.lane)
}

// clear makes registers zero.
func (k *neonKernel) clear(n int) {
	for v := range n {
		k.Vec("movi v%d.2d, #0x0", v)
	}
}

// alpha loads alpha.
func (k *neonKernel) alpha(to int) { k.Go("%s %s, F%d", k.move, k.Arg("alpha"), to) }

// beta loads beta, and jumps where it is zero, of either sign.
func (k *neonKernel) beta(to int, ifZero string) {
	k.Go("%s %s, F%d", k.move, k.Arg("beta"), to)
	k.Go("%s $(0.0), F%d", k.compare, to)
	k.Go("BEQ %s", ifZero)
}
