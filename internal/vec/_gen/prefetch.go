package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// Prefetch asks for lines of the memory one after the other, and waits for none. It
// is the same for all instruction sets of a processor.
const (
	prefetchSignature = "func(lines int, x *float32)"
	lineBytes         = 64
)

func writePrefetch() {
	TEXT("prefetch", NOSPLIT, prefetchSignature)
	Pragma("noescape")
	lines, x := Load(Param("lines"), GP64()), Load(Param("x"), GP64())
	Label("line")
	PREFETCHT0(Mem{Base: x})
	ADDQ(Imm(lineBytes), x)
	DECQ(lines)
	JNZ(LabelRef("line"))
	RET()
}

func writePrefetchNEON(f *neon.File) {
	var registers neon.Registers
	k := f.Func("prefetch", prefetchSignature)
	lines, x := registers.New(), registers.New()
	k.LoadArg("lines", lines)
	k.LoadArg("x", x)
	k.Label("line")
	k.Go("PRFM (%v), PLDL1KEEP", x)
	k.Go("ADD $%d, %v, %v", lineBytes, x, x)
	k.Go("SUBS $1, %v, %v", lines, lines)
	k.Go("BNE line")
	k.Go("RET")
}
