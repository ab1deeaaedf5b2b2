package neon

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// form is one kind of instruction: its text with % in place of the registers'
// numbers, its word with these zero, and the lowest bits of where they go.
type form struct {
	text string
	word uint32
	bits []uint
}

// The places of registers' numbers in a word.
const (
	d = 0
	n = 5
	m = 16
)

// forms are the instructions that the kernels are made of, by text. All of them are
// in ARMv8.0, whose Advanced SIMD every arm64 processor has.
var forms = byText(slices.Concat(
	threeSame("fmla", 0x4e20cc00), threeSame("fmls", 0x4ea0cc00),
	threeSame("fadd", 0x4e20d400), threeSame("fsub", 0x4ea0d400),
	threeSame("fmul", 0x6e20dc00), threeSame("fdiv", 0x6e20fc00),
	threeSame("fmax", 0x4e20f400), threeSame("fmin", 0x4ea0f400),
	threeSame("fcmeq", 0x4e20e400), threeSame("fcmge", 0x6e20e400), threeSame("fcmgt", 0x6ea0e400),
	threeSame("faddp", 0x6e20d400),
	[]form{
		// An element of the last register times all of the second.
		{"fmla v%.4s, v%.4s, v%.s[0]", 0x4f801000, []uint{d, n, m}},
		{"fmla v%.2d, v%.2d, v%.d[0]", 0x4fc01000, []uint{d, n, m}},
		{"fmul v%.4s, v%.4s, v%.s[0]", 0x4f809000, []uint{d, n, m}},
		{"fmul v%.2d, v%.2d, v%.d[0]", 0x4fc09000, []uint{d, n, m}},
		{"faddp s%, v%.2s", 0x7e30d800, []uint{d, n}},
		{"faddp d%, v%.2d", 0x7e70d800, []uint{d, n}},

		{"fabs v%.4s, v%.4s", 0x4ea0f800, []uint{d, n}},
		{"fneg v%.4s, v%.4s", 0x6ea0f800, []uint{d, n}},
		{"fsqrt v%.4s, v%.4s", 0x6ea1f800, []uint{d, n}},
		{"frintn v%.4s, v%.4s", 0x4e218800, []uint{d, n}},
		{"fcvtzs v%.4s, v%.4s", 0x4ea1b800, []uint{d, n}},

		{"add v%.4s, v%.4s, v%.4s", 0x4ea08400, []uint{d, n, m}},
		{"sub v%.4s, v%.4s, v%.4s", 0x6ea08400, []uint{d, n, m}},
		{"smull v%.8h, v%.8b, v%.8b", 0x0e20c000, []uint{d, n, m}},
		{"smull2 v%.8h, v%.16b, v%.16b", 0x4e20c000, []uint{d, n, m}},
		{"smlal v%.8h, v%.8b, v%.8b", 0x0e208000, []uint{d, n, m}},
		{"smlal2 v%.8h, v%.16b, v%.16b", 0x4e208000, []uint{d, n, m}},
		{"saddlp v%.4s, v%.8h", 0x4e602800, []uint{d, n}},
		{"addp v%.4s, v%.4s, v%.4s", 0x4ea0bc00, []uint{d, n, m}},
		{"scvtf v%.4s, v%.4s", 0x4e21d800, []uint{d, n}},
		{"sshll v%.8h, v%.8b, #0", 0x0f08a400, []uint{d, n}},
		{"sshll2 v%.8h, v%.16b, #0", 0x4f08a400, []uint{d, n}},
		{"sshll v%.4s, v%.4h, #0", 0x0f10a400, []uint{d, n}},
		{"sshll2 v%.4s, v%.8h, #0", 0x4f10a400, []uint{d, n}},
		{"shll v%.4s, v%.4h, #16", 0x2e613800, []uint{d, n}},
		{"shll2 v%.4s, v%.8h, #16", 0x6e613800, []uint{d, n}},
		{"sshr v%.16b, v%.16b, #4", 0x4f0c0400, []uint{d, n}},
		{"shl v%.16b, v%.16b, #4", 0x4f0c5400, []uint{d, n}},
		{"sshr v%.4s, v%.4s, #1", 0x4f3f0400, []uint{d, n}},
		{"shl v%.4s, v%.4s, #23", 0x4f375400, []uint{d, n}},

		{"and v%.16b, v%.16b, v%.16b", 0x4e201c00, []uint{d, n, m}},
		{"orr v%.16b, v%.16b, v%.16b", 0x4ea01c00, []uint{d, n, m}},
		{"eor v%.16b, v%.16b, v%.16b", 0x6e201c00, []uint{d, n, m}},
		{"bsl v%.16b, v%.16b, v%.16b", 0x6e601c00, []uint{d, n, m}},
		{"bit v%.16b, v%.16b, v%.16b", 0x6ea01c00, []uint{d, n, m}},
		{"mvn v%.16b, v%.16b", 0x6e205800, []uint{d, n}},
		{"mov v%.16b, v%.16b", 0x4ea01c00, []uint{d, n | twice}},

		{"movi v%.2d, #0x0", 0x6f00e400, []uint{d}},
		{"dup v%.4s, v%.s[0]", 0x4e040400, []uint{d, n}},
		{"dup v%.2d, v%.d[0]", 0x4e080400, []uint{d, n}},
		{"rev64 v%.4s, v%.4s", 0x4ea00800, []uint{d, n}},
		{"ext v%.16b, v%.16b, v%.16b, #8", 0x6e004000, []uint{d, n, m}},
		{"trn1 v%.4s, v%.4s, v%.4s", 0x4e802800, []uint{d, n, m}},
		{"trn2 v%.4s, v%.4s, v%.4s", 0x4e806800, []uint{d, n, m}},
		{"trn1 v%.2d, v%.2d, v%.2d", 0x4ec02800, []uint{d, n, m}},
		{"trn2 v%.2d, v%.2d, v%.2d", 0x4ec06800, []uint{d, n, m}},

		{"ld1 {v%.s}[2], [x%]", 0x4d408000, []uint{d, n}},
		{"st1 {v%.s}[2], [x%]", 0x4d008000, []uint{d, n}},
	},
))

// twice marks a register that is in the word a second time, as the third.
const twice = 1 << 8

// threeSame is the forms of an operation on floating-point numbers in registers
// of four or of two.
func threeSame(name string, word uint32) []form {
	return []form{
		{name + " v%.4s, v%.4s, v%.4s", word, []uint{d, n, m}},
		{name + " v%.2d, v%.2d, v%.2d", word | 1<<22, []uint{d, n, m}},
	}
}

func byText(list []form) map[string]form {
	all := map[string]form{}
	for _, f := range list {
		all[f.text] = f
	}
	return all
}

var register = regexp.MustCompile(`\b([vxsd])(\d+)`)

// Encode returns the word of an instruction that is written as GNU's assembler
// writes it. It knows those instructions of ARMv8.0 that the kernels need.
func Encode(text string) (uint32, error) {
	f, ok := forms[register.ReplaceAllString(text, "${1}%")]
	if !ok {
		return 0, fmt.Errorf("encoding %q: no instruction of this form is known; add it to forms", text)
	}
	word := f.word
	for i, number := range register.FindAllStringSubmatch(text, -1) {
		r, err := strconv.ParseUint(number[2], 10, 32)
		if err != nil || r > 31 {
			return 0, fmt.Errorf("encoding %q: there is no register %s", text, number[0])
		}
		at := f.bits[i]
		if at&twice != 0 {
			at &^= twice
			word |= uint32(r) << m
		}
		word |= uint32(r) << at
	}
	return word, nil
}
