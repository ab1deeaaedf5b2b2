package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// round writes a kernel that rounds a group of a vector to integers and puts it into
// a unit, as type Vector has it: places are those of the group's bytes, sums that of
// its corrections.
func (s set) round(f format) {
	TEXT("round"+f.name+s.name, NOSPLIT, "func(x *float32, places, sums *byte)")
	Pragma("noescape")
	x, places, sums := Load(Param("x"), GP64()), Load(Param("places"), GP64()), Load(Param("sums"), GP64())
	bytes, scale := roundGroup(x)
	f.putUnit(bytes, scale, places, sums)
	VZEROUPPER()
	RET()
}

// roundRow writes a kernel that rounds the groups of a vector, and puts them into a
// strip, as type Batch of package weights has it: the integers of a group, and its
// correction, which is the sum of the integers times a factor, with the scale. In the
// strip each group is stride bytes after the one before.
func (s set) roundRow() {
	TEXT("roundRow"+s.name, NOSPLIT, "func(groups int, x *float32, integers, sums *byte, stride, factor int)")
	Pragma("noescape")
	groups, x := Load(Param("groups"), GP64()), Load(Param("x"), GP64())
	integers, sums := Load(Param("integers"), GP64()), Load(Param("sums"), GP64())
	stride, factor := Load(Param("stride"), GP64()), GP64()
	Load(Param("factor"), factor)
	Label("next")
	bytes, scale := roundGroup(x)
	VMOVDQU(bytes, Mem{Base: integers})
	sum := GP32()
	VMOVD(addUp(sumsOfFour(bytes)), sum)
	IMULL(factor.As32(), sum)
	MOVL(sum, Mem{Base: sums})
	VMOVSS(scale.AsX(), Mem{Base: sums, Disp: 4})
	ADDQ(U32(4*group), x)
	ADDQ(stride, integers)
	ADDQ(stride, sums)
	DECQ(groups)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// roundGroup is a group of numbers rounded to integers, as bytes, and their scale, in
// all lanes.
func roundGroup(x reg.Register) (bytes, scale reg.VecVirtual) {
	var v []reg.VecVirtual
	for i := range 4 {
		r := YMM()
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, r)
		v = append(v, r)
	}
	largest := largestMagnitude(v)
	scale, inverse := YMM(), YMM()
	CMPL(largest, U32(0x7f800000))
	JAE(LabelRef("infinite"))
	CMPL(largest, U32(0x08<<23))
	JB(LabelRef("negligible"))
	top, most, bits := XMM(), XMM(), GP32()
	VMOVD(largest, top)
	MOVL(U32(math.Float32bits(127)), bits)
	VMOVD(bits, most)
	VDIVSS(top, most, inverse.AsX())
	VDIVSS(most, top, scale.AsX())
	VBROADCASTSS(inverse.AsX(), inverse)
	VBROADCASTSS(scale.AsX(), scale)
	JMP(LabelRef("write"))
	Label("infinite")
	MOVL(U32(0x7fc00000), bits)
	VMOVD(bits, scale.AsX())
	VBROADCASTSS(scale.AsX(), scale)
	JMP(LabelRef("nothing"))
	Label("negligible")
	VXORPS(scale, scale, scale)
	Label("nothing")
	VXORPS(inverse, inverse, inverse)
	for _, r := range v {
		VXORPS(r, r, r)
	}
	Label("write")
	return packBytes(v, inverse), scale
}

// largestMagnitude is the bits of the number of the largest magnitude without its
// sign. As integers NaN is greater than infinity, which is greater than any number.
func largestMagnitude(v []reg.VecVirtual) reg.GPVirtual {
	sign, high := YMM(), YMM()
	VPCMPEQD(sign, sign, sign)
	VPSRLD(Imm(1), sign, sign)
	var a []reg.VecVirtual
	for _, r := range v {
		m := YMM()
		VPAND(sign, r, m)
		a = append(a, m)
	}
	VPMAXUD(a[1], a[0], a[0])
	VPMAXUD(a[3], a[2], a[2])
	VPMAXUD(a[2], a[0], a[0])
	VEXTRACTI128(Imm(1), a[0], high.AsX())
	VPMAXUD(high.AsX(), a[0].AsX(), high.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		other := XMM()
		VPSHUFD(Imm(order), high.AsX(), other)
		VPMAXUD(other, high.AsX(), high.AsX())
	}
	bits := GP32()
	VMOVD(high.AsX(), bits)
	return bits
}

// packBytes is the integers nearest to 32 numbers times a factor, as bytes.
func packBytes(v []reg.VecVirtual, factor reg.VecVirtual) reg.VecVirtual {
	for _, r := range v {
		VMULPS(factor, r, r)
		VCVTPS2DQ(r, r)
	}
	low, high, order := YMM(), YMM(), YMM()
	VPACKSSDW(v[1], v[0], low)
	VPACKSSDW(v[3], v[2], high)
	VPACKSSWB(high, low, low)
	VMOVDQU(packOrder(), order)
	VPERMD(low, order, low)
	return low
}

var packOrderData *Mem

// packOrder is the order of the fours of bytes after packing, which works on each
// half of the registers alone.
func packOrder() Mem {
	if packOrderData == nil {
		m := GLOBL("packOrder", RODATA|NOPTR)
		for i, place := range []uint32{0, 4, 1, 5, 2, 6, 3, 7} {
			DATA(4*i, U32(place))
		}
		packOrderData = &m
	}
	return *packOrderData
}

// putUnit writes the bytes of a group, their corrections and the scales.
func (f format) putUnit(bytes, scale reg.VecVirtual, places, sums reg.Register) {
	four, zero := sumsOfFour(bytes), YMM()
	VPXOR(zero, zero, zero)
	if f.name == int8.name {
		VPSLLD(Imm(7), four, four)
		VPSUBD(four, zero, four)
		VMOVDQU(bytes, Mem{Base: places})
		VMOVDQU(four, Mem{Base: sums})
		VMOVUPS(scale, Mem{Base: sums, Disp: 64})
		return
	}
	high, highBytes := YMM(), YMM()
	VEXTRACTI128(Imm(1), four, high.AsX())
	VPADDD(high.AsX(), four.AsX(), four.AsX())
	VPSLLD(Imm(3), four.AsX(), four.AsX())
	VPSUBD(four.AsX(), zero.AsX(), four.AsX())
	VEXTRACTI128(Imm(1), bytes, highBytes.AsX())
	VMOVDQU(bytes.AsX(), Mem{Base: places})
	VMOVDQU(highBytes.AsX(), Mem{Base: places, Disp: 64})
	VMOVDQU(four.AsX(), Mem{Base: sums})
	VMOVUPS(scale.AsX(), Mem{Base: sums, Disp: 64})
}

// sumsOfFour is the sums of each four bytes.
func sumsOfFour(bytes reg.VecVirtual) reg.VecVirtual {
	one, ones, four := YMM(), YMM(), YMM()
	VPCMPEQD(one, one, one)
	VPABSB(one, ones)         // bytes of 1
	VPSRLW(Imm(15), one, one) // words of 1
	VPMADDUBSW(bytes, ones, four)
	VPMADDWD(one, four, four)
	return four
}

// addUp is the sum of eight integers, in the first lane.
func addUp(v reg.VecVirtual) reg.VecVirtual {
	sum, other := XMM(), XMM()
	VEXTRACTI128(Imm(1), v, other)
	VPADDD(v.AsX(), other, sum)
	for _, order := range []uint64{0x4e, 0xb1} {
		VPSHUFD(Imm(order), sum, other)
		VPADDD(other, sum, sum)
	}
	return sum
}
