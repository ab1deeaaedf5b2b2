package bpe

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/pkg/errors"
)

// set is a set of characters: what all its parts have in common, or with not what
// they have not.
type set struct {
	not   bool
	parts []setPart
}

// setPart is the union of single characters, ranges and properties, which are
// written as the engine has them, and of sets within the set.
type setPart struct {
	items  string
	inside []string // each matches one character
}

// String returns the set as a regex that matches one character.
func (s set) String() string {
	if len(s.parts) == 1 && len(s.parts[0].inside) == 0 {
		if s.not {
			return "[^" + s.parts[0].items + "]"
		}
		return "[" + s.parts[0].items + "]"
	}
	var all strings.Builder
	for _, p := range s.parts[:len(s.parts)-1] {
		all.WriteString("(?=" + p.String() + ")")
	}
	all.WriteString(s.parts[len(s.parts)-1].String())
	if s.not {
		return "(?:(?!" + all.String() + ")" + anyChar + ")"
	}
	return "(?:" + all.String() + ")"
}

func (p setPart) String() string {
	all := p.inside
	if p.items != "" {
		all = append([]string{"[" + p.items + "]"}, all...)
	}
	return "(?:" + strings.Join(all, "|") + ")"
}

// add adds items, inverted with not.
func (p *setPart) add(items string, not bool) {
	if not {
		p.inside = append(p.inside, "[^"+items+"]")
	} else {
		p.items += items
	}
}

// set reads a set behind its opening bracket.
func (t *translator) set(fold bool) (set, error) {
	if t.depth++; t.depth > maxNesting {
		return set{}, errors.Errorf("it is nested more than %d deep", maxNesting)
	}
	defer func() { t.depth-- }()
	s := set{not: t.skip("^"), parts: []setPart{{}}}
	for first := true; ; first = false {
		part := &s.parts[len(s.parts)-1]
		switch {
		case t.rest == "":
			return s, errors.New("it has a [ without its ]")
		case !first && t.skip("]"):
			for _, p := range s.parts {
				if p.items == "" && len(p.inside) == 0 {
					return s, errors.New("it has an empty set")
				}
			}
			return s, nil
		case t.skip("&&"):
			s.parts = append(s.parts, setPart{})
		case strings.HasPrefix(t.rest, "[:"):
			if err := t.posix(part); err != nil {
				return s, err
			}
		case t.skip("["):
			inner, err := t.set(fold)
			if err != nil {
				return s, err
			}
			part.inside = append(part.inside, inner.String())
		default:
			if err := t.item(&s, fold); err != nil {
				return s, err
			}
		}
	}
}

// item reads a character, a range or a property.
func (t *translator) item(s *set, fold bool) error {
	low, single, err := t.setChar(s)
	if err != nil || !single {
		return err
	}
	part := &s.parts[len(s.parts)-1]
	high := low
	if before := t.rest; t.skip("-") {
		switch {
		case t.rest == "" || t.rest[0] == ']' || t.rest[0] == '[' || strings.HasPrefix(t.rest, "&&"):
			t.rest = before // a - that stands for itself
		default:
			if high, single, err = t.setChar(s); err != nil {
				return err
			}
			if !single || high < low {
				return errors.Errorf("it has a range in a set that begins with %q and has no end after it", low)
			}
		}
	}
	if low == high && fold {
		part.items += folded(low)
		return nil
	}
	part.items += quoted(low)
	if low < high {
		part.items += "-" + quoted(high)
	}
	if fold {
		part.items += foldedRange(low, high)
	}
	return nil
}

// setChar reads a character of a set, or, not single, adds what an escape stands
// for.
func (t *translator) setChar(s *set) (r rune, single bool, err error) {
	if t.skip(`\`) {
		return t.setEscape(s)
	}
	return t.rune(), true, nil
}

// foldedRange returns the characters outside a range that differ in case from
// some inside.
func foldedRange(low, high rune) string {
	var items strings.Builder
	for r := low; r <= high; r++ {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if other < low || other > high {
				items.WriteString(quoted(other))
			}
		}
	}
	return items.String()
}

// The classes that have a letter, as items of a set. Those of white space and
// digits are the same in both syntaxes.
const (
	alphabetic = `\p{L}\p{Nl}\p{Other_Alphabetic}`
	wordItems  = alphabetic + `\p{M}\p{Nd}\p{Pc}`
	hexItems   = `0-9A-Fa-f`
)

// controls are the characters that have an escape of one letter.
var controls = map[byte]rune{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b}

// setEscape translates what follows a backslash: a single character, or what is
// added to the last part of the set.
func (t *translator) setEscape(s *set) (r rune, single bool, err error) {
	if t.rest == "" {
		return 0, false, errors.New("it ends with a backslash")
	}
	part := &s.parts[len(s.parts)-1]
	c := t.rune()
	not := unicode.IsUpper(c)
	switch c {
	case 'd', 'D', 's', 'S':
		part.items += `\` + string(c)
		return 0, false, nil
	case 'w', 'W':
		part.add(wordItems, not)
		return 0, false, nil
	case 'h', 'H':
		part.add(hexItems, not)
		return 0, false, nil
	case 'p', 'P':
		return 0, false, t.property(part, not)
	case 'x':
		if t.skip("{") {
			digits, err := t.until("}")
			if err != nil {
				return 0, false, err
			}
			return codePoint(digits)
		}
		return codePoint(t.hexDigits(2))
	case 'u':
		return codePoint(t.hexDigits(4))
	}
	if r, ok := controls[byte(c)]; ok && c < 0x80 {
		return r, true, nil
	}
	if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
		return 0, false, errors.Errorf(`the escape \%c is not supported`, c)
	}
	return c, true, nil
}

// hexDigits takes n characters, fewer at the end.
func (t *translator) hexDigits(n int) string {
	n = min(n, len(t.rest))
	digits := t.rest[:n]
	t.rest = t.rest[n:]
	return digits
}

// codePoint returns the character with a number in hexadecimal digits.
func codePoint(digits string) (r rune, single bool, err error) {
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || n > unicode.MaxRune || n >= 0xd800 && n < 0xe000 {
		return 0, false, errors.Errorf("it has the number %.40q, which is not one of a character", digits)
	}
	return rune(n), true, nil
}

// property adds a property of Unicode behind its \p or \P, such as {Lu}, {^Han} or
// {Alphabetic}.
func (t *translator) property(part *setPart, not bool) error {
	if !t.skip("{") {
		return errors.New(`it has a \p without a name in braces`)
	}
	name, err := t.until("}")
	if err != nil {
		return err
	}
	name, inverted := strings.CutPrefix(name, "^")
	items, err := propertyItems(name)
	if err == nil {
		part.add(items, not != inverted)
	}
	return err
}

// posix adds a class such as [:alpha:] or [:^alpha:].
func (t *translator) posix(part *setPart) error {
	t.rest = t.rest[len("[:"):]
	name, err := t.until(":]")
	if err != nil {
		return err
	}
	name, inverted := strings.CutPrefix(name, "^")
	items, known := posixItems[name]
	if !known {
		return errors.Errorf("the class [:%.40s:] is not supported", name)
	}
	part.add(items, inverted)
	return nil
}

// posixItems are the classes of POSIX as Oniguruma has them for Unicode.
var posixItems = map[string]string{
	"alpha":  alphabetic,
	"digit":  `\p{Nd}`,
	"alnum":  alphabetic + `\p{Nd}`,
	"upper":  `\p{Lu}\p{Other_Uppercase}`,
	"lower":  `\p{Ll}\p{Other_Lowercase}`,
	"space":  `\s`,
	"blank":  `\t\p{Zs}`,
	"cntrl":  `\p{Cc}`,
	"punct":  `\p{P}\$\+\<\=\>\^\x60\|\~`,
	"xdigit": hexItems,
	"word":   wordItems,
}

// propertyItems returns a property by its name, in which case, spaces, hyphens and
// underscores mean nothing.
func propertyItems(name string) (string, error) {
	plain := plainName(name)
	if items, ok := posixItems[plain]; ok {
		return items, nil
	}
	switch plain {
	case "alphabetic":
		return alphabetic, nil
	case "any":
		return `\s\S`, nil
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		for known := range tables {
			if plainName(known) == plain {
				return `\p{` + known + "}", nil
			}
		}
	}
	for long, short := range unicode.CategoryAliases {
		if plainName(long) == plain {
			return `\p{` + short + "}", nil
		}
	}
	return "", errors.Errorf("the property %.40q is not known", name)
}

// plainName returns a name without what means nothing in it.
func plainName(name string) string {
	return strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name))
}
