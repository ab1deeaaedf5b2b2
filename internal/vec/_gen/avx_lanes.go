package main

import (
	"fmt"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx writes arithmetic for amd64. A value is a register or, for a constant, memory.
type avx struct {
	set
	held  *held
	pause func() // if not nil, called between the operations
}

// vector is a register for the result of an operation.
func (l avx) vector() reg.VecVirtual {
	if l.pause != nil {
		l.pause()
	}
	return l.set.vector()
}

// held are the constants that a kernel keeps in registers, since reading them in
// each turn takes as long as the arithmetic: the first it uses, as many as there are
// registers to spare.
type held struct {
	free  int
	words []uint32
	regs  []reg.VecVirtual
}

// load writes the instructions that fill the registers.
func (h *held) load() {
	for i, r := range h.regs {
		VMOVUPS(constant(h.words[i]), r)
	}
}

// word is a constant bit pattern in every lane.
func (l avx) word(bits uint32) value {
	h := l.held
	if h == nil {
		return constant(bits)
	}
	if i := slices.Index(h.words, bits); i >= 0 {
		return h.regs[i]
	}
	if h.free <= 0 {
		return constant(bits)
	}
	h.free--
	r := l.set.vector()
	h.words, h.regs = append(h.words, bits), append(h.regs, r)
	return r
}

var constants = map[uint32]Mem{}

// constant is memory that holds a bit pattern in every lane.
func constant(bits uint32) Mem {
	m, ok := constants[bits]
	if !ok {
		m = GLOBL(fmt.Sprintf("const%08x", bits), RODATA|NOPTR)
		for i := range step {
			DATA(4*i, U32(bits))
		}
		constants[bits] = m
	}
	return m
}

// reg is v in a register.
func (l avx) reg(v value) reg.VecVirtual {
	if r, ok := v.(reg.VecVirtual); ok {
		return r
	}
	r := l.vector()
	VMOVUPS(v, r)
	return r
}

// copy is a register of its own.
func (l avx) copy(v value) reg.VecVirtual {
	r := l.vector()
	VMOVUPS(v, r)
	return r
}

func (l avx) binary(op func(...Op), a, b value) value {
	r := l.vector()
	op(b, l.reg(a), r)
	return r
}

func (l avx) add(a, b value) value { return l.binary(VADDPS, a, b) }
func (l avx) sub(a, b value) value { return l.binary(VSUBPS, a, b) }
func (l avx) mul(a, b value) value { return l.binary(VMULPS, a, b) }
func (l avx) div(a, b value) value { return l.binary(VDIVPS, a, b) }

// max and min return b if either is NaN.
func (l avx) max(a, b value) value { return l.binary(VMAXPS, a, b) }
func (l avx) min(a, b value) value { return l.binary(VMINPS, a, b) }

func (l avx) sqrt(a value) value {
	r := l.vector()
	VSQRTPS(a, r)
	return r
}

// fma is a·b + c, rounded once.
func (l avx) fma(a, b, c value) value {
	if _, constant := c.(Mem); constant {
		r := l.copy(a)
		VFMADD213PS(c, l.reg(b), r)
		return r
	}
	r := l.copy(c)
	VFMADD231PS(b, l.reg(a), r)
	return r
}

// fnma is c − a·b, rounded once.
func (l avx) fnma(a, b, c value) value {
	r := l.copy(c)
	VFNMADD231PS(b, l.reg(a), r)
	return r
}

// fms is a·b − c, rounded once.
func (l avx) fms(a, b, c value) value {
	r := l.copy(c)
	VFMSUB231PS(b, l.reg(a), r)
	return r
}

// bits is a bitwise operation: the first for wide registers, the second for the
// others.
func (l avx) bits(wide, narrow func(...Op), a, b value) value {
	if l.wide {
		return l.binary(wide, a, b)
	}
	return l.binary(narrow, a, b)
}

func (l avx) and(a, b value) value { return l.bits(VPANDD, VANDPS, a, b) }
func (l avx) or(a, b value) value  { return l.bits(VPORD, VORPS, a, b) }
func (l avx) xor(a, b value) value { return l.bits(VPXORD, VXORPS, a, b) }

func (l avx) abs(a value) value { return l.and(a, l.word(0x7fffffff)) }
func (l avx) neg(a value) value { return l.xor(a, l.word(0x80000000)) }

// round rounds to the nearest integer, ties to even.
func (l avx) round(a value) value {
	r := l.vector()
	if l.wide {
		VRNDSCALEPS(Imm(8), a, r)
	} else {
		VROUNDPS(Imm(8), a, r)
	}
	return r
}

// compare is the mask of the lanes where a is c b.
func (l avx) compare(c comparison, a, b value) value {
	if l.wide {
		k := K()
		VCMPPS(Imm(uint64(c)), b, l.reg(a), k)
		return k
	}
	m := YMM()
	VCMPPS(Imm(uint64(c)), b, l.reg(a), m)
	return m
}

// pick is a in the lanes of the mask and b in the others.
func (l avx) pick(mask, a, b value) value {
	if l.wide {
		r := l.copy(b)
		VMOVUPS(a, mask, r)
		return r
	}
	r := l.vector()
	VBLENDVPS(mask, a, l.reg(b), r)
	return r
}

// only is a in the lanes of the mask and zero in the others.
func (l avx) only(mask, a value) value {
	r := l.vector()
	if l.wide {
		VMOVAPS_Z(l.reg(a), mask, r)
	} else {
		VANDPS(a, mask, r)
	}
	return r
}

// scale2 is q·2ⁿ for a whole n within ±252, rounded once where the result is
// denormal.
func (l avx) scale2(q, n value) value {
	r := l.vector()
	if l.wide {
		VSCALEFPS(n, l.reg(q), r)
		return r
	}
	whole, half, rest := YMM(), YMM(), YMM()
	VCVTPS2DQ(n, whole)
	VPSRAD(Imm(1), whole, half)
	VPSUBD(half, whole, rest)
	for _, e := range []reg.VecVirtual{half, rest} {
		VPADDD(l.word(127), e, e)
		VPSLLD(Imm(23), e, e)
	}
	VMULPS(half, l.reg(q), r)
	VMULPS(rest, r, r)
	return r
}

// swap exchanges the numbers of each four: lane i gets lane i xor by.
func (l avx) swap(by int, a value) value { return l.shuffle([]uint64{0xe4, 0xb1, 0x4e, 0x1b}[by], a) }

// spread copies number i of each four to all of it.
func (l avx) spread(i int, a value) value { return l.shuffle(uint64(0x55*i), a) }

func (l avx) shuffle(places uint64, a value) value {
	r := l.vector()
	VSHUFPS(Imm(places), l.reg(a), l.reg(a), r)
	return r
}

// horner is the polynomial c[0] + c[1]·x + …
func (l avx) horner(x value, c ...float64) value {
	p := l.copy(l.word(bitsOf(c[len(c)-1])))
	for i := len(c) - 2; i >= 0; i-- {
		VFMADD213PS(l.word(bitsOf(c[i])), l.reg(x), p)
	}
	return p
}

// both is the lanes that are in both masks.
func (l avx) both(a, b value) value {
	if l.wide {
		k := K()
		KANDW(a, b, k)
		return k
	}
	m := YMM()
	VANDPS(a, b, m)
	return m
}
