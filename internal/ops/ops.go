// Package ops says what is computed: every operation of the training and
// inference graphs, forward and backward, as a plain value.
//
// A value holds the sizes and constants of one operation. From it follow the
// name that graphs show, what the operation reads and writes, how much it
// computes and whether it computes at all. How it is computed is the matter of a
// device; see package device.
//
// # Operands
//
// Inputs and Outputs list the operands in the order in which an operation takes them.
// Arrays are row-major. Activations are matrices of B·T rows, batch-major: row
// b·T+t is step t of sequence b. Heads are consecutive column blocks. Floats all
// have the element type of the graph, float32 or float64; integers are marked.
// An optional operand is in the list if the value says that it is there.
//
// Unless an operation's comment says otherwise, no output may lie in the memory
// of an input or of another output, and every element of every output is
// written, whatever was there before.
//
// # Derivatives
//
// The derivative of Norm is NormGrad, and so on. It reads the operands of the
// forward operation that it needs, then the gradients of the results, and writes
// the gradients of the float inputs in their order. They go by the same names: dx
// is the gradient of x. A result that is used nowhere has no gradient, which
// counts as zero; the field Has says which are there.
//
// # Notation
//
// B batch, T time, D width, NH heads, DH head width, DQK and DHV the widths of a
// head's keys and values, N rows, V vocabulary, K kernel size, ~ a gate's
// pre-activation, σ the logistic function, ⊙ the product element by element.
package ops

import "fmt"

// Op is an operation.
type Op interface {
	// Name is what graphs show; it need not identify the operation. See Key.
	Name() string
	// Inputs and Outputs are the operands that it reads and writes.
	Inputs() []Arg
	Outputs() []Arg
	// Kind says what sort of work it is.
	Kind() Kind
	// MulAdds is the number of multiply-adds in its matrix products and
	// convolutions. What is done element by element (norms, activations,
	// exponential gates, dropout, sums) is not counted: it grows with the width,
	// they with its square.
	MulAdds() int64
}

// Kind is a sort of work.
type Kind int

const (
	// Compute is arithmetic.
	Compute Kind = iota
	// Move copies numbers from one place to another.
	Move
	// View is no work at all: the result is memory that is there already, or
	// nothing that is read. Such operations are for graphs; no device sees them.
	View
)

// Arg is an operand.
type Arg struct {
	Name  string
	Shape Shape
	Int   bool // its elements are integers
}

// Shape is the length of every axis of an array; empty for a single number.
type Shape []int

// Size is the number of elements.
func (s Shape) Size() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Dtype is the type of elements.
type Dtype int

const (
	Float32 Dtype = iota
	Float64
	Int // of the size of Go's int
)

func (d Dtype) String() string { return [...]string{"float32", "float64", "int"}[d] }

// Size is the number of bytes of an element.
func (d Dtype) Size() int { return [...]int{4, 8, 8}[d] }

// Key identifies an operation: two are the same if and only if their keys are
// equal. It is the same in every run of a program.
func Key(op Op) string { return fmt.Sprintf("%T%+v", op, op) }

// floats returns the operand of a name and shape.
func floats(name string, shape ...int) Arg { return Arg{Name: name, Shape: shape} }

func ints(name string, shape ...int) Arg { return Arg{Name: name, Shape: shape, Int: true} }

// when appends args if they are there.
func when(has bool, to []Arg, args ...Arg) []Arg {
	if has {
		return append(to, args...)
	}
	return to
}

// gradsOf appends the gradients of those results that have one.
func gradsOf(to []Arg, has []bool, results []Arg) []Arg {
	for k, r := range results[:len(has)] {
		to = when(has[k], to, Arg{Name: "d" + r.Name, Shape: r.Shape})
	}
	return to
}

// grads returns the gradients of the floats among args.
func grads(args []Arg) (gs []Arg) {
	for _, a := range args {
		if !a.Int {
			gs = append(gs, Arg{Name: "d" + a.Name, Shape: a.Shape})
		}
	}
	return gs
}

// computing is an operation with products.
type computing struct{}

func (computing) Kind() Kind { return Compute }

// elementary is arithmetic without products.
type elementary struct{ computing }

func (elementary) MulAdds() int64 { return 0 }

// moving is an operation that copies.
type moving struct{}

func (moving) Kind() Kind     { return Move }
func (moving) MulAdds() int64 { return 0 }

// viewing is an operation that does nothing.
type viewing struct{}

func (viewing) Kind() Kind     { return View }
func (viewing) MulAdds() int64 { return 0 }

// product returns the product of sizes.
func product(sizes ...int) int64 {
	n := int64(1)
	for _, s := range sizes {
		n *= int64(s)
	}
	return n
}
