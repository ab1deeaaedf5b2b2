package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of several vectors with integers are computed in tiles: sixteen rows of
// the matrix, one for each lane of a register, times as many vectors as a tile is
// high. The integers of the rows are interleaved for that: four of each row, one
// row after the other, make a register, so that one instruction multiplies them
// with four integers of a vector, which it repeats for all rows.

// tileHeights are the numbers of vectors that there are kernels for.
var tileHeights = []int{16, 8, 4, 2, 1}

const (
	tileRows  = lanes
	quads     = group / 4    // registers of four integers of each row
	tileBytes = tileRows * 4 // of a register
	sumsBytes = 8            // of a group of a vector: the correction and the scale
	chains    = 4            // sums at a time, so that none waits for its last product
	chunk     = 64           // bytes of each row that are interleaved at a time
)

// tiles writes the kernels for products of several vectors.
func (s set) tiles() {
	s.interleave("Int8", s.putInt8)
	s.interleave("Int4", s.putInt4)
	s.interleave("Scales", s.putScales)
	s.roundRow()
	for _, height := range tileHeights {
		s.multiply(height)
	}
}

// interleave writes a kernel that reads up to sixteen rows, which are stride bytes
// apart and so many bytes long, and writes them column by column: put is given a
// register for each four bytes of a chunk. Of rows that are not there the last one
// takes the place. What is written for a last chunk is as long as for any other.
func (s set) interleave(name string, put func() (bytes int, put func(dst reg.Register, column int, v reg.VecVirtual))) {
	TEXT("interleave"+name+s.name, NOSPLIT, "func(rows, bytes int, src *byte, stride int, dst *byte)")
	Pragma("noescape")
	size, write := put()
	rows, left := Load(Param("rows"), GP64()), Load(Param("bytes"), GP64())
	src, stride, dst := Load(Param("src"), GP64()), Load(Param("stride"), GP64()), Load(Param("dst"), GP64())
	exist, bits, none := K(), GP64(), GP64()
	XORL(none.As32(), none.As32())
	MOVQ(I32(-1), bits)
	KMOVD(bits.As32(), exist)
	Label("next")
	CMPQ(left, Imm(chunk))
	JGE(LabelRef("whole"))
	words := GP64()
	MOVQ(left, words)
	SHRQ(Imm(1), words)
	XORL(bits.As32(), bits.As32())
	BTSQ(words, bits)
	DECQ(bits)
	KMOVD(bits.As32(), exist)
	Label("whole")
	row, step, further := GP64(), GP64(), GP64()
	MOVQ(src, row)
	MOVQ(stride, step)
	MOVQ(rows, further)
	var in []reg.VecVirtual
	for r := range tileRows {
		if r > 0 {
			DECQ(further)
			CMOVQEQ(none, step)
			ADDQ(step, row)
		}
		v := ZMM()
		VMOVDQU16_Z(Mem{Base: row}, exist, v)
		in = append(in, v)
	}
	transpose(in, func(column int, v reg.VecVirtual) { write(dst, column, v) })
	ADDQ(Imm(chunk), src)
	ADDQ(U32(uint32(size)), dst)
	SUBQ(Imm(chunk), left)
	JG(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// transpose makes sixteen rows of sixteen 32-bit numbers columns.
func transpose(in []reg.VecVirtual, column func(i int, v reg.VecVirtual)) {
	two := func(op func(...Op), x, y reg.VecVirtual) reg.VecVirtual {
		z := ZMM()
		op(y, x, z)
		return z
	}
	shuffle := func(order uint64, x, y reg.VecVirtual) reg.VecVirtual {
		z := ZMM()
		VSHUFI32X4(Imm(order), y, x, z)
		return z
	}
	// quarters[j][q] has, in quarter k of the register, number 4k+j of rows 4q to 4q+3.
	var quarters [4][4]reg.VecVirtual
	for q := range 4 {
		r := in[4*q:]
		low01, high01 := two(VPUNPCKLDQ, r[0], r[1]), two(VPUNPCKHDQ, r[0], r[1])
		low23, high23 := two(VPUNPCKLDQ, r[2], r[3]), two(VPUNPCKHDQ, r[2], r[3])
		quarters[0][q], quarters[1][q] = two(VPUNPCKLQDQ, low01, low23), two(VPUNPCKHQDQ, low01, low23)
		quarters[2][q], quarters[3][q] = two(VPUNPCKLQDQ, high01, high23), two(VPUNPCKHQDQ, high01, high23)
	}
	for j, c := range quarters {
		for half, order := range []uint64{0x44, 0xee} {
			low, high := shuffle(order, c[0], c[1]), shuffle(order, c[2], c[3])
			column(8*half+j, shuffle(0x88, low, high))
			column(8*half+4+j, shuffle(0xdd, low, high))
		}
	}
}

// putInt8 makes the integers positive.
func (s set) putInt8() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip := s.words(0x80808080)
	return chunk * tileRows, func(dst reg.Register, column int, v reg.VecVirtual) {
		VPXORD(flip, v, v)
		VMOVDQU32(v, Mem{Base: dst, Disp: tileBytes * column})
	}
}

// putInt4 makes bytes of the halves, and makes them positive.
func (s set) putInt4() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip, low := s.words(0x88888888), s.words(0x0f0f0f0f)
	return 2 * chunk * tileRows, func(dst reg.Register, column int, v reg.VecVirtual) {
		high := ZMM()
		VPSRLD(Imm(4), v, high)
		at := column/4*quads + column%4
		for half, v := range []reg.VecVirtual{v, high} {
			VPTERNLOGD(Imm(0x28), low, flip, v) // (v xor flip) and low
			VMOVDQU32(v, Mem{Base: dst, Disp: tileBytes * (at + quads/2*half)})
		}
	}
}

// putScales widens two scales to float32.
func (s set) putScales() (int, func(reg.Register, int, reg.VecVirtual)) {
	upper := s.words(0xffff0000)
	return 2 * chunk * tileRows, func(dst reg.Register, column int, v reg.VecVirtual) {
		first := ZMM()
		VPSLLD(Imm(16), v, first)
		VPANDD(upper, v, v)
		VMOVDQU32(first, Mem{Base: dst, Disp: tileBytes * 2 * column})
		VMOVDQU32(v, Mem{Base: dst, Disp: tileBytes * (2*column + 1)})
	}
}

// multiply writes a kernel for a tile: y [height, rows], with rows ld numbers apart,
// from rows that were interleaved and a strip of vectors, as type Batch has it. Of each
// group the sum of the products is exact.
func (s set) multiply(height int) {
	TEXT(fmt.Sprintf("multiply%d%s", height, s.name), NOSPLIT, "func(groups, rows int, strip, w, scales *byte, y *float32, ld int)")
	Pragma("noescape")
	groups, exist := Load(Param("groups"), GP64()), mask(Load(Param("rows"), GP64()), 1)
	strip, w, scales := Load(Param("strip"), GP64()), Load(Param("w"), GP64()), Load(Param("scales"), GP64())
	var sums []reg.VecVirtual
	for range height {
		sums = append(sums, s.zeros()[0])
	}
	Label("next")
	var integers []reg.VecVirtual
	for q := range quads {
		v := ZMM()
		VMOVDQU32(Mem{Base: w, Disp: tileBytes * q}, v)
		integers = append(integers, v)
	}
	scale := ZMM()
	VMOVUPS(Mem{Base: scales}, scale)
	for first := 0; first < height; first += chains {
		last := min(height, first+chains)
		addGroup(strip, height, first, integers, scale, sums[first:last])
	}
	ADDQ(U32(uint32(height*(group+sumsBytes))), strip)
	ADDQ(U32(tileBytes*quads), w)
	ADDQ(Imm(tileBytes), scales)
	DECQ(groups)
	JNZ(LabelRef("next"))
	y, ld := Load(Param("y"), GP64()), Load(Param("ld"), GP64())
	for t, sum := range sums {
		if t > 0 {
			LEAQ(Mem{Base: y, Index: ld, Scale: 4}, y)
		}
		VMOVUPS(sum, exist, Mem{Base: y})
	}
	VZEROUPPER()
	RET()
}

// addGroup adds the products of a group with some vectors of a strip, from the first
// one given.
func addGroup(strip reg.Register, height, first int, integers []reg.VecVirtual, scale reg.VecVirtual, sums []reg.VecVirtual) {
	products := make([]reg.VecVirtual, len(sums))
	corrections := func(t int) int { return height*group + sumsBytes*(first+t) }
	for t := range products {
		products[t] = ZMM()
		VPBROADCASTD(Mem{Base: strip, Disp: corrections(t)}, products[t])
	}
	for q, v := range integers {
		for t, p := range products {
			VPDPBUSD_BCST(Mem{Base: strip, Disp: group*(first+t) + 4*q}, v, p)
		}
	}
	for t, p := range products {
		VCVTDQ2PS(p, p)
		VMULPS_BCST(Mem{Base: strip, Disp: corrections(t) + 4}, p, p)
		VFMADD231PS(scale, p, sums[t])
	}
}
