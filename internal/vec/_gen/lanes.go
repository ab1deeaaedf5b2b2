package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// value is a register of numbers, of a comparison's results or, for a constant,
// what an instruction set has in its place.
type value = operand.Op

// lanes is arithmetic on registers of numbers, and functions made of it.
type lanes struct{ arithmetic }

// arithmetic is what an instruction set does with registers of numbers. Every
// operation leaves its operands as they are.
type arithmetic interface {
	word(bits uint32) value // a constant bit pattern in every lane

	add(a, b value) value
	sub(a, b value) value
	mul(a, b value) value
	div(a, b value) value
	max(a, b value) value // b if either is NaN
	min(a, b value) value // b if either is NaN
	sqrt(a value) value
	abs(a value) value
	neg(a value) value
	round(a value) value      // to the nearest integer, ties to even
	fma(a, b, c value) value  // a·b + c, rounded once
	fnma(a, b, c value) value // c − a·b, rounded once
	fms(a, b, c value) value  // a·b − c, rounded once

	and(a, b value) value
	or(a, b value) value

	compare(c comparison, a, b value) value // the mask of the lanes where a is c b
	pick(mask, a, b value) value            // a in the lanes of the mask and b in the others
	only(mask, a value) value               // a in the lanes of the mask and zero in the others
	both(a, b value) value                  // the lanes that are in both masks

	scale2(q, n value) value            // q·2ⁿ for a whole n within ±252, rounded once where the result is denormal
	swap(by int, a value) value         // lane i gets lane i xor by of each four
	spread(i int, a value) value        // every lane of each four gets the four's lane i
	horner(x value, c ...float64) value // the polynomial c[0] + c[1]·x + …
}

// A comparison: ordered ones are false for NaN. The numbers are AVX's.
type comparison uint64

const (
	equal    comparison = 0
	less     comparison = 17
	atLeast  comparison = 29
	notEqual comparison = 4 // true for NaN
)

// bitsOf is a number rounded to float32.
func bitsOf(x float64) uint32 { return math.Float32bits(float32(x)) }

// num is a constant number.
func (l lanes) num(x float64) value { return l.word(bitsOf(x)) }
