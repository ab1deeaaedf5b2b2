package main

import "fmt"

// virtual is the result of an operation, or a constant, which has no register yet.
type virtual struct {
	constant bool
	bits     uint32 // of a constant
	fixed    bool   // in one register through all of the kernel
	reg      int
}

// Asm makes a virtual a value; nothing prints it.
func (v *virtual) Asm() string { return fmt.Sprintf("%+v", *v) }

// operation is one instruction whose registers are not chosen yet.
type operation struct {
	// text has %d in place of the registers' numbers: the result's, then the arguments'.
	text string
	to   *virtual // nil for a store
	was  *virtual // what the result's register must hold before, if anything
	args []*virtual
	// move, instead of text, loads or stores the register.
	move func(w *neonWriter, reg int)
}

// neonTurn records one turn of a kernel's loop for a register of four numbers.
type neonTurn struct {
	*neonKernel
	quarter int  // which four of the sixteen
	results int  // in which of their registers results are added up
	few     bool // only the first elements exist
	code    []operation
	mask    *virtual // of the elements that exist, if few
}

func (t *neonTurn) record(o operation) *virtual {
	t.code = append(t.code, o)
	return o.to
}

func virtuals(values []value) []*virtual {
	var all []*virtual
	for _, v := range values {
		all = append(all, v.(*virtual))
	}
	return all
}

// op records an instruction whose result may be in any register.
func (t *neonTurn) op(text string, args ...value) value {
	return t.record(operation{text: text, to: new(virtual), args: virtuals(args)})
}

// over records an instruction that changes was into the result.
func (t *neonTurn) over(text string, was value, args ...value) value {
	return t.record(operation{text: text, to: new(virtual), was: was.(*virtual), args: virtuals(args)})
}

func numbers(name string) string { return name + " v%d.4s, v%d.4s, v%d.4s" }
func bits(name string) string    { return name + " v%d.16b, v%d.16b, v%d.16b" }
func single(name string) string  { return name + " v%d.4s, v%d.4s" }

func (t *neonTurn) add(a, b value) value { return t.op(numbers("fadd"), a, b) }
func (t *neonTurn) sub(a, b value) value { return t.op(numbers("fsub"), a, b) }
func (t *neonTurn) mul(a, b value) value { return t.op(numbers("fmul"), a, b) }
func (t *neonTurn) div(a, b value) value { return t.op(numbers("fdiv"), a, b) }

func (t *neonTurn) sqrt(a value) value  { return t.op(single("fsqrt"), a) }
func (t *neonTurn) abs(a value) value   { return t.op(single("fabs"), a) }
func (t *neonTurn) neg(a value) value   { return t.op(single("fneg"), a) }
func (t *neonTurn) round(a value) value { return t.op(single("frintn"), a) }

func (t *neonTurn) fma(a, b, c value) value  { return t.over(numbers("fmla"), c, a, b) }
func (t *neonTurn) fnma(a, b, c value) value { return t.over(numbers("fmls"), c, a, b) }
func (t *neonTurn) fms(a, b, c value) value  { return t.fma(a, b, t.neg(c)) }

func (t *neonTurn) and(a, b value) value { return t.op(bits("and"), a, b) }
func (t *neonTurn) or(a, b value) value  { return t.op(bits("orr"), a, b) }

// max and min are AVX's: b if either is NaN, or if they are equal. NEON's own do
// otherwise, but not where a is a constant other than zero, nor for the lesser of zero and
// a number: NaN stays NaN, and −0 is less than 0.
func (t *neonTurn) max(a, b value) value {
	if c := a.(*virtual); c.constant && c.bits<<1 != 0 {
		return t.op(numbers("fmax"), a, b)
	}
	return t.pick(t.compare(less, b, a), a, b)
}

func (t *neonTurn) min(a, b value) value {
	if a.(*virtual).constant {
		return t.op(numbers("fmin"), a, b)
	}
	return t.pick(t.compare(less, a, b), a, b)
}

func (t *neonTurn) compare(c comparison, a, b value) value {
	switch c {
	case less:
		return t.op(numbers("fcmgt"), b, a)
	case atLeast:
		return t.op(numbers("fcmge"), a, b)
	case notEqual:
		return t.op("mvn v%d.16b, v%d.16b", t.op(numbers("fcmeq"), a, b))
	}
	return t.op(numbers("fcmeq"), a, b)
}

func (t *neonTurn) pick(mask, a, b value) value { return t.over(bits("bsl"), mask, a, b) }
func (t *neonTurn) only(mask, a value) value    { return t.and(mask, a) }
func (t *neonTurn) both(a, b value) value       { return t.and(a, b) }

func (t *neonTurn) scale2(q, n value) value {
	whole := t.op(single("fcvtzs"), n)
	half := t.op("sshr v%d.4s, v%d.4s, #1", whole)
	for _, e := range []value{half, t.op(numbers("sub"), whole, half)} {
		e = t.op(numbers("add"), e, t.word(127))
		q = t.mul(q, t.op("shl v%d.4s, v%d.4s, #23", e))
	}
	return q
}

func (t *neonTurn) swap(by int, a value) value {
	if by&1 != 0 {
		a = t.op(single("rev64"), a)
	}
	if by&2 != 0 {
		a = t.op("ext v%d.16b, v%d.16b, v%d.16b, #8", a, a)
	}
	return a
}

func (t *neonTurn) spread(i int, a value) value {
	odd := t.op(numbers([]string{"trn1", "trn2"}[i%2]), a, a)
	return t.op([]string{"trn1", "trn2"}[i/2]+" v%d.2d, v%d.2d, v%d.2d", odd, odd)
}

func (t *neonTurn) horner(x value, c ...float64) value {
	p := t.word(bitsOf(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		p = t.fma(p, x, t.word(bitsOf(c[i])))
	}
	return p
}

// word is a constant, the same virtual wherever it is used in the kernel.
func (t *neonTurn) word(bits uint32) value {
	v, ok := t.constants[bits]
	if !ok {
		v = &virtual{constant: true, bits: bits}
		t.constants[bits] = v
	}
	return v
}

func (t *neonTurn) load(name string) value {
	base, disp := t.bases[name], 16*t.quarter
	return t.record(operation{to: new(virtual), move: func(w *neonWriter, reg int) {
		if t.few {
			w.write(func() { t.LoadFew(reg, base, 0, t.n, t.temp) })
		} else {
			w.move(neonMove{load: true, base: base, disp: disp, reg: reg})
		}
	}})
}

// loadFours transposes four elements of four numbers.
func (t *neonTurn) loadFours(name string) [4]value {
	var in [4]value
	for i := range in {
		m := neonMove{load: true, base: t.bases[name], disp: 64*t.quarter + 16*i}
		in[i] = t.record(operation{to: new(virtual), move: func(w *neonWriter, reg int) {
			m.reg = reg
			w.move(m)
		}})
	}
	pair := func(op, size string, a, b value) value {
		v := " v%d." + size
		return t.op(op+v+","+v+","+v, a, b)
	}
	even01, odd01 := pair("trn1", "4s", in[0], in[1]), pair("trn2", "4s", in[0], in[1])
	even23, odd23 := pair("trn1", "4s", in[2], in[3]), pair("trn2", "4s", in[2], in[3])
	return [4]value{
		pair("trn1", "2d", even01, even23), pair("trn1", "2d", odd01, odd23),
		pair("trn2", "2d", even01, even23), pair("trn2", "2d", odd01, odd23),
	}
}

func (t *neonTurn) store(name string, v value) {
	base, disp := t.bases[name], 16*t.quarter
	t.record(operation{args: virtuals([]value{v}), move: func(w *neonWriter, reg int) {
		if t.few {
			w.write(func() { t.StoreFew(reg, base, 0, t.n, t.temp) })
		} else {
			w.move(neonMove{base: base, disp: disp, reg: reg})
		}
	}})
}

func (t *neonTurn) param(name string) value { return t.params[name] }

// ahead and soon do nothing: what a processor sees by itself is not known.
func (t *neonTurn) ahead(string, int)   {}
func (t *neonTurn) soon(int, ...string) {}

func (t *neonTurn) foldInto(name string, v value) {
	f, acc := t.folding(), t.sums[name][t.results]
	if t.few && f.start == 0 {
		v = t.only(t.existing(), v)
	} else if t.few {
		v = t.pick(t.existing(), v, t.word(f.start))
	}
	if f.start == 0 {
		t.record(operation{text: numbers("fadd"), to: acc, args: virtuals([]value{v, acc})})
		return
	}
	more := t.compare(less, acc, v)
	t.record(operation{text: bits("bit"), to: acc, was: acc, args: virtuals([]value{v, more})})
}

// existing is the mask of the elements that exist.
func (t *neonTurn) existing() value {
	if t.mask == nil {
		t.mask = t.record(operation{to: new(virtual), move: func(w *neonWriter, reg int) {
			w.write(func() {
				t.Go("MOVD $%s<>+12(SB), %v", laneMasks, t.temp)
				t.Go("SUB %v<<2, %v, %v", t.n, t.temp, t.temp)
				t.Go("FMOVQ (%v), F%d", t.temp, reg)
			})
		}})
	}
	return t.mask
}

// laneMasks is words of which the first are set: a window that begins some words
// before the fourth has as many set.
const laneMasks = "laneMasks"
