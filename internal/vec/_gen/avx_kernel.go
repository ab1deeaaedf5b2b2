package main

import (
	"iter"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avxBody writes one turn of a kernel's loop on one register of numbers.
type avxBody struct {
	avx
	kernel
	half    int          // which registerful of the turn
	mask    reg.Register // of the lanes that exist; nil for all
	at      reg.Register // bytes from the start of the vectors
	bases   map[string]reg.Register
	params  map[string]value
	results map[string][]reg.VecVirtual // for each half
}

// many is the number of vectors whose addresses fit into registers.
const many = 10

func (k *avxBody) base(name string) reg.Register {
	if r, ok := k.bases[name]; ok {
		return r
	}
	return Load(Param(name), GP64())
}

func (k *avxBody) address(name string) Mem {
	return Mem{Base: k.base(name), Index: k.at, Scale: 1, Disp: 4 * k.half * k.set.lanes}
}

// load is the elements of a vector; those beyond its end are zero.
func (k *avxBody) load(name string) value {
	r := k.vector()
	switch {
	case k.mask == nil:
		VMOVUPS(k.address(name), r)
	case k.wide:
		VMOVUPS_Z(k.address(name), k.mask, r)
	default:
		VMASKMOVPS(k.address(name), k.mask, r)
	}
	return r
}

// loadFours is of each element's four numbers the first, the second, the third and
// the fourth. Each four of a register's lanes are transposed on their own.
func (k *avxBody) loadFours(name string) (t [4]value) {
	var in [4]reg.VecVirtual // of each four elements the first, the second and so on
	for i := range in {
		in[i] = k.vector()
		for four := range k.set.lanes / 4 {
			from := Mem{Base: k.base(name), Index: k.at, Scale: 4, Disp: 16 * (k.half*k.set.lanes + 4*four + i)}
			switch {
			case four == 0 && k.wide:
				VBROADCASTF32X4(from, in[i])
			case four == 0:
				VBROADCASTF128(from, in[i])
			case k.wide:
				VINSERTF32X4(Imm(uint64(four)), from, in[i], in[i])
			default:
				VINSERTF128(Imm(uint64(four)), from, in[i], in[i])
			}
		}
	}
	pair := func(op func(...Op), a, b reg.VecVirtual) reg.VecVirtual {
		r := k.vector()
		op(b, a, r)
		return r
	}
	low01, high01 := pair(VUNPCKLPS, in[0], in[1]), pair(VUNPCKHPS, in[0], in[1])
	low23, high23 := pair(VUNPCKLPS, in[2], in[3]), pair(VUNPCKHPS, in[2], in[3])
	return [4]value{
		pair(VUNPCKLPD, low01, low23), pair(VUNPCKHPD, low01, low23),
		pair(VUNPCKLPD, high01, high23), pair(VUNPCKHPD, high01, high23),
	}
}

func (k *avxBody) store(name string, v value) {
	switch {
	case k.mask == nil:
		VMOVUPS(k.reg(v), k.address(name))
	case k.wide:
		VMOVUPS(k.reg(v), k.mask, k.address(name))
	default:
		VMASKMOVPS(k.reg(v), k.mask, k.address(name))
	}
}

// param is a scalar argument in every lane.
func (k *avxBody) param(name string) value { return k.params[name] }

// ahead fetches with the first half of a turn.
func (k *avxBody) ahead(name string, times int) {
	if k.mask != nil || k.half > 0 {
		return
	}
	for i := range times {
		PREFETCHT0(Mem{Base: k.base(name), Index: k.at, Scale: uint8(times), Disp: 4 * step * i})
	}
}

// soon fetches a line of the memory of each vector in a turn.
func (k *avxBody) soon(bytes int, names ...string) {
	if k.mask != nil || k.half*k.set.lanes%step != 0 {
		return
	}
	for _, name := range names {
		m := k.address(name)
		m.Disp += bytes
		PREFETCHT0(m)
	}
}

// fold adds v to a result.
func (k *avxBody) foldInto(name string, v value) {
	acc := k.results[name][k.half%k.halves()]
	switch {
	case k.mask == nil:
	case k.folding().start == 0:
		v = k.only(k.mask, v)
	default:
		v = k.pick(k.mask, v, k.word(k.folding().start))
	}
	VMOVUPS(k.folding().both(lanes{k}, v, acc), acc)
}

// write writes the kernel for an instruction set.
func (k kernel) write(s set) {
	TEXT(k.name+s.name, NOSPLIT, k.signature())
	Pragma("noescape")
	n := Load(Param("elements"), GP64())
	b := k.arguments(s)
	var rows reg.Register
	if k.strided != "" {
		rows = Load(Param("rows"), GP64())
	}
	first, loop, rest := uint64(step), "whole", "tail"
	// What constants the body uses is known when it is written, so the code that
	// loads them comes last, though it runs first.
	JMP(LabelRef("begin"))
	if k.long && s.wide {
		first, loop, rest = 2*step, "two", "one"
		b.held.free -= 12 // for the second turn
		Label("two")
		b.twoTurns()
		ADDQ(Imm(2*4*step), b.at)
		SUBQ(Imm(2*step), n)
		JGE(LabelRef("two"))
		Label("one")
		ADDQ(Imm(step), n)
		JL(LabelRef("tail"))
	}
	Label("whole")
	b.turn(nil)
	ADDQ(Imm(4*step), b.at)
	SUBQ(Imm(step), n)
	JGE(LabelRef("whole"))
	Label("tail")
	if k.fours == "" {
		ADDQ(Imm(step), n)
		JZ(LabelRef("done"))
		b.turn(s.newTail(n))
	}
	Label("done")
	b.nextRow(n, rows)
	b.finish()
	VZEROUPPER()
	RET()
	Label("begin")
	b.held.load()
	if rows != nil {
		Label("row")
	}
	SUBQ(Imm(first), n)
	JGE(LabelRef(loop))
	JMP(LabelRef(rest))
}

// nextRow moves on to the next row, of n elements again, if some are left.
func (k *avxBody) nextRow(n, rows reg.Register) {
	if rows == nil {
		return
	}
	for _, v := range strings.Fields(k.strided) {
		distance := Load(Param(v+"Row"), GP64())
		LEAQ(Mem{Base: k.bases[v], Index: distance, Scale: 4}, k.bases[v])
	}
	XORQ(k.at, k.at)
	Load(Param("elements"), n)
	DECQ(rows)
	JNZ(LabelRef("row"))
}

// arguments loads the arguments, as far as there are registers for them, and
// clears the results.
func (k kernel) arguments(s set) *avxBody {
	b := &avxBody{avx: avx{set: s, held: &held{free: s.spare}}, kernel: k, at: GP64(),
		bases: map[string]reg.Register{}, params: map[string]value{}, results: map[string][]reg.VecVirtual{}}
	XORQ(b.at, b.at)
	if vs := k.pointers(); len(vs) <= many {
		for _, v := range vs {
			b.bases[v] = Load(Param(v), GP64())
		}
	}
	for _, p := range strings.Fields(k.scalars) {
		v := s.vector()
		addr, err := Param(p).Resolve()
		if err != nil {
			panic(err)
		}
		VBROADCASTSS(addr.Addr, v)
		b.params[p] = v
		b.held.free--
	}
	for _, r := range strings.Fields(k.results) {
		for range s.halves() {
			b.results[r] = append(b.results[r], b.copy(constant(b.folding().start)))
			b.held.free--
		}
	}
	return b
}

func (k *avxBody) turn(t tail) {
	for k.half = range k.halves() {
		k.mask = nil
		if t != nil {
			k.mask = t[k.half]
		}
		k.kernel.body(&body{lanes{k}, k})
	}
}

// twoTurns writes two turns on whole registers, an instruction of the one after an
// instruction of the other.
func (k *avxBody) twoTurns() {
	var sides []func() (struct{}, bool)
	for i := range 2 {
		side := *k
		side.half, side.mask = i, nil
		next, _ := iter.Pull(func(yield func(struct{}) bool) {
			side.pause = func() { yield(struct{}{}) }
			side.kernel.body(&body{lanes{&side}, &side})
		})
		sides = append(sides, next)
	}
	for more := true; more; {
		for _, next := range sides {
			_, more = next()
		}
	}
}

// finish folds the lanes of the results: sixteen to eight, four, two and one.
func (k *avxBody) finish() {
	narrow := avx{set: sets[1]}
	f := k.folding()
	for i, name := range strings.Fields(k.kernel.results) {
		acc := k.results[name]
		var eight value
		if k.wide {
			// The copy gets one of the sixteen registers that AVX has.
			low, high := k.copy(acc[0]), YMM()
			VEXTRACTF64X4(Imm(1), low, high)
			eight = f.both(lanes{narrow}, low.AsY(), high)
		} else {
			eight = f.both(lanes{narrow}, acc[0], acc[1])
		}
		high, four, two, one := XMM(), XMM(), XMM(), XMM()
		low := narrow.reg(eight).AsX()
		VEXTRACTF128(Imm(1), eight, high)
		pair := func(a, b, to reg.Register) {
			if f.start == 0 {
				VADDPS(b, a, to)
			} else {
				VMAXPS(b, a, to)
			}
		}
		pair(low, high, four)
		VSHUFPS(Imm(0x4e), four, four, two)
		pair(four, two, two)
		VSHUFPS(Imm(0xb1), two, two, one)
		pair(two, one, one)
		Store(one, ReturnIndex(i))
	}
}
