package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// flags is a flag set that prints its help, with examples, when it is asked for,
// and explains mistakes in one sentence.
type flags struct {
	*flag.FlagSet
	c        console
	about    string
	examples []string
	former   map[string]bool // spellings of former versions, which help leaves out
}

func newFlags(name, about string, c console, examples ...string) *flags {
	f := &flags{flag.NewFlagSet(name, flag.ContinueOnError), c, about, examples, make(map[string]bool)}
	f.SetOutput(io.Discard)
	return f
}

// renamed keeps a former spelling of a flag working, with a notice.
func (f *flags) renamed(former, now string) {
	f.former[former] = true
	f.Func(former, "", func(v string) error {
		fmt.Fprintf(f.c.err, "-%s is called -%s now\n", former, now)
		return f.Lookup(now).Value.Set(v)
	})
}

// Parse reads arguments. For -h it prints the help and returns flag.ErrHelp.
func (f *flags) Parse(args []string) error {
	err := f.FlagSet.Parse(f.joinBooleans(args))
	if errors.Is(err, flag.ErrHelp) {
		f.help()
		return err
	}
	return f.explain(err)
}

// joinBooleans makes -tie true of two words -tie=true, so that a boolean can be
// given with its value and without.
func (f *flags) joinBooleans(args []string) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		joined = append(joined, args[i])
		name := strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-")
		found := f.Lookup(name)
		if !strings.HasPrefix(args[i], "-") || name == "" {
			return append(joined, args[i+1:]...) // where flags end
		}
		if found == nil || i+1 == len(args) {
			continue // -name=value, or a mistake
		}
		i++
		switch {
		case !isBoolean(found):
			joined = append(joined, args[i])
		case args[i] == "true" || args[i] == "false":
			joined[len(joined)-1] += "=" + args[i]
		default:
			i--
		}
	}
	return joined
}

func isBoolean(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

var invalidValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): (.*)$`)

// explain says in one sentence what package flag found wrong.
func (f *flags) explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, "flag provided but not defined: -"); unknown {
		return f.unknownFlag(name)
	}
	if name, missing := strings.CutPrefix(text, "flag needs an argument: -"); missing {
		return errors.Errorf("-%s needs a value; see %s", name, f.c.hint(f.Name(), "-h"))
	}
	m := invalidValue.FindStringSubmatch(text)
	switch {
	case m == nil:
		return err
	case strings.HasPrefix(m[3], "it must"):
		return errors.Errorf("-%s is %s; %s", m[2], m[1], m[3])
	case m[3] != "parse error" && m[3] != "value out of range":
		return errors.New(m[3])
	}
	kinds := map[string]string{"int": "a whole number", "uint": "a whole number, at least 0", "float": "a number", "duration": "a time such as 30s or 10m", "": "true or false"}
	kind, _ := flag.UnquoteUsage(f.Lookup(m[2]))
	want := kinds[kind]
	if m[3] == "value out of range" {
		want += " within the range of 64 bits"
	}
	return errors.Errorf("-%s is %s; it must be %s", m[2], m[1], want)
}

// unknownFlag names the flag that was perhaps meant.
func (f *flags) unknownFlag(name string) error {
	var names []string
	f.VisitAll(func(g *flag.Flag) {
		if !f.former[g.Name] {
			names = append(names, g.Name)
		}
	})
	if near := nearest(name, names); near != "" {
		return errors.Errorf("there is no flag -%s; did you mean -%s? %s lists all", name, near, f.c.hint(f.Name(), "-h"))
	}
	return errors.Errorf("%s has no flag -%s; %s lists all", f.Name(), name, f.c.hint(f.Name(), "-h"))
}

// nearest returns the name that a mistyped one resembles most, "" if none does.
func nearest(typed string, names []string) (best string) {
	least := max(1, len(typed)/3) + 1
	for _, name := range names {
		if d := distance(typed, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance returns how many letters must be changed, added, left out or swapped
// with the next to make b of a.
func distance(a, b string) int {
	before, row := []int{}, make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			same := row[j-1]
			if a[i-1] != b[j-1] {
				same++
			}
			next[j] = min(same, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// dataUsage describes -data.
const dataUsage = "a text: `FILE`, folder or glob; may be given more than once"

// parseWords parses flags that may stand before, between and after words.
func parseWords(f *flags, args []string) (words []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
}

// parseFolder is parseWords for one folder, which may be missing.
func parseFolder(f *flags, args []string) (folder string, err error) {
	words, err := parseWords(f, args)
	switch {
	case err != nil || len(words) == 0:
		return "", err
	case len(words) > 1:
		return "", errors.Errorf("%s takes one folder, got %q and %q", f.Name(), words[0], words[1])
	}
	return words[0], nil
}

// parseWithFolder is parseFolder for a command that needs one.
func parseWithFolder(f *flags, args []string) (folder string, err error) {
	if folder, err = parseFolder(f, args); err == nil && folder == "" {
		err = errors.Errorf("%s needs a folder: %s FOLDER", f.Name(), f.c.hint(f.Name()))
	}
	return folder, err
}

// defaultOf returns what help says of a flag's default, "" if it goes without
// saying.
func defaultOf(f *flag.Flag) string {
	if slices.Contains([]string{"", "0", "false"}, f.DefValue) || strings.Contains(f.Usage, "(default") {
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}
