package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// The formal languages, by their class in the Chomsky hierarchy: all are
// regular except the last, which is deterministic context-free.
const (
	Parity                    = "parity"
	EvenPairs                 = "even_pairs"
	CycleNavigation           = "cycle_navigation"
	ModularArithmetic         = "modular_arithmetic"
	ModularArithmeticBrackets = "modular_arithmetic_brackets"
)

// Languages returns the names of the formal languages.
func Languages() []string {
	return []string{Parity, EvenPairs, CycleNavigation, ModularArithmetic, ModularArithmeticBrackets}
}

// modulus is the size of the cycle and of the numbers of arithmetic.
const modulus = 5

// The tokens of arithmetic; with brackets, the numbers begin two ids later.
const (
	plus = iota + 1
	minus
	times
	equals
	open
	shut
)

// Language is the task of a formal language, with the conventions of the
// official experiments: id 0 is padding, a sequence is that of a string of the
// language with its answer after it, and only the answer is predicted. Without
// the shift between inputs and targets, the sequences are
//
//	parity                       symbols 1 and 2; answer 1 + (number of 2s mod 2)
//	even_pairs                   symbols 1 and 2; answer 1 if the first and the last are equal, else 2
//	cycle_navigation             1 stays, 2 is a step forward, 3 a step back on a cycle of 5; answer 4 + position
//	modular_arithmetic           1 +, 2 −, 3 ×, 4 =, 5… the numbers 0 to 4; answer 5 + (value mod 5)
//	modular_arithmetic_brackets  the same, 5 (, 6 ), 7… the numbers; answer 7 + (value mod 5)
//
// In modular_arithmetic × binds stronger than + and −. The official
// implementation has no arithmetic with brackets; its expressions are those of
// Delétang et al., "Neural Networks and the Chomsky Hierarchy" (2023), of
// exactly the length drawn.
type Language struct {
	// Name is one of Languages.
	Name string
	// Min and Max are the lengths of sequences including the answer, from which
	// lengths are drawn uniformly; those of arithmetic without brackets are odd.
	Min, Max int
	// EveryStep predicts the answer of every beginning of the sequence that is a
	// string of the language, and not only of the whole, and all sequences have
	// the length Max. In arithmetic these are the beginnings that end with a
	// number; arithmetic with brackets has none.
	EveryStep bool
}

// String identifies the task.
func (l Language) String() string {
	at := "the answer at the end"
	if l.EveryStep {
		at = "the answer at every step"
	}
	return fmt.Sprintf("%s of length %d to %d, %s", l.Name, l.Min, l.Max, at)
}

// Vocab returns the official size of the vocabulary.
func (l Language) Vocab() int {
	switch l.Name {
	case CycleNavigation:
		return modulus + 4
	case ModularArithmetic:
		return modulus + 5
	case ModularArithmeticBrackets:
		return modulus + 7
	}
	return 3
}

// Width returns Max−1: the answer is no input.
func (l Language) Width() int { return l.Max - 1 }

// Answers returns the number of answers, 2 or 5.
func (l Language) Answers() int {
	if l.Name == Parity || l.Name == EvenPairs {
		return 2
	}
	return modulus
}

func (l Language) check() error {
	if !slices.Contains(Languages(), l.Name) {
		return errors.Errorf("there is no formal language %q; there are %s", l.Name, strings.Join(Languages(), ", "))
	}
	least := 2
	if l.arithmetic() {
		least = 3
	}
	if l.Min < least || l.Max < l.Min || l.Max > maxBatchTokens {
		return errors.Errorf("%s of length %d to %d: lengths must be at least %d, and the second not below the first", l.Name, l.Min, l.Max, least)
	}
	if l.EveryStep && l.Name == ModularArithmeticBrackets {
		return errors.Errorf("%s has answers at the end only: a beginning is not an expression", l.Name)
	}
	return nil
}

func (l Language) arithmetic() bool {
	return l.Name == ModularArithmetic || l.Name == ModularArithmeticBrackets
}

func (l Language) draw(src *rand.PCG, inputs, targets []int) {
	size := l.Max
	if !l.EveryStep {
		size = between(src, l.Min, l.Max)
	}
	if l.Name == ModularArithmetic {
		size = 2*between(src, (l.Min+1)/2, (l.Max+1)/2) - 1
		if l.EveryStep {
			size = (l.Max+1)/2*2 - 1
		}
	}
	if l.Name == ModularArithmeticBrackets {
		_, value := expression(src, inputs[:0], size-2)
		inputs[size-2] = equals
		targets[size-2] = shut + 1 + value
		return
	}
	answer := l.reader()
	for i := range size - 1 {
		inputs[i] = l.symbol(src, i, size)
		if a, whole := answer(inputs[i]); whole && (l.EveryStep || i == size-2) {
			targets[i] = a
		}
	}
}

// symbol draws input i of a sequence of the given size.
func (l Language) symbol(src *rand.PCG, i, size int) int {
	switch {
	case l.Name == CycleNavigation:
		return between(src, 1, 3)
	case l.Name != ModularArithmetic:
		return between(src, 1, 2)
	case i == size-2:
		return equals
	case i%2 == 1:
		return between(src, plus, times)
	}
	return between(src, equals+1, equals+modulus)
}

// reader returns a function that reads a string symbol by symbol and returns
// the answer for what it has read, and whether that has one.
func (l Language) reader() func(symbol int) (answer int, whole bool) {
	switch l.Name {
	case EvenPairs:
		first := 0
		return func(symbol int) (int, bool) {
			if first == 0 {
				first = symbol
			}
			if symbol == first {
				return 1, true
			}
			return 2, true
		}
	case CycleNavigation:
		at := 0
		return func(symbol int) (int, bool) {
			at = (at + []int{0, 1, modulus - 1}[symbol-1]) % modulus
			return at + 4, true
		}
	case ModularArithmetic:
		return arithmeticReader()
	}
	odd := 0
	return func(symbol int) (int, bool) {
		odd = (odd + symbol - 1) % 2
		return odd + 1, true
	}
}

// arithmeticReader reads an expression without brackets: the value is that of
// the terms before, plus the sign times the last term so far.
func arithmeticReader() func(symbol int) (answer int, whole bool) {
	before, sign, term := 0, 1, 1
	return func(symbol int) (int, bool) {
		switch symbol {
		case plus, minus:
			before, sign, term = (before+sign*term)%modulus, 1, 1
			if symbol == minus {
				sign = modulus - 1
			}
			return 0, false
		case times:
			return 0, false
		case equals: // the value stays
		default:
			term = term * (symbol - equals - 1) % modulus
		}
		return equals + 1 + (before+sign*term)%modulus, true
	}
}

// expression appends an expression with brackets of exactly n tokens and
// returns its value modulo 5: a number x, −x, (x) or (−x), or, from 5 tokens
// on, two expressions with an operator between them, in brackets.
func expression(src *rand.PCG, to []int, n int) (longer []int, value int) {
	if n > 4 {
		to = append(to, open)
		left := between(src, 1, n-4)
		to, a := expression(src, to, left)
		op := between(src, plus, times)
		to, b := expression(src, append(to, op), n-3-left)
		switch op {
		case plus:
			value = a + b
		case minus:
			value = a + modulus - b
		default:
			value = a * b
		}
		return append(to, shut), value % modulus
	}
	x := below(src, modulus)
	number := shut + 1 + x
	switch n {
	case 1:
		return append(to, number), x
	case 2:
		return append(to, minus, number), (modulus - x) % modulus
	case 3:
		return append(to, open, number, shut), x
	}
	return append(to, open, minus, number, shut), (modulus - x) % modulus
}
