package neon

import (
	"fmt"
	"regexp"
	"strings"
)

// Loop is what an inner loop of a kernel consists of.
type Loop struct {
	Kernel, Label string
	Counts
}

// Counts are numbers of instructions; Loads and Stores are those of registers,
// two of which one instruction may move.
type Counts struct {
	Loads, Stores int
	MultiplyAdds  int
	Divisions     int // and roots, which take many cycles each
	Vector        int // all other arithmetic in vector registers
	Other         int // addresses, counters, branches
	Instructions  int
}

var (
	function  = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	label     = regexp.MustCompile(`^(\w+):$`)
	branch    = regexp.MustCompile(`^\t(B|B[A-Z]{2}|CBZ|CBNZ|TBZ|TBNZ)\b.*?(\w+)$`)
	wordOf    = regexp.MustCompile(`^\tWORD \$0x([0-9a-f]{8}) // ((\w+) .*)$`)
	ofGo      = regexp.MustCompile(`^\t([A-Z]\w*)\b ?(.*)$`)
	registers = map[string]int{"FMOVS": 1, "FMOVD": 1, "FMOVQ": 1, "FLDPQ": 2, "FSTPQ": 2} // that a move moves
)

// Loops returns the loops of an assembly file that have no other loop in them.
func Loops(source string) ([]Loop, error) {
	var loops []Loop
	var kernel string
	var lines []string
	starts := map[string]int{}
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		if f := function.FindStringSubmatch(line); f != nil {
			kernel, lines = f[1], nil
			clear(starts)
			continue
		}
		if l := label.FindStringSubmatch(line); l != nil {
			starts[l[1]] = len(lines)
			continue
		}
		lines = append(lines, line)
		b := branch.FindStringSubmatch(line)
		if b == nil {
			continue
		}
		from, back := starts[b[2]]
		if !back {
			continue
		}
		c, err := count(lines[from:])
		if err != nil {
			return nil, fmt.Errorf("counting the instructions of %s: %w", kernel, err)
		}
		loops = append(loops, Loop{kernel, b[2], c})
	}
	return loops, nil
}

// count counts the instructions of a loop.
func count(lines []string) (c Counts, err error) {
	for _, line := range lines {
		c.Instructions++
		if w := wordOf.FindStringSubmatch(line); w != nil {
			switch w[3] {
			case "fmla", "fmls":
				c.MultiplyAdds++
			case "fdiv", "fsqrt":
				c.Divisions++
			case "ld1":
				c.Loads++
			case "st1":
				c.Stores++
			default:
				c.Vector++
			}
			continue
		}
		g := ofGo.FindStringSubmatch(line)
		if g == nil {
			return c, fmt.Errorf("%q is no instruction", line)
		}
		moved, moves := registers[g[1]]
		switch {
		case !moves:
			c.Other++
		case strings.HasPrefix(g[2], "F"), strings.HasPrefix(g[2], "(F"):
			c.Stores += moved
		default:
			c.Loads += moved
		}
	}
	return c, nil
}
