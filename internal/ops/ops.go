// Package ops defines every operation of the training and inference graphs,
// forward and backward, as a plain value.
//
// A value holds the sizes and constants of one operation. They determine its
// name in graphs, its operands, the amount of arithmetic, and whether it
// computes anything at all. A device determines how it is computed; see package
// device.
//
// # Operands
//
// Inputs and Outputs list the operands of an operation in order. Arrays are
// row-major. Activations are matrices of B·T rows, batch-major: row b·T+t is
// step t of sequence b. Heads are consecutive column blocks. All floats have
// the element type of the graph, float32 or float64; integers and bytes are
// marked. An optional operand is listed if a field of the value enables it.
//
// Unless an operation's comment says otherwise, no output may share memory with
// an input or with another output, and every element of every output is
// written.
//
// # Derivatives
//
// The derivative of Norm is NormGrad, and so on. It reads the operands of the
// forward operation that it needs, then the gradients of the results, and
// writes the gradients of the float inputs in order. The names correspond: dx
// is the gradient of x. An unused result has no gradient, which counts as zero;
// the field Has reports which gradients exist.
//
// # Notation
//
// B batch, T time, D width, NH heads, DH head width, DQK and DHV the widths of
// a head's keys and values, N rows, V vocabulary, K kernel size, ~ a gate's
// pre-activation, σ the logistic function, ⊙ the element-wise product.
package ops

import "fmt"

// Op is an operation.
type Op interface {
	// Name returns the name in graphs, which need not be unique. See Key.
	Name() string
	// Inputs and Outputs return the operands that the operation reads and
	// writes.
	Inputs() []Arg
	Outputs() []Arg
	// Kind returns the kind of work.
	Kind() Kind
	// MulAdds returns the number of multiply-adds in matrix products and
	// convolutions. Element-wise operations (norms, activations, exponential
	// gates, dropout, sums) are not counted, because they grow with the width
	// and not with its square.
	MulAdds() int64
}

// Kind is the kind of work of an operation.
type Kind int

const (
	// Compute is arithmetic.
	Compute Kind = iota
	// Move copies numbers from one place to another.
	Move
	// View is no work: the result is existing memory, or is not read. Such
	// operations only exist in graphs; devices do not run them.
	View
)

// Arg is an operand.
type Arg struct {
	Name  string
	Shape Shape
	Int   bool // its elements are integers
	Bytes bool // its elements are bytes, of packed weights
}

// Dtype returns the type of the operand's elements in a graph of the given float
// type.
func (a Arg) Dtype(float Dtype) Dtype {
	switch {
	case a.Int:
		return Int
	case a.Bytes:
		return Byte
	}
	return float
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
	Int  // of the size of Go's int
	Byte // of packed weights
	// BFloat16 is how some devices store operands whose float type is Float32;
	// see package device.
	BFloat16
)

func (d Dtype) String() string {
	return [...]string{"float32", "float64", "int", "byte", "bfloat16"}[d]
}

// Size is the number of bytes of an element.
func (d Dtype) Size() int { return [...]int{4, 8, 8, 1, 2}[d] }

// Key returns the identity of an operation: two operations are equal if and
// only if their keys are. Keys are the same in every run of a program.
func Key(op Op) string { return fmt.Sprintf("%T%+v", op, op) }

// floats returns the operand of a name and shape.
func floats(name string, shape ...int) Arg { return Arg{Name: name, Shape: shape} }

func ints(name string, shape ...int) Arg { return Arg{Name: name, Shape: shape, Int: true} }

func bytes(name string, shape ...int) Arg { return Arg{Name: name, Shape: shape, Bytes: true} }

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
		if a.Dtype(Float32) == Float32 {
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
