package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// integerKernel is a kernel for y = W·x with integers while it is written.
type integerKernel struct {
	*avxKernel
	unit reg.Register // of x, where the next is
	sums []reg.VecVirtual
	left reg.Register // groups of a row

	expand reg.VecVirtual // puts the scales of a unit into its lanes
	flip   reg.VecVirtual // makes the integers of the matrix positive
	low    reg.VecVirtual // the lower halves of bytes
	ones   reg.VecVirtual
}

// integers writes the frame of a kernel: rows, whole units of each, and the rest.
// fours, if not nil, writes the loop over four rows at a time.
func (s set) integers(f format, constants, unit, rest func(k *integerKernel), fours func(k *integerKernel, rows, units, y reg.Register)) {
	TEXT("dots"+f.name+s.name, NOSPLIT, f.dotsSignature())
	Pragma("noescape")
	k := &integerKernel{avxKernel: &avxKernel{set: s, format: f, w: Load(Param("w"), GP64()), scales: Load(Param("scales"), GP64())}}
	units, y := Load(Param("units"), GP64()), Load(Param("y"), GP64())
	rows := Load(Param("rows"), GP64())
	constants(k)
	k.left, k.unit = GP64(), GP64()
	if fours != nil {
		fours(k, rows, units, y)
	}
	Label("row")
	k.sums = s.zeros()
	MOVQ(units, k.unit)
	Load(Param("groups"), k.left)
	SUBQ(Imm(uint64(f.unit)), k.left)
	JL(LabelRef("rest"))
	Label("next")
	PREFETCHT0(Mem{Base: k.w, Disp: ahead})
	unit(k)
	k.advance(f.unit)
	ADDQ(U32(f.places+128), k.unit)
	SUBQ(Imm(uint64(f.unit)), k.left)
	JGE(LabelRef("next"))
	Label("rest")
	ADDQ(Imm(uint64(f.unit)), k.left)
	JZ(LabelRef("sum"))
	rest(k)
	Label("sum")
	VMOVSS(s.reduce(k.sums), Mem{Base: y})
	ADDQ(Imm(4), y)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	VZEROUPPER()
	RET()
}

// corrections and lanes are where a unit of x has its corrections and its scales.
func (k *integerKernel) corrections(disp int) Mem { return Mem{Base: k.unit, Disp: k.places + disp} }
func (k *integerKernel) laneScales(disp int) Mem {
	return Mem{Base: k.unit, Disp: k.places + 64 + disp}
}

// dotsVNNI writes a kernel for AVX-512 with scalar products of bytes.
func (s set) dotsVNNI(f format) {
	var rest, restScales []reg.OpmaskVirtual // of the elements of a last unit
	s.integers(f, func(k *integerKernel) {
		k.expand = ZMM()
		VMOVDQU32(expansion(f.unit), k.expand)
		k.flip = k.words(map[string]uint32{int8.name: 0x80808080, int4.name: 0x88888888}[f.name])
		if f.name == int4.name {
			k.low = k.words(0x0f0f0f0f)
		}
		// What exists of a last unit: a bit for each group, widened.
		left := Load(Param("groups"), GP64())
		ANDQ(Imm(uint64(f.unit-1)), left)
		rest = append(rest, mask(left, f.bytes/4))
		restScales = append(restScales, mask(left, 1))
	}, func(k *integerKernel) {
		w, scales := k.whole(Mem{Base: k.w}, Mem{Base: k.scales})
		k.vnni(k.inMemory(), w, scales, k.sums[0])
	}, func(k *integerKernel) {
		w, scales := k.part(rest[0], restScales[0], Mem{Base: k.w}, Mem{Base: k.scales})
		k.vnni(k.inMemory(), w, scales, k.sums[0])
		k.advanceBy(k.left)
	}, func(k *integerKernel, rows, units, y reg.Register) {
		k.fours(rows, units, y, k.whole, func(w, scales Mem) (wv, sv reg.VecVirtual) {
			return k.part(rest[0], restScales[0], w, scales)
		})
	})
}

// whole is what a row of the matrix and its scales have for a unit.
func (k *integerKernel) whole(from, scalesFrom Mem) (w, scales reg.VecVirtual) {
	w, scales = ZMM(), ZMM()
	if k.format.name == int8.name {
		VPXORD(from, k.flip, w)
	} else {
		VMOVDQU32(from, w)
	}
	k.spreadScales(scalesFrom, scales)
	return w, scales
}

// part is what they have for a last unit, of which the masks have the elements.
func (k *integerKernel) part(mask, scalesMask reg.OpmaskVirtual, from, scalesFrom Mem) (w, scales reg.VecVirtual) {
	w, scales = ZMM(), ZMM()
	VMOVDQU32_Z(from, mask, w)
	if k.format.name == int8.name {
		VPXORD(k.flip, w, w)
	}
	few := XMM()
	VMOVDQU16_Z(scalesFrom, scalesMask, few)
	k.spreadScales(few, scales)
	return w, scales
}

// spreadScales repeats the scales of a unit.
func (k *integerKernel) spreadScales(from Op, to reg.VecVirtual) {
	if k.format.unit == 2 {
		VPBROADCASTD(from, to)
	} else {
		VPBROADCASTQ(from, to)
	}
}

// mask has each bit set of the first n·each.
func mask(n reg.Register, each int) reg.OpmaskVirtual {
	count, bits, m := GP64(), GP64(), K()
	IMUL3Q(Imm(uint64(each)), n, count)
	XORL(bits.As32(), bits.As32())
	BTSQ(count, bits)
	DECQ(bits)
	KMOVW(bits.As32(), m)
	return m
}

// words is a register of a 32-bit word, again and again.
func (s set) words(word uint32) reg.VecVirtual {
	bits, v := GP32(), s.vector()
	MOVL(U32(word), bits)
	VMOVD(bits, v.AsX())
	VPBROADCASTD(v.AsX(), v)
	return v
}

// vnni adds the products of a unit of the matrix and one of the vector to sums.
func (k *integerKernel) vnni(x unitOf, w, scales, sums reg.VecVirtual) {
	sum := ZMM()
	VMOVDQU32(x.corrections, sum)
	if k.format.name == int8.name {
		VPDPBUSD(x.numbers[0], w, sum)
	} else {
		high := ZMM()
		VPSRLD(Imm(4), w, high)
		for half, v := range []reg.VecVirtual{w, high} {
			VPTERNLOGD(Imm(0x28), k.low, k.flip, v) // (v xor flip) and low
			VPDPBUSD(x.numbers[half], v, sum)
		}
	}
	VCVTDQ2PS(sum, sum)
	VMULPS(x.lanes, sum, sum)
	VPSHUFB(k.expand, scales, scales)
	VFMADD231PS(scales, sum, sums)
}

// advanceBy moves on by as many groups as a register has. It consumes it.
func (k *integerKernel) advanceBy(groups reg.Register) {
	LEAQ(Mem{Base: k.scales, Index: groups, Scale: scaleBytes}, k.scales)
	IMUL3Q(Imm(uint64(k.bytes)), groups, groups)
	ADDQ(groups, k.w)
}

var expansions = map[int]Mem{}

// expansion is the places of bytes by which a shuffle puts the scales of a unit of
// so many groups into their lanes.
func expansion(groups int) Mem {
	m, ok := expansions[groups]
	if !ok {
		m = GLOBL(fmt.Sprintf("expansion%d", groups), RODATA|NOPTR)
		for lane := range lanes {
			g := lane * groups / lanes
			DATA(4*lane, U32(uint32(2*g+1)<<24|uint32(2*g)<<16|0x8080))
		}
		expansions[groups] = m
	}
	return m
}

// dotsAVX2 writes a kernel for AVX2. A unit has two halves: of one group each in
// int8, of two in int4.
func (s set) dotsAVX2(f format) {
	s.integers(f, func(k *integerKernel) {
		k.expand = YMM()
		if f.name == int4.name {
			VMOVDQU(expansion(2), k.expand.AsX())
			VINSERTI128(Imm(1), expansion(2).Offset(32), k.expand, k.expand)
			k.flip, k.low = k.words(0x08080808), k.words(0x0f0f0f0f)
		} else {
			k.expand = k.words(0xffff0000)
		}
		k.ones = k.words(0x00010001)
	}, func(k *integerKernel) {
		both := YMM()
		if f.name == int8.name {
			VPBROADCASTD(Mem{Base: k.scales}, both)
		}
		for half := range 2 {
			w, scale := YMM(), YMM()
			VMOVDQU(Mem{Base: k.w, Disp: 32 * half}, w)
			switch {
			case f.name == int4.name:
				VPBROADCASTD(Mem{Base: k.scales, Disp: 4 * half}, scale)
				VPSHUFB(k.expand, scale, scale)
			case half == 0:
				VPSLLD(Imm(16), both, scale)
			default:
				VPAND(k.expand, both, scale)
			}
			k.half(half, w, scale)
		}
	}, func(k *integerKernel) {
		if f.name == int8.name {
			w := YMM()
			VMOVDQU(Mem{Base: k.w}, w)
			k.half(0, w, k.scale())
			k.advance(1)
			return
		}
		CMPQ(k.left, Imm(2))
		JL(LabelRef("one"))
		w, scale := YMM(), YMM()
		VMOVDQU(Mem{Base: k.w}, w)
		VPBROADCASTD(Mem{Base: k.scales}, scale)
		VPSHUFB(k.expand, scale, scale)
		k.half(0, w, scale)
		k.advance(2)
		CMPQ(k.left, Imm(3))
		JNE(LabelRef("sum"))
		k.oneGroup(1)
		JMP(LabelRef("sum"))
		Label("one")
		k.oneGroup(0)
	}, nil)
}

// oneGroup adds the products of the first group of a half of int4, alone.
func (k *integerKernel) oneGroup(half int) {
	w := YMM()
	VMOVDQU(Mem{Base: k.w}, w.AsX())
	k.half(half, w, k.scale())
	k.advance(1)
}

// half adds the products of half a unit of the matrix.
func (k *integerKernel) half(half int, w, scale reg.VecVirtual) {
	sum := YMM()
	if k.format.name == int8.name {
		x := YMM()
		VMOVDQU(Mem{Base: k.unit, Disp: 32 * half}, x)
		VPSIGNB(w, x, x)
		VPABSB(w, w)
		VPMADDUBSW(x, w, sum)
		VPMADDWD(k.ones, sum, sum)
	} else {
		high := YMM()
		VPSRLD(Imm(4), w, high)
		for side, v := range []reg.VecVirtual{w, high} {
			VPAND(k.low, v, v)
			VPXOR(k.flip, v, v)
			VPMADDUBSW(Mem{Base: k.unit, Disp: 64*side + 32*half}, v, v)
		}
		VPADDW(high, w, sum)
		VPMADDWD(k.ones, sum, sum)
		VPADDD(k.corrections(32*half), sum, sum)
	}
	VCVTDQ2PS(sum, sum)
	VMULPS(k.laneScales(32*half), sum, sum)
	VFMADD231PS(scale, sum, k.sums[half])
}
