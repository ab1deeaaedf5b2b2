package bpe

import (
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
	"github.com/pkg/errors"
)

// Patterns that backtrack can take time without end. A single match, and all of a
// piece together, must come to their end: in 5 s, and 10 µs more for each byte.
const (
	matchTime   = 5 * time.Second
	timePerByte = 10 * time.Microsecond
)

// maxRegex is the length of the longest regex that is read; published ones have a
// few hundred bytes.
const maxRegex = 16 << 10

// regex is a pattern that an engine with backtracking and looking ahead matches.
type regex struct {
	engine  *regexp2.Regexp
	pattern string
	limit   time.Duration
}

// compileRegex compiles a pattern in the syntax of the library, Oniguruma's for
// Ruby.
func compileRegex(pattern string) (*regex, error) {
	if len(pattern) > maxRegex {
		return nil, errors.Errorf("it has %d bytes: the limit is %d", len(pattern), maxRegex)
	}
	translated, err := translateRegex(pattern)
	if err != nil {
		return nil, err
	}
	engine, err := regexp2.Compile(translated, regexp2.Multiline)
	if err != nil {
		return nil, errors.Wrap(err, "the engine refuses it")
	}
	engine.MatchTimeout = matchTime
	return &regex{engine, pattern, matchTime}, nil
}

// find is a finder. An empty match right behind another match does not count.
func (re *regex) find(text string, found func(start, end int)) error {
	deadline := time.Now().Add(re.limit + time.Duration(len(text))*timePerByte)
	m, err := re.engine.FindStringMatch(text)
	// The engine counts runes. A byte outside UTF-8 is one, as it is for the
	// engine.
	var runes, at, last int
	forward := func(to int) int {
		for ; runes < to; runes++ {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += size
		}
		return at
	}
	for first := true; err == nil && m != nil; m, err = re.engine.FindNextMatch(m) {
		start := forward(m.Index)
		end := forward(m.Index + m.Length)
		if first || start < end || end > last {
			found(start, end)
			first, last = false, end
		}
		if time.Now().After(deadline) {
			return re.tooSlow(text)
		}
	}
	if err != nil {
		return re.tooSlow(text)
	}
	return nil
}

func (re *regex) tooSlow(text string) error {
	return errors.Errorf("the regex %.200q takes too long on a text of %d bytes that begins with %.40q: it backtracks again and again; use a vocabulary with another regex, or leave the text out", re.pattern, len(text), text)
}
