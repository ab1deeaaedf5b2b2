package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dots writes a kernel for the scalar products of several rows of A with x.
// A row's result does not depend on how many rows are taken at a time. Wider
// registers than AVX2's would not help: loading A is the limit.
func dots(e element, rows int) {
	const unroll = 2
	results := "r0"
	for i := 1; i < rows; i++ {
		results += fmt.Sprintf(", r%d", i)
	}
	TEXT(fmt.Sprintf("%sdotsAVX2x%d", e.prefix, rows), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, aRow int, x *%[1]s) (%[2]s %[1]s)", e.name, results))
	Pragma("noescape")
	k := Load(Param("k"), GP64())
	aRow := Load(Param("aRow"), GP64())
	SHLQ(e.shift(), aRow)
	a := newRowPointers(Load(Param("a"), GP64()), aRow, rows)
	x := Load(Param("x"), GP64())
	acc := make([][unroll]reg.VecVirtual, rows)
	for i := range acc {
		for u := range acc[i] {
			acc[i][u] = YMM()
			VXORPS(acc[i][u], acc[i][u], acc[i][u])
		}
	}

	lanes := 32 / e.size
	SUBQ(Imm(uint64(unroll*lanes)), k)
	JL(LabelRef("single"))
	Label("pairs")
	for u := range unroll {
		xv := YMM()
		e.move(Mem{Base: x, Disp: 32 * u}, xv)
		for i := range acc {
			e.fma(a.at(i, 32*u), xv, acc[i][u])
		}
	}
	a.advance(Imm(32 * unroll))
	ADDQ(Imm(32*unroll), x)
	SUBQ(Imm(uint64(unroll*lanes)), k)
	JGE(LabelRef("pairs"))

	Label("single")
	ADDQ(Imm(uint64((unroll-1)*lanes)), k)
	JL(LabelRef("tail"))
	xv := YMM()
	e.move(Mem{Base: x}, xv)
	for i := range acc {
		e.fma(a.at(i, 0), xv, acc[i][0])
	}
	a.advance(Imm(32))
	ADDQ(Imm(32), x)
	SUBQ(Imm(uint64(lanes)), k)

	Label("tail")
	ADDQ(Imm(uint64(lanes)), k)
	JZ(LabelRef("sum"))
	mask := YMM()
	VMOVDQU(Mem{Base: maskWindow(e, k)}, mask)
	xt := YMM()
	e.maskMove(Mem{Base: x}, mask, xt)
	for i := range acc {
		av := YMM()
		e.maskMove(a.at(i, 0), mask, av)
		e.fma(av, xt, acc[i][1])
	}

	Label("sum")
	for i := range acc {
		e.add(acc[i][1], acc[i][0], acc[i][0])
		Store(horizontalSum(e, acc[i][0]), ReturnIndex(i))
	}
	VZEROUPPER()
	RET()
}

// horizontalSum adds the lanes of v.
func horizontalSum(e element, v reg.VecVirtual) reg.Register {
	low, high := v.AsX(), XMM()
	VEXTRACTF128(Imm(1), v, high)
	e.add(high, low, low)
	VMOVHLPS(low, low, high)
	e.add(high, low, low)
	if e.size == 4 {
		VMOVSHDUP(low, high)
		e.add(high, low, low)
	}
	return low
}
