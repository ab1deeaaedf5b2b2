package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// copyAhead is how many rows ahead a copy fetches: as many as are copied at a
// time, since the next ones are copied when those have been through all panels. They
// come into the second-level cache: in the first, rows that are a power of two apart
// would drive out those being copied, of which each panel takes only a part of a line.
const copyAhead = 16

// copier writes a kernel that copies rows of a known number of elements, srcRow
// apart, to where they follow one another.
func copier(e element, cols int) {
	TEXT(fmt.Sprintf("%scopyAVX%d", e.prefix, cols), NOSPLIT,
		fmt.Sprintf("func(rows int, src *%[1]s, srcRow int, dst *%[1]s)", e.name))
	Pragma("noescape")
	rows := Load(Param("rows"), GP64())
	src := Load(Param("src"), GP64())
	srcRow := Load(Param("srcRow"), GP64())
	SHLQ(e.shift(), srcRow)
	dst := Load(Param("dst"), GP64())
	ahead := GP64()
	MOVQ(srcRow, ahead)
	IMUL3Q(Imm(copyAhead), ahead, ahead)

	Label("next")
	for at := 0; at < cols*e.size; at += 64 {
		PREFETCHT1(Mem{Base: src, Index: ahead, Scale: 1, Disp: at})
	}
	moves := movesFor(cols * e.size)
	for _, m := range moves {
		m.op(Mem{Base: src, Disp: m.at}, m.through)
	}
	for _, m := range moves {
		m.op(m.through, Mem{Base: dst, Disp: m.at})
	}
	ADDQ(srcRow, src)
	ADDQ(Imm(uint64(cols*e.size)), dst)
	DECQ(rows)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// move is a part of a row on its way through a register.
type move struct {
	at      int // in bytes
	through reg.Register
	op      func(...Op)
}

// movesFor cuts a row into the widest moves of AVX.
func movesFor(bytes int) []move {
	var moves []move
	for at := 0; at < bytes; {
		m, size := move{at, YMM(), VMOVUPS}, 32
		switch rest := bytes - at; {
		case rest < 16:
			m, size = move{at, XMM(), VMOVSD}, 8
		case rest < 32:
			m, size = move{at, XMM(), VMOVUPS}, 16
		}
		moves = append(moves, m)
		at += size
	}
	return moves
}
