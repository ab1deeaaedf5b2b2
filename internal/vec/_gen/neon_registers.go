package main

import (
	"slices"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonWriter gives registers to recorded operations, one after the other, and
// writes them. Constants that have no register of their own are loaded where they
// are needed, and give way where registers are.
type neonWriter struct {
	*neonKernel
	code []operation
	at   int // the operation at hand
	last map[*virtual]int
	in   map[*virtual]int // the registers of what is needed later
	free []int
	out  []func()  // what is written
	tail *neonMove // the last of it, if it is a move that may become a pair
	size int       // in instructions
}

// neonMove is a load or a store of a whole register.
type neonMove struct {
	load bool
	base neon.Reg
	disp int
	reg  int
}

// assign writes the operations to out. It returns false where the registers do not
// suffice.
func (k *neonKernel) assign(code []operation) (w *neonWriter, ok bool) {
	w = &neonWriter{neonKernel: k, code: code, last: map[*virtual]int{}, in: map[*virtual]int{}}
	for r := 31; r >= k.fixed; r-- {
		w.free = append(w.free, r)
	}
	for i, o := range code {
		for _, v := range append(o.args, o.was) {
			w.last[v] = i
		}
	}
	for w.at = range code {
		if !w.one(&code[w.at]) {
			return w, false
		}
	}
	return w, true
}

// one writes an operation.
func (w *neonWriter) one(o *operation) bool {
	var numbers []any
	for _, v := range o.args {
		r, ok := w.find(v)
		if !ok {
			return false
		}
		numbers = append(numbers, r)
	}
	if o.to == nil {
		o.move(w, numbers[0].(int))
		w.release(o.args...)
		return true
	}
	to, ok := w.target(o)
	if !ok {
		return false
	}
	if o.move != nil {
		o.move(w, to)
	} else {
		w.vec(o.text, append([]any{to}, numbers...)...)
	}
	return true
}

// find returns the register of an argument, loading it if it is a constant.
func (w *neonWriter) find(v *virtual) (reg int, ok bool) {
	if v.fixed {
		return v.reg, true
	}
	if r, ok := w.in[v]; ok {
		return r, true
	}
	r, ok := w.take()
	if ok {
		w.in[v] = r
		w.move(w.constant(v, r))
	}
	return r, ok
}

// target returns the register for the result, with what it must hold before in
// it, and releases the arguments that are not needed any more.
func (w *neonWriter) target(o *operation) (reg int, ok bool) {
	switch {
	case o.to.fixed:
		w.release(o.args...)
		return o.to.reg, true
	case o.was == nil:
		w.release(o.args...)
		reg, ok = w.take()
	case !o.was.constant && !o.was.fixed && w.last[o.was] == w.at:
		reg, ok = w.in[o.was]
		delete(w.in, o.was)
		w.release(o.args...)
	default:
		if reg, ok = w.take(); !ok {
			return 0, false
		}
		if o.was.constant { // cheaper than a copy, which takes an arithmetic unit
			w.move(w.constant(o.was, reg))
		} else {
			was, _ := w.find(o.was)
			w.vec("mov v%d.16b, v%d.16b", reg, was)
		}
		w.release(o.args...)
	}
	w.in[o.to] = reg
	if _, used := w.last[o.to]; !used {
		w.release(o.to)
	}
	return reg, ok
}

// release frees the registers of what the operation at hand is the last to need.
func (w *neonWriter) release(values ...*virtual) {
	for _, v := range values {
		if r, ok := w.in[v]; ok && w.last[v] <= w.at {
			delete(w.in, v)
			w.free = append(w.free, r)
		}
	}
}

// take returns a free register, or that of the constant which is needed latest.
func (w *neonWriter) take() (reg int, ok bool) {
	if len(w.free) == 0 {
		var far *virtual
		when := -1
		for v := range w.in {
			if next := w.next(v); v.constant && (next > when || next == when && v.bits < far.bits) {
				far, when = v, next
			}
		}
		if when <= w.at {
			return 0, false
		}
		w.free = append(w.free, w.in[far])
		delete(w.in, far)
	}
	reg = w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	return reg, true
}

// next is the operation that needs v next, from the one at hand on.
func (w *neonWriter) next(v *virtual) int {
	i := slices.IndexFunc(w.code[w.at:], func(o operation) bool { return slices.Contains(o.args, v) })
	if i < 0 {
		return len(w.code)
	}
	return w.at + i
}

// vec writes an instruction.
func (w *neonWriter) vec(text string, registers ...any) {
	w.write(func() { w.Vec(text, registers...) })
}

func (w *neonWriter) write(do func()) {
	w.out, w.tail = append(w.out, do), nil
	w.size++
}

// move writes a load or a store, as a pair with the one before if it can.
func (w *neonWriter) move(m neonMove) {
	if t := w.tail; t != nil && m.load == t.load && m.base == t.base && m.disp == t.disp+16 &&
		t.disp%16 == 0 && t.disp <= 1008 && !(m.load && m.reg == t.reg) {
		w.out = w.out[:len(w.out)-1]
		w.write(func() {
			if m.load {
				w.Go("FLDPQ %d(%v), (F%d, F%d)", t.disp, t.base, t.reg, m.reg)
			} else {
				w.Go("FSTPQ (F%d, F%d), %d(%v)", t.reg, m.reg, t.disp, t.base)
			}
		})
		w.size--
		return
	}
	w.write(func() {
		if m.load {
			w.Go("FMOVQ %d(%v), F%d", m.disp, m.base, m.reg)
		} else {
			w.Go("FMOVQ F%d, %d(%v)", m.reg, m.disp, m.base)
		}
	})
	w.tail = &m
}

// constant is the load of a constant from the table.
func (k *neonKernel) constant(v *virtual, reg int) neonMove {
	return neonMove{load: true, base: k.table, disp: 16 * k.indexOf(v.bits), reg: reg}
}

// indexOf is the place of a constant in the table of all kernels.
func (k *neonKernel) indexOf(bits uint32) int {
	i := slices.Index(*k.words, bits)
	if i < 0 {
		i = len(*k.words)
		*k.words = append(*k.words, bits)
	}
	return i
}

// flush writes what was assigned.
func (w *neonWriter) flush() {
	for _, do := range w.out {
		do()
	}
}
