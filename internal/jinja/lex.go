package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// kind is what a token is.
type kind int

const (
	text       kind = iota // outside of tags
	printBegin             // {{
	printEnd               // }}
	blockBegin             // {%
	blockEnd               // %}
	name
	str
	integer
	decimal
	sign // an operator or a bracket
	end
)

// token is a piece of a template.
type token struct {
	kind  kind
	value string
	line  int
}

// lexer cuts a template into tokens.
type lexer struct {
	source string
	at     int
	line   int
	tokens []token
}

// lex returns the tokens of a template.
func lex(source string) ([]token, error) {
	// As Python's universal newlines have it.
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{source: strings.TrimSuffix(source, "\n"), line: 1}
	trim := false // what precedes takes the space before the next text
	for l.at < len(l.source) {
		i := nextTag(l.source[l.at:])
		text := l.source[l.at:]
		if i >= 0 {
			text = text[:i]
		}
		l.text(text, trim, i >= 0)
		if i < 0 {
			break
		}
		var err error
		if trim, err = l.tag(); err != nil {
			return nil, err
		}
	}
	return append(l.tokens, token{end, "", l.line}), nil
}

// nextTag returns where the next tag begins, −1 for nowhere.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && (s[i+1] == '{' || s[i+1] == '%' || s[i+1] == '#') {
			return i
		}
	}
	return -1
}

// text takes the text up to the next tag, without the space that the tags on both
// sides of it take.
func (l *lexer) text(s string, trim, tagged bool) {
	whole, line := s, l.line
	if trim {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
	}
	l.at += len(whole)
	l.line += strings.Count(whole, "\n")
	if tagged {
		open, control := l.source[l.at+1], byte(0)
		if l.at+2 < len(l.source) {
			control = l.source[l.at+2]
		}
		switch {
		case control == '-':
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		case control != '+' && open != '{': // lstrip_blocks
			if bare := strings.TrimRight(s, " \t"); strings.HasSuffix(bare, "\n") || bare == "" && l.startsLine(len(whole)-len(s), whole) {
				s = bare
			}
		}
	}
	if s != "" {
		l.tokens = append(l.tokens, token{text, s, line})
	}
}

// startsLine reports whether the text before the next tag, of which the first cut
// bytes are gone, is all that its line begins with.
func (l *lexer) startsLine(cut int, whole string) bool {
	before := l.source[:l.at-len(whole)+cut]
	return before == "" || strings.HasSuffix(before, "\n")
}

// tag takes a tag and reports whether it takes the space after it.
func (l *lexer) tag() (trim bool, err error) {
	line, open := l.line, l.source[l.at:l.at+2]
	l.at += 2
	if open == "{#" {
		i := strings.Index(l.source[l.at:], "#}")
		if i < 0 {
			return false, errors.Errorf("line %d: a comment has no end", line)
		}
		trim = i > 0 && l.source[l.at+i-1] == '-'
		l.line += strings.Count(l.source[l.at:l.at+i], "\n")
		l.at += i + 2
		l.newline(trim)
		return trim, nil
	}
	if l.at < len(l.source) && (l.source[l.at] == '-' || l.source[l.at] == '+') {
		l.at++
	}
	begin, finish, closing := printBegin, printEnd, "}}"
	if open == "{%" {
		begin, finish, closing = blockBegin, blockEnd, "%}"
	}
	l.tokens = append(l.tokens, token{begin, open, line})
	depth := 0
	for {
		l.space()
		rest := l.source[l.at:]
		if depth == 0 && (strings.HasPrefix(rest, closing) || strings.HasPrefix(rest, "-"+closing) || strings.HasPrefix(rest, "+"+closing)) {
			trim = rest[0] == '-'
			if rest[0] == '-' || rest[0] == '+' {
				l.at++
			}
			l.at += 2
			l.tokens = append(l.tokens, token{finish, closing, l.line})
			if open == "{%" && rest[0] != '+' {
				l.newline(trim)
			}
			return trim, nil
		}
		if rest == "" {
			return false, errors.Errorf("line %d: a tag has no end", line)
		}
		if err := l.word(&depth); err != nil {
			return false, err
		}
	}
}

// newline takes the line's end after a block (trim_blocks); a tag that takes all
// space takes it anyway.
func (l *lexer) newline(trim bool) {
	if !trim && l.at < len(l.source) && l.source[l.at] == '\n' {
		l.at++
		l.line++
	}
}

func (l *lexer) space() {
	for l.at < len(l.source) && unicode.IsSpace(rune(l.source[l.at])) {
		if l.source[l.at] == '\n' {
			l.line++
		}
		l.at++
	}
}

// signs are the operators of two characters.
var signs = []string{"==", "!=", "<=", ">=", "//", "**"}

// word takes a token within a tag.
func (l *lexer) word(depth *int) error {
	rest := l.source[l.at:]
	r, _ := utf8.DecodeRuneInString(rest)
	switch {
	case r == '"' || r == '\'':
		return l.quoted(byte(r))
	case r >= '0' && r <= '9':
		l.number()
		return nil
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(rest)
		}
		l.add(name, rest[:n], n)
		return nil
	}
	for _, s := range signs {
		if strings.HasPrefix(rest, s) {
			l.add(sign, s, 2)
			return nil
		}
	}
	switch {
	case strings.ContainsRune("([{", r):
		*depth++
	case strings.ContainsRune(")]}", r) && *depth > 0:
		*depth--
	case !strings.ContainsRune("+-*/%~<>=.,:|", r):
		return errors.Errorf("line %d: %q is not part of an expression", l.line, r)
	}
	l.add(sign, rest[:1], 1)
	return nil
}

func (l *lexer) add(k kind, value string, n int) {
	l.tokens = append(l.tokens, token{k, value, l.line})
	l.at += n
}

// number takes a number: digits, and perhaps a fraction and an exponent.
func (l *lexer) number() {
	digits := func(s string) int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	rest := l.source[l.at:]
	n, k := digits(rest), integer
	if n < len(rest) && rest[n] == '.' {
		if m := digits(rest[n+1:]); m > 0 {
			n, k = n+1+m, decimal
		}
	}
	if n < len(rest) && rest[n]|0x20 == 'e' {
		exponent := strings.TrimLeft(rest[n+1:min(n+2, len(rest))], "+-")
		skip := n + 2 - len(exponent)
		if skip <= len(rest) {
			if m := digits(rest[skip:]); m > 0 {
				n, k = skip+m, decimal
			}
		}
	}
	l.add(k, rest[:n], n)
}

// quoted takes a string with Python's escapes.
func (l *lexer) quoted(quote byte) error {
	var b strings.Builder
	line := l.line
	for i := l.at + 1; i < len(l.source); i++ {
		c := l.source[i]
		switch {
		case c == quote:
			l.tokens = append(l.tokens, token{str, b.String(), line})
			l.at = i + 1
			return nil
		case c == '\\' && i+1 < len(l.source):
			n, err := unescape(&b, l.source[i+1:], quote)
			if err != nil {
				return errors.Errorf("line %d: %v", l.line, err)
			}
			i += n
		default:
			if c == '\n' {
				l.line++
			}
			b.WriteByte(c)
		}
	}
	return errors.Errorf("line %d: a string has no end", line)
}

// unescape writes what an escape stands for, which begins after its backslash,
// and returns its length.
func unescape(b *strings.Builder, s string, quote byte) (int, error) {
	simple := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': `"`, '\n': "", 'b': "\b", 'f': "\f", 'v': "\v", 'a': "\a", '0': "\x00"}
	if v, ok := simple[s[0]]; ok {
		b.WriteString(v)
		return 1, nil
	}
	if n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]; n > 0 && len(s) > n {
		var r rune
		for _, c := range []byte(s[1 : n+1]) {
			digit := strings.IndexByte("0123456789abcdef", c|0x20)
			if digit < 0 || r > unicode.MaxRune {
				return 0, errors.Errorf("\\%s is not a character", s[:n+1])
			}
			r = r<<4 | rune(digit)
		}
		b.WriteRune(r)
		return n + 1, nil
	}
	b.WriteByte('\\') // Python keeps an escape that it does not know
	b.WriteByte(s[0])
	return 1, nil
}
