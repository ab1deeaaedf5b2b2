package bpe

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// The library matches patterns by Oniguruma, in the syntax of Ruby; the engine at
// hand knows that of .NET. What follows rewrites one as the other: possessive and
// stacked repetition, sets within sets and their intersections, names of
// properties and of POSIX, case folding beyond pairs, and what a dot, a line's
// end and an option mean. One thing is not done: with (?i) Oniguruma also takes ß
// for ss.

// maxNesting is how deep groups and sets may be nested.
const maxNesting = 100

// translator reads a pattern from its beginning to its end.
type translator struct {
	rest  string
	depth int
}

// options are the options in effect at a position of a pattern.
type options struct {
	fold     bool // i
	dotAll   bool // m
	extended bool // x: white space and comments mean nothing
}

// translateRegex returns a pattern of Oniguruma in the syntax of .NET, with ^ and
// $ for lines and all other options off.
func translateRegex(pattern string) (string, error) {
	if !utf8.ValidString(pattern) {
		return "", errors.New("it is not valid UTF-8")
	}
	t := &translator{rest: pattern}
	out, err := t.alternatives(options{})
	if err == nil && t.rest != "" {
		err = errors.New("it has a ) without its (")
	}
	return out, err
}

// skip consumes a prefix and reports whether it was present.
func (t *translator) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(t.rest, prefix)
	t.rest = rest
	return ok
}

// rune takes the next character; the rest must not be empty.
func (t *translator) rune() rune {
	r, size := utf8.DecodeRuneInString(t.rest)
	t.rest = t.rest[size:]
	return r
}

// until takes what stands before a terminator, and the terminator.
func (t *translator) until(end string) (string, error) {
	text, rest, ok := strings.Cut(t.rest, end)
	if !ok {
		return "", errors.Errorf("it lacks a %s before its end", end)
	}
	t.rest = rest
	return text, nil
}

// alternatives translates up to the end of a group.
func (t *translator) alternatives(o options) (string, error) {
	if t.depth++; t.depth > maxNesting {
		return "", errors.Errorf("it is nested more than %d deep", maxNesting)
	}
	defer func() { t.depth-- }()
	var out strings.Builder
	for t.rest != "" && t.rest[0] != ')' {
		if t.skip("|") {
			out.WriteByte('|')
			continue
		}
		if o.extended && t.skipBlank() {
			continue
		}
		atom, err := t.atom(&o)
		if err != nil {
			return "", err
		}
		if atom, err = t.repeated(atom); err != nil {
			return "", err
		}
		out.WriteString(atom)
	}
	return out.String(), nil
}

// skipBlank consumes a character or a comment without meaning.
func (t *translator) skipBlank() bool {
	if t.skip("#") {
		_, t.rest, _ = strings.Cut(t.rest, "\n")
		return true
	}
	if strings.IndexByte(" \t\n\r\f\v", t.rest[0]) >= 0 {
		t.rest = t.rest[1:]
		return true
	}
	return false
}

// atom translates what a repetition can follow.
func (t *translator) atom(o *options) (string, error) {
	switch r := t.rune(); r {
	case '(':
		return t.group(o)
	case '[':
		s, err := t.set(o.fold)
		return s.String(), err
	case '\\':
		return t.escape(o.fold)
	case '.':
		if o.dotAll {
			return anyChar, nil
		}
		return `[^\n]`, nil
	case '^', '$':
		return string(r), nil
	case '*', '+', '?':
		return "", errors.Errorf("it repeats nothing with %c", r)
	default:
		return literal(r, o.fold), nil
	}
}

// anyChar matches every character.
const anyChar = `[\s\S]`

// literal matches a character, and with fold those that differ from it in case.
func literal(r rune, fold bool) string {
	if !fold || unicode.SimpleFold(r) == r {
		return quoted(r)
	}
	return "[" + folded(r) + "]"
}

// folded returns a character with those that differ from it in case, as items of
// a set.
func folded(r rune) string {
	items := quoted(r)
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		items += quoted(other)
	}
	return items
}

// quoted returns a character so that it stands for itself, in a set and outside.
func quoted(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r < utf8.RuneSelf && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r > ' ':
		return `\` + string(r)
	case r <= ' ' || r == 0x7f:
		return `\x` + strconv.FormatInt(int64(r)+0x100, 16)[1:]
	}
	return string(r)
}

// group translates what follows a parenthesis.
func (t *translator) group(o *options) (string, error) {
	inner := *o
	open, err := t.opening(&inner)
	if err != nil || open == "" {
		return "", err
	}
	body, err := t.alternatives(inner)
	if err != nil {
		return "", err
	}
	if open == forTheRest {
		// Options hold for all alternatives that follow, up to the end of the group
		// around them, which is still to come.
		return "(?:" + body + ")", nil
	}
	if !t.skip(")") {
		return "", errors.New("it has a ( without its )")
	}
	return open + body + ")", nil
}

// forTheRest is the opening of options without a group.
const forTheRest = "(?)"

// opening translates the beginning of a group, "" for a comment.
func (t *translator) opening(o *options) (string, error) {
	if !t.skip("?") {
		return "(", nil
	}
	for _, kind := range []string{":", "=", "!", ">", "<=", "<!"} {
		if t.skip(kind) {
			return "(?" + kind, nil
		}
	}
	switch {
	case t.skip("#"):
		_, err := t.until(")")
		return "", err
	case t.skip("<"):
		name, err := t.until(">")
		if err == nil && !isName(name) {
			err = errors.Errorf("it has a group with the name %.40q, which is not one", name)
		}
		return "(?<" + name + ">", err
	}
	return t.options(o)
}

// options reads the options of a group, or those for the rest of one.
func (t *translator) options(o *options) (string, error) {
	on := true
	for t.rest != "" {
		switch r := t.rune(); r {
		case '-':
			on = false
		case 'i':
			o.fold = on
		case 'm':
			o.dotAll = on
		case 'x':
			o.extended = on
		case ':':
			return "(?:", nil
		case ')':
			return forTheRest, nil
		default:
			return "", errors.Errorf("the group (?%c is not supported", r)
		}
	}
	return "", errors.New("it has a ( without its )")
}

// isName reports whether a group or a property can have this name.
func isName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) < 0
}

// repeated translates the repetitions after an atom.
func (t *translator) repeated(atom string) (string, error) {
	for again := false; t.rest != ""; again = true {
		times, kind, err := t.times()
		if err != nil || times == "" {
			return atom, err
		}
		if atom == "" {
			return "", errors.Errorf("it repeats nothing with %s", times)
		}
		if again {
			atom = "(?:" + atom + ")"
		}
		atom += times
		switch {
		case kind != fixed && t.skip("?"):
			atom += "?"
		case kind == simple && t.skip("+"):
			atom = "(?>" + atom + ")"
		}
	}
	return atom, nil
}

// repetition is a kind of repetition. A ? behind one makes it reluctant and a +
// possessive, but for some, where they repeat what has been repeated.
type repetition int

const (
	simple repetition = iota // *, + and ?
	ranged                   // {n,m}: only ? makes something else of it
	fixed                    // {n}: nothing does
)

// times reads one repetition, "" if there is none. A brace that begins none stands
// for itself.
func (t *translator) times() (times string, kind repetition, err error) {
	for _, sign := range []string{"*", "+", "?"} {
		if t.skip(sign) {
			return sign, simple, nil
		}
	}
	if !strings.HasPrefix(t.rest, "{") {
		return "", simple, nil
	}
	inside, rest, ended := strings.Cut(t.rest[1:], "}")
	least, most, two := strings.Cut(inside, ",")
	if !ended || !isNumber(least) || !isNumber(most) || least+most == "" {
		return "", simple, nil
	}
	t.rest = rest
	if len(least) > 5 || len(most) > 5 {
		return "", simple, errors.Errorf("it repeats {%.40s} times: the limit is 99999", inside)
	}
	if !two {
		return "{" + least + "}", fixed, nil
	}
	if least == "" {
		least = "0"
	}
	return "{" + least + "," + most + "}", ranged, nil
}

// isNumber reports whether s is empty or all digits.
func isNumber(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// escape translates what follows a backslash outside a set.
func (t *translator) escape(fold bool) (string, error) {
	if t.rest == "" {
		return "", errors.New("it ends with a backslash")
	}
	switch c := t.rest[0]; c {
	case 'b', 'B', 'A', 'Z', 'z':
		t.rest = t.rest[1:]
		return `\` + string(c), nil
	case 'R':
		t.rest = t.rest[1:]
		return `(?>\r\n|[\n\x0b\x0c\r\u0085\u2028\u2029])`, nil
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		t.rest = t.rest[1:]
		return `(?:\` + string(c) + `)`, nil
	case 'k':
		t.rest = t.rest[1:]
		if !t.skip("<") {
			return "", errors.New(`it has a \k without a name`)
		}
		name, err := t.until(">")
		if err == nil && !isName(name) {
			err = errors.Errorf("it refers to the group %.40q, which cannot be one", name)
		}
		return `\k<` + name + ">", err
	}
	s := set{parts: []setPart{{}}}
	r, single, err := t.setEscape(&s)
	if err != nil || !single {
		return s.String(), err
	}
	return literal(r, fold), nil
}
