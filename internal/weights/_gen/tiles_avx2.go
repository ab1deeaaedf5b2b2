package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// AVX2 adds two products of bytes in 16 bits. Bytes of a matrix in int4 are below 16
// when they are made positive, so that the sums of all products of a group fit. Those
// in int8 are cut into halves, which are below 16 too, and make two sums.

// pieces is how many bytes an integer of the matrix is cut into.
func (f format) pieces() int {
	if f.name == int8.name {
		return 2
	}
	return 1
}

// putHalvesOfBytes makes the integers of int8 positive and writes their lower halves,
// then their upper ones.
func (s set) putHalvesOfBytes() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip, low := s.words(0x80808080), s.words(0x0f0f0f0f)
	return 2 * s.lanes * s.register(), func(dst reg.Register, column int, v reg.VecVirtual) {
		high := YMM()
		VPXOR(flip, v, v)
		VPSRLD(Imm(4), v, high)
		for half, v := range []reg.VecVirtual{v, high} {
			VPAND(low, v, v)
			VMOVDQU(v, Mem{Base: dst, Disp: s.register() * (2*column + half)})
		}
	}
}

// putHalves is putHalvesWide.
func (s set) putHalves() (int, func(reg.Register, int, reg.VecVirtual)) {
	flip, low := s.words(0x08080808), s.words(0x0f0f0f0f)
	return 2 * s.lanes * s.register(), func(dst reg.Register, column int, v reg.VecVirtual) {
		high := YMM()
		VPSRLD(Imm(4), v, high)
		for half, v := range []reg.VecVirtual{v, high} {
			VPAND(low, v, v)
			VPXOR(flip, v, v)
			VMOVDQU(v, Mem{Base: dst, Disp: s.register() * (place(column) + quads/2*half)})
		}
	}
}

// interleaveScales is interleave for scales, one by one.
func (s set) interleaveScales() {
	TEXT("interleaveScales"+s.name, NOSPLIT, interleaveSignature)
	Pragma("noescape")
	rows, left := Load(Param("rows"), GP64()), Load(Param("bytes"), GP64())
	src, stride, dst := Load(Param("src"), GP64()), Load(Param("stride"), GP64()), Load(Param("dst"), GP64())
	none := GP64()
	XORL(none.As32(), none.As32())
	Label("next")
	row, step, further, scale := GP64(), GP64(), GP64(), GP32()
	MOVQ(src, row)
	MOVQ(stride, step)
	MOVQ(rows, further)
	for r := range s.lanes {
		if r > 0 {
			DECQ(further)
			CMOVQEQ(none, step)
			ADDQ(step, row)
		}
		MOVWLZX(Mem{Base: row}, scale)
		SHLL(Imm(16), scale)
		MOVL(scale, Mem{Base: dst, Disp: 4 * r})
	}
	ADDQ(Imm(scaleBytes), src)
	ADDQ(Imm(uint64(s.register())), dst)
	SUBQ(Imm(scaleBytes), left)
	JG(LabelRef("next"))
	RET()
}

// repeated is a register of a word in memory.
func repeated(name string, word uint32) Mem {
	m, ok := repeatedData[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(word))
		}
		repeatedData[name] = m
	}
	return m
}

var (
	repeatedData = map[string]Mem{}
	laneNumbers  *Mem
)

// lanesBelow has all bits set in the first n lanes.
func lanesBelow(n reg.Register) reg.VecVirtual {
	if laneNumbers == nil {
		m := GLOBL("laneNumbers", RODATA|NOPTR)
		for i := range 8 {
			DATA(4*i, U32(uint32(i)))
		}
		laneNumbers = &m
	}
	v := YMM()
	VMOVQ(n, v.AsX())
	VPBROADCASTD(v.AsX(), v)
	VPCMPGTD(*laneNumbers, v, v)
	return v
}

// avx2Tile is a tile while it is written.
type avx2Tile struct {
	set
	format
	height           int
	strip, w, scales reg.Register
	sums             []reg.VecVirtual
}

// multiplyAVX2 writes a kernel as multiplyVNNI does.
func (s set) multiplyAVX2(f format, height int) {
	TEXT(fmt.Sprintf("multiply%s%d%s", f.name, height, s.name), NOSPLIT, multiplySignature)
	Pragma("noescape")
	groups := Load(Param("groups"), GP64())
	k := avx2Tile{s, f, height, Load(Param("strip"), GP64()), Load(Param("w"), GP64()), Load(Param("scales"), GP64()), nil}
	for range height {
		v := YMM()
		VXORPS(v, v, v)
		k.sums = append(k.sums, v)
	}
	Label("next")
	k.addProducts(k.multiplyGroup())
	ADDQ(U32(uint32(height*(group+sumsBytes))), k.strip)
	ADDQ(U32(uint32(s.register()*quads*f.pieces())), k.w)
	ADDQ(Imm(uint64(s.register())), k.scales)
	DECQ(groups)
	JNZ(LabelRef("next"))
	exist := lanesBelow(Load(Param("rows"), GP64()))
	y, ld := Load(Param("y"), GP64()), Load(Param("ld"), GP64())
	for t, sum := range k.sums {
		if t > 0 {
			LEAQ(Mem{Base: y, Index: ld, Scale: 4}, y)
		}
		VMASKMOVPS(sum, exist, Mem{Base: y})
	}
	VZEROUPPER()
	RET()
}

// multiplyGroup returns the sums of the products of a group, in pairs of 16 bits, for
// each vector and each piece of the integers.
func (k avx2Tile) multiplyGroup() [][]reg.VecVirtual {
	pieces := k.pieces()
	products := make([][]reg.VecVirtual, k.height)
	for q := range quads {
		var w []reg.VecVirtual
		for p := range pieces {
			v := YMM()
			VMOVDQU(Mem{Base: k.w, Disp: k.register() * (q*pieces + p)}, v)
			w = append(w, v)
		}
		for t := range products {
			x := YMM()
			VPBROADCASTD(Mem{Base: k.strip, Disp: group*t + 4*q}, x)
			for p, v := range w {
				to := x
				if q == 0 || p+1 < pieces {
					to = YMM()
				}
				VPMADDUBSW(x, v, to)
				if q == 0 {
					products[t] = append(products[t], to)
				} else {
					VPADDW(to, products[t][p], products[t][p])
				}
			}
		}
	}
	return products
}

// addProducts adds the sums of a group, scaled, to those of the groups before it.
func (k avx2Tile) addProducts(products [][]reg.VecVirtual) {
	for t, pieces := range products {
		sum := pieces[0]
		VPMADDWD(repeated("ones", 0x00010001), sum, sum)
		if len(pieces) > 1 {
			VPMADDWD(repeated("sixteens", 0x00100010), pieces[1], pieces[1])
			VPADDD(pieces[1], sum, sum)
		}
		sums, x := k.height*group+sumsBytes*t, YMM()
		VPBROADCASTD(Mem{Base: k.strip, Disp: sums}, x)
		VPADDD(x, sum, sum)
		VCVTDQ2PS(sum, sum)
		VBROADCASTSS(Mem{Base: k.strip, Disp: sums + 4}, x)
		VMULPS(x, sum, sum)
		VFMADD231PS(Mem{Base: k.scales}, sum, k.sums[t])
	}
}
