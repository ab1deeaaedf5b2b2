package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// kernel is a function on vectors of n elements. All vectors are read and
// written element by element, none is read behind its write.
type kernel struct {
	name    string
	vectors string // names of the vectors, those that are written last
	scalars string // names of the scalar arguments
	results string // names of the sums (or maxima) over all elements
	// fold is the operation of the results; sum if nil.
	fold *folding
	body func(k *body)
}

// folding is how a result is made of the elements.
type folding struct {
	start uint32 // of a lane with no elements
	both  func(l lanes, a, b value) value
}

var (
	sum     = folding{0, lanes.add}
	maximum = folding{0xff800000, lanes.max}
)

// body writes one turn of a kernel's loop on one register of numbers.
type body struct {
	lanes
	kernel
	half    int
	mask    reg.Register // of the lanes that exist; nil for all
	at      reg.Register // bytes from the start of the vectors
	bases   map[string]reg.Register
	params  map[string]value
	results map[string][]reg.VecVirtual // for each half
}

// many is the number of vectors whose addresses fit into registers.
const many = 9

func (k *body) base(name string) reg.Register {
	if r, ok := k.bases[name]; ok {
		return r
	}
	return Load(Param(name), GP64())
}

func (k *body) address(name string) Mem {
	return Mem{Base: k.base(name), Index: k.at, Scale: 1, Disp: 4 * k.half * k.set.lanes}
}

// load is the elements of a vector; those beyond its end are zero.
func (k *body) load(name string) value {
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

func (k *body) store(name string, v value) {
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
func (k *body) param(name string) value { return k.params[name] }

// fold adds v to a result.
func (k *body) foldInto(name string, v value) {
	acc := k.results[name][k.half]
	switch {
	case k.mask == nil:
	case k.folding().start == 0:
		v = k.only(k.mask, v)
	default:
		v = k.pick(k.mask, v, k.word(k.folding().start))
	}
	VMOVUPS(k.folding().both(k.lanes, v, acc), acc)
}

func (k *body) folding() folding {
	if k.fold == nil {
		return sum
	}
	return *k.fold
}

func (k kernel) signature() string {
	s := "func(elements int"
	for _, v := range strings.Fields(k.vectors) {
		s += ", " + v + " *float32"
	}
	for _, v := range strings.Fields(k.scalars) {
		s += ", " + v + " float32"
	}
	s += ")"
	if r := strings.Fields(k.results); len(r) > 0 {
		s += " (" + strings.Join(r, ", ") + " float32)"
	}
	return s
}

// write writes the kernel for an instruction set.
func (k kernel) write(s set) {
	TEXT(k.name+s.name, NOSPLIT, k.signature())
	Pragma("noescape")
	b := &body{lanes: lanes{s}, kernel: k, bases: map[string]reg.Register{}, params: map[string]value{}, results: map[string][]reg.VecVirtual{}}
	n, at := Load(Param("elements"), GP64()), GP64()
	b.at = at
	XORQ(at, at)
	if vs := strings.Fields(k.vectors); len(vs) <= many {
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
	}
	for _, r := range strings.Fields(k.results) {
		for range s.halves() {
			b.results[r] = append(b.results[r], b.copy(b.word(b.folding().start)))
		}
	}

	SUBQ(Imm(step), n)
	JL(LabelRef("tail"))
	Label("whole")
	b.turn(nil)
	ADDQ(Imm(4*step), at)
	SUBQ(Imm(step), n)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(Imm(step), n)
	JZ(LabelRef("done"))
	b.turn(s.newTail(n))
	Label("done")
	b.finish()
	VZEROUPPER()
	RET()
}

func (k *body) turn(t tail) {
	for k.half = range k.halves() {
		k.mask = nil
		if t != nil {
			k.mask = t[k.half]
		}
		k.body(k)
	}
}

// finish folds the lanes of the results: sixteen to eight, four, two and one.
func (k *body) finish() {
	narrow := lanes{sets[1]}
	f := k.folding()
	for i, name := range strings.Fields(k.kernel.results) {
		acc := k.results[name]
		var eight value
		if k.wide {
			high := YMM()
			VEXTRACTF64X4(Imm(1), acc[0], high)
			eight = f.both(narrow, acc[0].AsY(), high)
		} else {
			eight = f.both(narrow, acc[0], acc[1])
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
