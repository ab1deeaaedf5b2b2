package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// element is a type of matrix element and the instructions for it.
type element struct {
	prefix    string // BLAS's letter for the type
	name      string // Go's name for the type
	size      int    // in bytes
	broadcast func(...Op)
	move      func(...Op)
	moveZero  func(mem, mask, reg Op) // masked load; lanes that the mask leaves out become zero
	maskMove  func(mem, mask, reg Op)
	mul       func(...Op)
	add       func(...Op)
	fma       func(...Op) // third += first · second
	moveOne   func(...Op)
}

var single = element{
	prefix: "s", name: "float32", size: 4,
	broadcast: VBROADCASTSS, move: VMOVUPS, moveZero: VMOVUPS_Z, maskMove: VMASKMOVPS,
	mul: VMULPS, add: VADDPS, fma: VFMADD231PS, moveOne: VMOVSS,
}

var double = element{
	prefix: "d", name: "float64", size: 8,
	broadcast: VBROADCASTSD, move: VMOVUPD, moveZero: VMOVUPD_Z, maskMove: VMASKMOVPD,
	mul: VMULPD, add: VADDPD, fma: VFMADD231PD, moveOne: VMOVSD,
}

// shift is the binary logarithm of the element's size.
func (e element) shift() Op {
	if e.size == 8 {
		return Imm(3)
	}
	return Imm(2)
}

// set is an instruction set and the tile heights made for it. The greatest
// height fills the register file with accumulators; the others are for the
// rows left over.
type set struct {
	name    string
	bytes   int // in one vector register
	heights []int
	fetched int      // rows up to which a tile reads B faster than the processor fetches it by itself
	dots    [][2]int // rows of A and of B in kernels for scalar products
	vector  func() reg.VecVirtual
	zero    func(v reg.VecVirtual)
}

var avx512 = set{
	name: "AVX512", bytes: 64, heights: []int{12, 8, 4, 2, 1}, fetched: 12, dots: [][2]int{{4, 4}, {4, 1}, {2, 4}, {2, 1}, {1, 8}}, vector: ZMM,
	zero: func(v reg.VecVirtual) { VPXORD(v, v, v) },
}

var avx2 = set{
	name: "AVX2", bytes: 32, heights: []int{6, 4, 2, 1}, fetched: 4, dots: [][2]int{{1, 4}}, vector: YMM,
	zero: func(v reg.VecVirtual) { VXORPS(v, v, v) },
}

// stride loads a stride and turns it from elements into bytes.
func stride(e element, name string) reg.Register {
	r := Load(Param(name), GP64())
	SHLQ(e.shift(), r)
	return r
}

// param is the address of a parameter.
func param(name string) Mem {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// skipIfZero jumps where a parameter is zero, of either sign.
func skipIfZero(e element, name, label string) {
	bits := GP64()
	if e.size == 8 {
		MOVQ(param(name), bits)
		ADDQ(bits, bits) // drops the sign
	} else {
		MOVL(param(name), bits.As32())
		ADDL(bits.As32(), bits.As32())
	}
	JZ(LabelRef(label))
}

// rowPointers addresses rows of a matrix: one register for every three rows,
// since an x86 address adds 0, 1 or 2 strides for nothing, but not 3.
type rowPointers struct {
	base   []reg.GPVirtual
	stride reg.Register
}

func newRowPointers(first, stride reg.Register, rows int) rowPointers {
	p := rowPointers{stride: stride}
	for i := 0; i < rows; i += 3 {
		b := GP64()
		if i == 0 {
			MOVQ(first, b)
		} else {
			LEAQ(Mem{Base: p.base[len(p.base)-1], Index: stride, Scale: 2}, b)
			ADDQ(stride, b)
		}
		p.base = append(p.base, b)
	}
	return p
}

// at is the address of bytes disp and following of row i.
func (p rowPointers) at(i, disp int) Mem {
	m := Mem{Base: p.base[i/3], Disp: disp}
	if i%3 != 0 {
		m.Index, m.Scale = p.stride, uint8(i%3)
	}
	return m
}

func (p rowPointers) advance(by Op) {
	for _, b := range p.base {
		ADDQ(by, b)
	}
}

// The masks that AVX2 wants in memory: a window that begins w elements before
// the middle of this table has its first w lanes set.
const maskHalf = 64 // bytes

var maskData Mem

func maskTable() {
	maskData = GLOBL("laneMasks", RODATA|NOPTR)
	for i := 0; i < 2*maskHalf; i += 8 {
		var v U64
		if i < maskHalf {
			v = ^v
		}
		DATA(i, v)
	}
}

// maskWindow is the address of the masks whose first w lanes are set. It
// consumes w.
func maskWindow(e element, w reg.Register) reg.GPVirtual {
	p := GP64()
	LEAQ(maskData.Offset(maskHalf), p)
	SHLQ(e.shift(), w)
	SUBQ(w, p)
	return p
}
