package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// set is an instruction set. A kernel handles sixteen numbers at a time: one
// register of AVX-512, or two of AVX2 one after the other.
type set struct {
	name  string
	wide  bool // registers of sixteen numbers, with mask registers
	lanes int
	spare int // registers that no kernel's body needs, for arguments and constants
}

var sets = []set{{"AVX512", true, 16, 22}, {"AVX2", false, 8, 4}}

// step is the number of elements in a turn of a kernel's loop.
const step = 16

func (s set) halves() int { return step / s.lanes }

func (s set) vector() reg.VecVirtual {
	if s.wide {
		return ZMM()
	}
	return YMM()
}

// tail is the masks of the lanes that a last, incomplete turn has: one for each
// half.
type tail []reg.Register

// newTail makes the masks for n elements, 0 < n < step. It consumes n.
func (s set) newTail(n reg.Register) tail {
	if s.wide {
		bits, k := GP32(), K()
		MOVL(U32(0xffff), bits)
		BZHIL(n.(reg.GPVirtual).As32(), bits, bits)
		KMOVW(bits, k)
		return tail{k}
	}
	// A window that begins w elements before the middle of the table has its first
	// w lanes set; w is bounded to what a half has.
	var masks tail
	table := GP64()
	LEAQ(maskTable().Offset(maskHalf), table)
	for range s.halves() {
		w, eight, p, m := GP64(), GP64(), GP64(), YMM()
		MOVQ(n, w)
		MOVQ(U32(s.lanes), eight)
		CMPQ(w, eight)
		CMOVQGT(eight, w)
		XORQ(eight, eight)
		CMPQ(w, eight)
		CMOVQLT(eight, w)
		SHLQ(Imm(2), w)
		MOVQ(table, p)
		SUBQ(w, p)
		VMOVDQU(Mem{Base: p}, m)
		masks = append(masks, m)
		SUBQ(Imm(uint64(s.lanes)), n)
	}
	return masks
}

const maskHalf = 32 // bytes

var masks *Mem

func maskTable() Mem {
	if masks == nil {
		m := GLOBL("laneMasks", RODATA|NOPTR)
		for i := 0; i < 2*maskHalf; i += 4 {
			var v U32
			if i < maskHalf {
				v = ^v
			}
			DATA(i, v)
		}
		masks = &m
	}
	return *masks
}
