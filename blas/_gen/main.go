// Command _gen writes the assembly of package blas and the Go declarations
// that go with it; see the go:generate line in that package.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
)

func main() {
	arm64 := flag.String("arm64", "", "file for the assembly for arm64")
	arm64Stubs := flag.String("arm64stubs", "", "file for the declarations for arm64")
	ConstraintExpr("!purego")
	maskTable()
	for _, e := range []element{single, double} {
		for _, s := range []set{avx512, avx2} {
			copier(e, s.heights[0])
			copier(e, 2*s.bytes/e.size)
			for _, d := range s.dots {
				dots(s, e, d[0], d[1])
			}
			dotsInTurn(s, e)
			if s.name == avx512.name {
				dotsAhead(s, e, 4, 4)
			}
			tile(s, e, 1, row)
			for panels := 2; panels <= mostPanels; panels++ {
				panelRow(s, e, panels)
			}
			rowSums(s, e)
			tile(s, e, s.heights[0], fetching)
			for _, rows := range s.heights {
				tile(s, e, rows, full)
				tile(s, e, rows, wide)
				tile(s, e, rows, narrow)
			}
		}
		transposer(e)
	}
	Generate() // parses the flags
	if err := writeNEON(*arm64, *arm64Stubs); err != nil {
		log.Fatalf("writing the kernels for arm64: %v", err)
	}
}
