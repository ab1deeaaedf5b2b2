package neon

import "fmt"

// Reg is a general register.
type Reg int

func (r Reg) String() string { return fmt.Sprintf("R%d", int(r)) }

// Registers hands out the general registers that a function may use: not the
// platform's 18, nor 27, which Go's assembler takes for itself.
type Registers struct{ used int }

var general = []Reg{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26}

// New returns a register that has not been handed out. It panics if there is
// none left, since a generator cannot continue then.
func (r *Registers) New() Reg {
	r.used++
	return general[r.used-1]
}

// LoadArg loads an integer or a pointer.
func (fn *Func) LoadArg(name string, to Reg) { fn.Go("MOVD %s, %v", fn.Arg(name), to) }

// LoadFew loads rest float32, 0 < rest < 4, from disp bytes behind base on. The
// other elements become zero.
func (fn *Func) LoadFew(v int, base Reg, disp int, rest, temp Reg) {
	fn.few(v, base, disp, rest, temp, "ld1", func(move, at string) { fn.Go("%s %s, F%d", move, at, v) })
}

// StoreFew stores the first rest float32, 0 < rest < 4, to disp bytes behind base.
func (fn *Func) StoreFew(v int, base Reg, disp int, rest, temp Reg) {
	fn.few(v, base, disp, rest, temp, "st1", func(move, at string) { fn.Go("%s F%d, %s", move, v, at) })
}

func (fn *Func) few(v int, base Reg, disp int, rest, temp Reg, third string, move func(move, at string)) {
	one, done, at := fn.NewLabel("one"), fn.NewLabel("done"), fmt.Sprintf("%d(%v)", disp, base)
	fn.Go("TBZ $1, %v, %s", rest, one)
	move("FMOVD", at)
	fn.Go("TBZ $0, %v, %s", rest, done)
	fn.Go("ADD $%d, %v, %v", disp+8, base, temp)
	fn.Vec("%s {v%d.s}[2], [x%d]", third, v, temp)
	fn.Go("B %s", done)
	fn.Label(one)
	move("FMOVS", at)
	fn.Label(done)
}
