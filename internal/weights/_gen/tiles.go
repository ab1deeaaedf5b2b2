package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of several vectors with integers are computed in tiles: as many rows of the
// matrix as a register has lanes, times as many vectors as a tile is high. The integers
// of the rows are interleaved for that: four of each row, one row after the other,
// make a register, so that one instruction multiplies them with four integers of a
// vector, which are repeated for all rows.

const (
	quads     = group / 4 // registers of four integers of each row
	sumsBytes = 8         // of a group of a vector: the correction and the scale
)

// register is the size of one in bytes.
func (s set) register() int { return 4 * s.lanes }

// heights are the numbers of vectors that there are kernels for.
func (s set) heights() []int {
	if s.wide {
		return []int{16, 8, 4, 2, 1}
	}
	return []int{4, 2, 1}
}

// tiles writes the kernels for products of several vectors.
func (s set) tiles() {
	if s.wide {
		s.interleave("Int8", s.putBytes)
		s.interleave("Int4", s.putHalvesWide)
		s.interleave("Scales", s.putScales)
		for _, height := range s.heights() {
			s.multiplyVNNI(height)
		}
		return
	}
	s.roundRow()
	s.interleave("Int8", s.putHalvesOfBytes)
	s.interleave("Int4", s.putHalves)
	s.interleaveScales()
	for _, f := range []format{int8, int4} {
		for _, height := range s.heights() {
			s.multiplyAVX2(f, height)
		}
	}
}

const interleaveSignature = "func(rows, bytes int, src *byte, stride int, dst *byte)"

// interleave writes a kernel that reads up to as many rows as there are lanes, which
// are stride bytes apart and so many bytes long, and writes them column by column: put
// is given a register for each four bytes of a chunk, which is a register of each row.
// Of rows that are not there the last one takes the place. What is written for a last
// chunk is as long as for any other.
func (s set) interleave(name string, put func() (size int, put func(dst reg.Register, column int, v reg.VecVirtual))) {
	TEXT("interleave"+name+s.name, NOSPLIT, interleaveSignature)
	Pragma("noescape")
	size, write := put()
	rows, left := Load(Param("rows"), GP64()), Load(Param("bytes"), GP64())
	src, stride, dst := Load(Param("src"), GP64()), Load(Param("stride"), GP64()), Load(Param("dst"), GP64())
	load, shorten := s.partialLoad()
	none := GP64()
	XORL(none.As32(), none.As32())
	Label("next")
	CMPQ(left, Imm(uint64(s.register())))
	JGE(LabelRef("whole"))
	shorten(left)
	Label("whole")
	row, step, further := GP64(), GP64(), GP64()
	MOVQ(src, row)
	MOVQ(stride, step)
	MOVQ(rows, further)
	var in []reg.VecVirtual
	for r := range s.lanes {
		if r > 0 {
			DECQ(further)
			CMOVQEQ(none, step)
			ADDQ(step, row)
		}
		in = append(in, load(row))
	}
	s.transpose(in, func(column int, v reg.VecVirtual) { write(dst, column, v) })
	ADDQ(Imm(uint64(s.register())), src)
	ADDQ(U32(uint32(size)), dst)
	SUBQ(Imm(uint64(s.register())), left)
	JG(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// partialLoad returns what loads a register, and what makes it load only as many bytes
// as are left: an even number with AVX-512, half a register with AVX2.
func (s set) partialLoad() (load func(from reg.Register) reg.VecVirtual, shorten func(left reg.Register)) {
	if !s.wide {
		exist := YMM()
		VPCMPEQD(exist, exist, exist)
		return func(from reg.Register) reg.VecVirtual {
				v := YMM()
				VPMASKMOVD(Mem{Base: from}, exist, v)
				return v
			}, func(reg.Register) {
				VPCMPEQD(exist.AsX(), exist.AsX(), exist.AsX()) // clears the upper half
			}
	}
	exist, bits := K(), GP64()
	MOVQ(I32(-1), bits)
	KMOVD(bits.As32(), exist)
	return func(from reg.Register) reg.VecVirtual {
			v := ZMM()
			VMOVDQU16_Z(Mem{Base: from}, exist, v)
			return v
		}, func(left reg.Register) {
			words := GP64()
			MOVQ(left, words)
			SHRQ(Imm(1), words)
			XORL(bits.As32(), bits.As32())
			BTSQ(words, bits)
			DECQ(bits)
			KMOVD(bits.As32(), exist)
		}
}

// transpose makes as many rows of 32-bit numbers as there are lanes columns.
func (s set) transpose(in []reg.VecVirtual, column func(i int, v reg.VecVirtual)) {
	two := func(op func(...Op), x, y reg.VecVirtual) reg.VecVirtual {
		z := s.vector()
		op(y, x, z)
		return z
	}
	shuffle := func(order uint64, x, y reg.VecVirtual) reg.VecVirtual {
		z := s.vector()
		if s.wide {
			VSHUFI32X4(Imm(order), y, x, z)
		} else {
			VPERM2I128(Imm(order), y, x, z)
		}
		return z
	}
	// parts[j][q] has, in 16 bytes number k, number 4k+j of rows 4q to 4q+3.
	var parts [4][]reg.VecVirtual
	for r := in; len(r) > 0; r = r[4:] {
		low01, high01 := two(VPUNPCKLDQ, r[0], r[1]), two(VPUNPCKHDQ, r[0], r[1])
		low23, high23 := two(VPUNPCKLDQ, r[2], r[3]), two(VPUNPCKHDQ, r[2], r[3])
		for j, v := range []reg.VecVirtual{
			two(VPUNPCKLQDQ, low01, low23), two(VPUNPCKHQDQ, low01, low23),
			two(VPUNPCKLQDQ, high01, high23), two(VPUNPCKHQDQ, high01, high23),
		} {
			parts[j] = append(parts[j], v)
		}
	}
	for j, p := range parts {
		if !s.wide {
			column(j, shuffle(0x20, p[0], p[1]))
			column(4+j, shuffle(0x31, p[0], p[1]))
			continue
		}
		for half, order := range []uint64{0x44, 0xee} {
			low, high := shuffle(order, p[0], p[1]), shuffle(order, p[2], p[3])
			column(8*half+j, shuffle(0x88, low, high))
			column(8*half+4+j, shuffle(0xdd, low, high))
		}
	}
}

// putBytes writes the integers of int8, made positive.
func (s set) putBytes() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip := s.words(0x80808080)
	return s.lanes * s.register(), func(dst reg.Register, column int, v reg.VecVirtual) {
		VPXORD(flip, v, v)
		VMOVDQU32(v, Mem{Base: dst, Disp: s.register() * column})
	}
}

// place is where a column of int4 has its lower half among the registers: the upper
// one is half a group on.
func place(column int) int { return column/4*quads + column%4 }

// putHalvesWide makes bytes of the halves that int4 has, and makes them positive.
func (s set) putHalvesWide() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip, low := s.words(0x88888888), s.words(0x0f0f0f0f)
	return 2 * s.lanes * s.register(), func(dst reg.Register, column int, v reg.VecVirtual) {
		high := ZMM()
		VPSRLD(Imm(4), v, high)
		for half, v := range []reg.VecVirtual{v, high} {
			VPTERNLOGD(Imm(0x28), low, flip, v) // (v xor flip) and low
			VMOVDQU32(v, Mem{Base: dst, Disp: s.register() * (place(column) + quads/2*half)})
		}
	}
}

// putScales widens two scales to float32.
func (s set) putScales() (int, func(reg.Register, int, reg.VecVirtual)) {
	upper := s.words(0xffff0000)
	return 2 * s.lanes * s.register(), func(dst reg.Register, column int, v reg.VecVirtual) {
		first := ZMM()
		VPSLLD(Imm(16), v, first)
		VPANDD(upper, v, v)
		VMOVDQU32(first, Mem{Base: dst, Disp: s.register() * 2 * column})
		VMOVDQU32(v, Mem{Base: dst, Disp: s.register() * (2*column + 1)})
	}
}

// chains is how many sums a kernel computes at a time, so that none waits for its last
// product.
const chains = 6

const multiplySignature = "func(groups, rows int, strip, w, scales *byte, y *float32, ld int)"

// multiplyVNNI writes a kernel for a tile: y [height, rows], with rows ld numbers apart,
// from rows that were interleaved and a strip of vectors, as type Batch has it. Of each
// group the sum of the products is exact.
func (s set) multiplyVNNI(height int) {
	TEXT(fmt.Sprintf("multiply%d%s", height, s.name), NOSPLIT, multiplySignature)
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
		VMOVDQU32(Mem{Base: w, Disp: s.register() * q}, v)
		integers = append(integers, v)
	}
	scale := ZMM()
	VMOVUPS(Mem{Base: scales}, scale)
	for first := 0; first < height; first += chains {
		last := min(height, first+chains)
		addGroup(strip, height, first, integers, scale, sums[first:last])
	}
	ADDQ(U32(uint32(height*(group+sumsBytes))), strip)
	ADDQ(U32(uint32(s.register()*quads)), w)
	ADDQ(Imm(uint64(s.register())), scales)
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
