package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// With AVX-512 rows of integers are taken four at a time, so that what is loaded of the
// vector serves four: a processor that loads a register in each cycle would otherwise
// spend three of four on the vector. Every row is computed as alone.

// fourRows addresses four rows by a register for the first.
type fourRows struct{ first, stride, three reg.Register }

// rowsFrom returns the rows from first on, so many bytes apart.
func rowsFrom(first, stride reg.Register) fourRows {
	three := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, three)
	return fourRows{first, stride, three}
}

func (r fourRows) at(i int) Mem {
	switch i {
	case 0:
		return Mem{Base: r.first}
	case 3:
		return Mem{Base: r.first, Index: r.three, Scale: 1}
	}
	return Mem{Base: r.first, Index: r.stride, Scale: uint8(i)}
}

// reduceFour adds up the partial sums of four rows, each as reduce does.
func (k *avxKernel) reduceFour(sums []reg.VecVirtual) reg.Register {
	var quarters []reg.VecVirtual
	for _, s := range sums {
		quarters = append(quarters, k.quarter(s))
	}
	pairs := func(a, b reg.VecVirtual) reg.VecVirtual {
		low, high := XMM(), XMM()
		VUNPCKLPD(b, a, low)
		VUNPCKHPD(b, a, high)
		VADDPS(high, low, low)
		return low
	}
	first, second, even, odd := pairs(quarters[0], quarters[1]), pairs(quarters[2], quarters[3]), XMM(), XMM()
	VSHUFPS(Imm(0x88), second, first, even)
	VSHUFPS(Imm(0xdd), second, first, odd)
	VADDPS(odd, even, even)
	return even
}

// fours writes the loop over four rows at a time, before that over the rows that are
// left, which ends at the label "done". whole loads what a row and its scales have for a
// unit, part what they have for a last one.
func (k *integerKernel) fours(rows, units, y reg.Register, whole, part func(w, scales Mem) (wv, sv reg.VecVirtual)) {
	groups, stride := Load(Param("groups"), GP64()), GP64()
	IMUL3Q(Imm(uint64(k.bytes)), groups, stride)
	SHLQ(Imm(1), groups) // the bytes of a row's scales
	w, scales := rowsFrom(k.w, stride), rowsFrom(k.scales, groups)
	following := fourRows{GP64(), w.stride, w.three}
	SUBQ(Imm(4), rows)
	JL(LabelRef("few"))
	Label("four")
	LEAQ(Mem{Base: k.w, Index: stride, Scale: 4}, following.first)
	VMOVUPS(k.reduceFour(k.sumsOfFour(units, w, scales, following, whole, part)), Mem{Base: y})
	ADDQ(Imm(16), y)
	ADDQ(w.three, k.w)
	ADDQ(scales.three, k.scales)
	SUBQ(Imm(4), rows)
	JGE(LabelRef("four"))
	Label("few")
	ADDQ(Imm(4), rows)
	JZ(LabelRef("done"))
}

// sumsOfFour adds up the products of four rows, fetches those that follow, and moves
// on by a row.
func (k *integerKernel) sumsOfFour(units reg.Register, w, scales, following fourRows, whole, part func(w, scales Mem) (wv, sv reg.VecVirtual)) (sums []reg.VecVirtual) {
	for range 4 {
		sums = append(sums, k.zeros()...)
	}
	add := func(load func(w, scales Mem) (wv, sv reg.VecVirtual)) {
		x := k.loaded()
		for i, sum := range sums {
			wv, sv := load(w.at(i), scales.at(i))
			k.vnni(x, wv, sv, sum)
		}
	}
	MOVQ(units, k.unit)
	Load(Param("groups"), k.left)
	SUBQ(Imm(uint64(k.format.unit)), k.left)
	JL(LabelRef("restOfFour"))
	Label("nextOfFour")
	for i := range 4 {
		PREFETCHT0(following.at(i))
	}
	ADDQ(Imm(64), following.first)
	add(whole)
	k.advance(k.format.unit)
	ADDQ(U32(k.places+128), k.unit)
	SUBQ(Imm(uint64(k.format.unit)), k.left)
	JGE(LabelRef("nextOfFour"))
	Label("restOfFour")
	ADDQ(Imm(uint64(k.format.unit)), k.left)
	JZ(LabelRef("sumOfFour"))
	add(part)
	k.advanceBy(k.left)
	Label("sumOfFour")
	return sums
}

// unitOf is a unit of a vector, in memory or in registers.
type unitOf struct {
	numbers            []Op
	corrections, lanes Op
}

// inMemory is the unit where it lies.
func (k *integerKernel) inMemory() unitOf {
	x := unitOf{corrections: k.corrections(0), lanes: k.laneScales(0)}
	for at := 0; at < k.places; at += 64 {
		x.numbers = append(x.numbers, Mem{Base: k.unit, Disp: at})
	}
	return x
}

// loaded is the unit in registers.
func (k *integerKernel) loaded() unitOf {
	load := func(from Op) Op {
		v := ZMM()
		VMOVDQU32(from, v)
		return v
	}
	x := k.inMemory()
	for i, from := range x.numbers {
		x.numbers[i] = load(from)
	}
	x.corrections, x.lanes = load(x.corrections), load(x.lanes)
	return x
}
