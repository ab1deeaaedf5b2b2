package neon

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	document = "../../docs/performance.md"
	heading  = "| kernel | loads | stores | multiply-adds | divisions | other on vectors | on integers | cycles |\n|---|---|---|---|---|---|---|---|\n"
)

// TestDocumentedLoops: the table of inner loops in docs/performance.md is that of
// the assembly.
//
//	go test -run DocumentedLoops -update
//
// writes it anew.
func TestDocumentedLoops(t *testing.T) {
	text := read(t, document)
	before, rest, found := strings.Cut(text, heading)
	if !found {
		t.Fatalf("%s has no table that begins with\n%s", document, heading)
	}
	got, after, _ := strings.Cut(rest, "\n\n")
	want := strings.TrimSuffix(table(t), "\n")
	if *update {
		if err := os.WriteFile(document, []byte(before+heading+want+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the table in %s is not that of the assembly; -update writes it anew", document)
	}
}

// table has a row for each kind of inner loop; those of tails are left out.
func table(t *testing.T) string {
	t.Helper()
	names, order := map[Counts][]string{}, []Counts(nil)
	for _, file := range generated {
		loops, err := Loops(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range loops {
			part, main := strings.CutPrefix(l.Label, "next")
			if !main && l.Label != "whole" {
				continue
			}
			if !main {
				part = ""
			}
			if names[l.Counts] == nil {
				order = append(order, l.Counts)
			}
			names[l.Counts] = append(names[l.Counts], strings.Replace(l.Kernel, "NEON", "", 1)+part)
		}
	}
	var rows strings.Builder
	for _, c := range order {
		fmt.Fprintf(&rows, "| %s | %d | %d | %d | %d | %d | %d | %g |\n", strings.Join(names[c], ", "),
			c.Loads, c.Stores, c.MultiplyAdds, c.Divisions, c.Vector, c.Other, float64(c.MultiplyAdds+c.Divisions+c.Vector)/4)
	}
	return rows.String()
}

// TestLoops counts by hand: pairs move two registers, and what is not in a loop
// does not count, nor do jumps ahead.
func TestLoops(t *testing.T) {
	const source = "TEXT ·f(SB), NOSPLIT, $0-8\n\tMOVD n+0(FP), R0\n\tBEQ out\nnext:\n\tFLDPQ 0(R1), (F0, F1)\n\tFMOVS (R1)(R2), F2\n" +
		"\tWORD $0x4f801000 // fmla v0.4s, v0.4s, v0.s[0]\n\tWORD $0x6e20fc00 // fdiv v0.4s, v0.4s, v0.4s\n" +
		"\tWORD $0x4e20d400 // fadd v0.4s, v0.4s, v0.4s\n\tFSTPQ (F0, F1), 0(R1)\n\tFMOVQ F0, (R1)\n\tSUBS $1, R0, R0\n\tBNE next\nout:\n\tRET\n"
	loops, err := Loops(source)
	if err != nil {
		t.Fatal(err)
	}
	want := Loop{"f", "next", Counts{Loads: 3, Stores: 3, MultiplyAdds: 1, Divisions: 1, Vector: 1, Other: 2, Instructions: 9}}
	if len(loops) != 1 || loops[0] != want {
		t.Errorf("the loops are %+v, want %+v", loops, want)
	}
}
