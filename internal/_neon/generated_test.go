package neon

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// generated are the files that are written with this package.
var generated = []string{"../../blas/kernels_arm64.s", "../vec/kernels_arm64.s", "../weights/kernels_arm64.s"}

// goInstructions are those of Go's assembler that the kernels use: moves between
// memory and registers, requests for memory, and integers.
var goInstructions = regexp.MustCompile(
	`^(MOVD|MOVHU|PRFM|FMOV[SDQ]|FLDPQ|FSTPQ|FCMP[SD]|ADDS?|SUBS?|CMP|CSEL|LSL|B|BEQ|BNE|BLT|BGE|CBZ|TBZ|RET)$`)

// forbidden are registers that are not a function's own: the platform's, the
// assembler's, the goroutine's, the frame's and the link.
var forbidden = regexp.MustCompile(`\b(R18|R27|R28|R29|R30|x18|x27|x28|x29|x30)\b`)

// TestNothingBeyondARMv8: the words are what stands beside them, which Encode knows,
// and what Go's assembler writes is ARMv8.0's too.
func TestNothingBeyondARMv8(t *testing.T) {
	for _, file := range generated {
		words := 0
		for line := range strings.Lines(read(t, file)) {
			line = strings.TrimSuffix(line, "\n")
			if bad := forbidden.FindString(line); bad != "" {
				t.Errorf("%s: register %s in %q", file, bad, line)
			}
			if w := wordOf.FindStringSubmatch(line); w != nil {
				words++
				word, err := Encode(w[2])
				if err != nil || fmt.Sprintf("%08x", word) != w[1] {
					t.Errorf("%s: %q is %08x, %v", file, line, word, err)
				}
				continue
			}
			if g := ofGo.FindStringSubmatch(line); g != nil && !goInstructions.MatchString(g[1]) {
				t.Errorf("%s: %q is not among the instructions that are looked for", file, line)
			}
		}
		if words == 0 {
			t.Errorf("%s: there are no instructions on vectors", file)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
