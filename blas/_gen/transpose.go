package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transposer writes a kernel that copies a strip of a matrix, as many rows
// high as a 32-byte register has elements, turning its rows into columns. It
// moves on by half a register of columns, steps times: the halves of a
// register are then filled with two rows each, and nothing has to cross them. It
// fetches the next strip, which follows in memory if the rows are whole: as many
// streams, of short rows, are more than the processor fetches by itself.
func transposer(e element) {
	rows := 32 / e.size
	TEXT(e.prefix+"transposeAVX", NOSPLIT,
		fmt.Sprintf("func(steps int, src *%[1]s, srcRow int, dst *%[1]s, dstRow int)", e.name))
	Pragma("noescape")
	steps := Load(Param("steps"), GP64())
	srcRow := Load(Param("srcRow"), GP64())
	SHLQ(e.shift(), srcRow)
	src := newRowPointers(Load(Param("src"), GP64()), srcRow, rows)
	ahead := GP64()
	LEAQ(Mem{Base: src.base[0], Index: srcRow, Scale: uint8(rows)}, ahead)
	dst := Load(Param("dst"), GP64())
	dstRow := Load(Param("dstRow"), GP64())
	SHLQ(e.shift(), dstRow)

	Label("next")
	for at := 0; at < 16*rows; at += 64 {
		PREFETCHT0(Mem{Base: ahead, Disp: at})
	}
	ADDQ(Imm(uint64(16*rows)), ahead)
	var in []reg.VecVirtual
	for i := range rows / 2 {
		x := YMM()
		VMOVUPS(src.at(i, 0), x.AsX())
		VINSERTF128(Imm(1), src.at(i+rows/2, 0), x, x)
		in = append(in, x)
	}
	for _, x := range transposeHalves(in) {
		VMOVUPS(x, Mem{Base: dst})
		ADDQ(dstRow, dst)
	}
	src.advance(Imm(16))
	DECQ(steps)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// transposeHalves transposes, in each half of the registers on its own, the
// square matrix whose rows are there.
func transposeHalves(in []reg.VecVirtual) []reg.VecVirtual {
	pair := func(op func(...Op), x, y reg.VecVirtual) reg.VecVirtual {
		z := YMM()
		op(y, x, z)
		return z
	}
	if len(in) == 2 {
		return []reg.VecVirtual{pair(VUNPCKLPD, in[0], in[1]), pair(VUNPCKHPD, in[0], in[1])}
	}
	low01, high01 := pair(VUNPCKLPS, in[0], in[1]), pair(VUNPCKHPS, in[0], in[1])
	low23, high23 := pair(VUNPCKLPS, in[2], in[3]), pair(VUNPCKHPS, in[2], in[3])
	return []reg.VecVirtual{
		pair(VUNPCKLPD, low01, low23), pair(VUNPCKHPD, low01, low23),
		pair(VUNPCKLPD, high01, high23), pair(VUNPCKHPD, high01, high23),
	}
}
