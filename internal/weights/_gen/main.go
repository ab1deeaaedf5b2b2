// Command _gen writes the assembly of package weights and the Go declarations
// that go with it; see the go:generate line in that package.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

// format is how numbers are stored.
type format struct {
	name   string
	bytes  int // of a group of numbers
	scaled bool

	// Of products with integers, as type Vector of package weights describes them:
	unit   int // groups in 64 bytes
	places int // bytes of the unit of a vector before its corrections
}

// sums is the sums of a group's products.
func (f format) sums() int { return lanes / f.unit }

const (
	group      = 32 // numbers with one scale
	lanes      = 16 // partial sums, twice as many in bf16
	scaleBytes = 2
)

var (
	bf16 = format{name: "BF16", bytes: 2 * group}
	int8 = format{"Int8", group, true, 2, 64}
	int4 = format{"Int4", group / 2, true, 4, 128}

	formats = []format{bf16, int8, int4}
)

// dotsSignature is that of a kernel for the products of rows with a vector,
// unpackSignature that of one that writes the numbers of a row.
func (f format) dotsSignature() string {
	if f.scaled {
		return "func(rows, groups int, w, scales, units *byte, y *float32)"
	}
	return "func(rows, groups int, w *byte, x, y *float32)"
}

func (f format) unpackSignature() string {
	if f.scaled {
		return "func(groups int, w, scales *byte, dst *float32)"
	}
	return "func(groups int, w *byte, dst *float32)"
}

func main() {
	arm64 := flag.String("arm64", "", "file for the assembly for arm64")
	arm64Stubs := flag.String("arm64stubs", "", "file for the declarations for arm64")
	ConstraintExpr("!purego")
	for _, s := range []set{{"AVX512VNNI", true, 16}, {"AVX2", false, 8}} {
		for _, f := range formats {
			switch {
			case !f.scaled:
				s.dots(f)
			case s.wide:
				s.dotsVNNI(f)
			default:
				s.dotsAVX2(f)
			}
			s.unpack(f)
			if f.scaled && !s.wide {
				s.round(f)
			}
		}
		s.tiles()
	}
	Generate() // parses the flags
	if err := writeNEON(*arm64, *arm64Stubs); err != nil {
		log.Fatalf("writing the kernels for arm64: %v", err)
	}
}
