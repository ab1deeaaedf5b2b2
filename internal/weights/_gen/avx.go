package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// set is an instruction set for amd64. Sixteen numbers are one register of
// AVX-512, or two of AVX2.
type set struct {
	name  string
	wide  bool
	lanes int
}

func (s set) parts() int { return lanes / s.lanes }

func (s set) vector() reg.VecVirtual {
	if s.wide {
		return ZMM()
	}
	return YMM()
}

// zeros returns a register for each part of sixteen numbers, cleared.
func (s set) zeros() (all []reg.VecVirtual) {
	for range s.parts() {
		v := s.vector()
		if s.wide {
			VPXORD(v, v, v)
		} else {
			VXORPS(v, v, v)
		}
		all = append(all, v)
	}
	return all
}

// avxKernel holds the registers of a kernel while it is written.
type avxKernel struct {
	set
	format
	w, scales, x reg.Register // where the next group is
	table        reg.VecVirtual
}

func (s set) kernel(f format) *avxKernel {
	k := &avxKernel{set: s, format: f, w: Load(Param("w"), GP64())}
	if !f.scaled {
		return k
	}
	k.scales = Load(Param("scales"), GP64())
	if s.wide && f.name == int4.name {
		k.table = ZMM()
		VMOVUPS(int4Table(), k.table)
	}
	return k
}

var int4Numbers *Mem

// int4Table is the numbers that the sixteen patterns of an int4 stand for.
func int4Table() Mem {
	if int4Numbers == nil {
		m := GLOBL("int4Numbers", RODATA|NOPTR)
		for i := range 16 {
			n := i
			if i >= 8 {
				n -= 16
			}
			DATA(4*i, U32(math.Float32bits(float32(n))))
		}
		int4Numbers = &m
	}
	return *int4Numbers
}

// dots writes a kernel for y = W·x with numbers that are floats.
func (s set) dots(f format) {
	TEXT("dots"+f.name+s.name, NOSPLIT, f.dotsSignature())
	Pragma("noescape")
	k := s.kernel(f)
	x, y := Load(Param("x"), GP64()), Load(Param("y"), GP64())
	rows, groups, left := Load(Param("rows"), GP64()), Load(Param("groups"), GP64()), GP64()
	k.x = GP64()
	Label("row")
	sums := [2][]reg.VecVirtual{s.zeros(), s.zeros()}
	MOVQ(x, k.x)
	MOVQ(groups, left)
	Label("next")
	PREFETCHT0(Mem{Base: k.w, Disp: ahead})
	for p := range s.parts() {
		low, high := k.numbers(0, p)
		VFMADD231PS(Mem{Base: k.x, Disp: 4 * p * s.lanes}, low, sums[0][p])
		VFMADD231PS(Mem{Base: k.x, Disp: 4 * (lanes + p*s.lanes)}, high, sums[1][p])
	}
	k.advance(1)
	ADDQ(U32(4*group), k.x)
	DECQ(left)
	JNZ(LabelRef("next"))
	for p := range s.parts() {
		VADDPS(sums[1][p], sums[0][p], sums[0][p])
	}
	VMOVSS(s.reduce(sums[0]), Mem{Base: y})
	ADDQ(Imm(4), y)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// ahead is how far before it is read the matrix is fetched, in bytes: the
// processor itself stops fetching at the end of a page.
const ahead = 1024

// scale is one scale in all lanes.
func (k *avxKernel) scale() reg.VecVirtual {
	bits, s := GP32(), k.vector()
	MOVWLZX(Mem{Base: k.scales}, bits)
	SHLL(Imm(16), bits)
	VMOVD(bits, s.AsX())
	VBROADCASTSS(s.AsX(), s)
	return s
}

func (k *avxKernel) advance(groups int) {
	ADDQ(U32(groups*k.bytes), k.w)
	if k.scaled {
		ADDQ(Imm(uint64(groups*scaleBytes)), k.scales)
	}
}

// numbers is part p of the first and of the second sixteen numbers of the group
// that is j groups on, without the scale.
func (k *avxKernel) numbers(j, p int) (low, high reg.VecVirtual) {
	low, high = k.vector(), k.vector()
	at := j * k.bytes
	switch k.format.name {
	case bf16.name:
		for half, v := range []reg.VecVirtual{low, high} {
			VPMOVZXWD(Mem{Base: k.w, Disp: at + 2*(half*lanes+p*k.lanes)}, v)
			VPSLLD(Imm(16), v, v)
		}
	case int8.name:
		for half, v := range []reg.VecVirtual{low, high} {
			VPMOVSXBD(Mem{Base: k.w, Disp: at + half*lanes + p*k.lanes}, v)
			VCVTDQ2PS(v, v)
		}
	case int4.name:
		from := Mem{Base: k.w, Disp: at + p*k.lanes}
		if k.wide { // a permutation looks at the lower half of a byte alone
			VPMOVZXBD(from, low)
			VPSRLD(Imm(4), low, high)
			VPERMPS(k.table, low, low)
			VPERMPS(k.table, high, high)
			break
		}
		VPMOVSXBD(from, low)
		VPSRAD(Imm(4), low, high)
		VPSLLD(Imm(28), low, low)
		VPSRAD(Imm(28), low, low)
		VCVTDQ2PS(low, low)
		VCVTDQ2PS(high, high)
	}
	return low, high
}

// reduce adds up partial sums: sixteen to eight, four, two and one.
func (s set) reduce(sums []reg.VecVirtual) reg.Register {
	four, high := s.quarter(sums...), XMM()
	VMOVHLPS(four, four, high)
	VADDPS(high, four, four)
	VMOVSHDUP(four, high)
	VADDPS(high, four, four)
	return four
}

// quarter adds up partial sums until four are left.
func (s set) quarter(sums ...reg.VecVirtual) reg.VecVirtual {
	eight, four, high := YMM(), XMM(), YMM()
	if s.wide {
		VEXTRACTF64X4(Imm(1), sums[0], high)
		VADDPS(high, sums[0].AsY(), eight)
		VEXTRACTF32X4(Imm(1), eight, high.AsX()) // reaches all registers
	} else {
		VADDPS(sums[1], sums[0], eight)
		VEXTRACTF128(Imm(1), eight, high.AsX())
	}
	VADDPS(high.AsX(), eight.AsX(), four)
	return four
}

// unpack writes a kernel for the numbers of a row.
func (s set) unpack(f format) {
	TEXT("unpack"+f.name+s.name, NOSPLIT, f.unpackSignature())
	Pragma("noescape")
	k := s.kernel(f)
	groups, dst := Load(Param("groups"), GP64()), Load(Param("dst"), GP64())
	Label("next")
	var scale reg.VecVirtual
	if f.scaled {
		scale = k.scale()
	}
	for p := range s.parts() {
		low, high := k.numbers(0, p)
		for half, v := range []reg.VecVirtual{low, high} {
			if f.scaled {
				VMULPS(scale, v, v)
			}
			VMOVUPS(v, Mem{Base: dst, Disp: 4 * (half*lanes + p*s.lanes)})
		}
	}
	k.advance(1)
	ADDQ(U32(4*group), dst)
	DECQ(groups)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}
