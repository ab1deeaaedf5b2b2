package run

import (
	"fmt"
	"math"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Fitter adapts the settings that were not given to those that were, and to a
// short text. It records its changes.
type Fitter struct {
	s     *Settings
	given func(setting string) bool
	said  []string
}

// NewFitter returns a Fitter for settings; given reports whether the value of a
// setting, by its name in JSON, must not change.
func NewFitter(s *Settings, given func(setting string) bool) *Fitter {
	return &Fitter{s: s, given: given}
}

// fixed leaves settings as they are.
func fixed(s Settings) *Fitter {
	return NewFitter(&s, func(string) bool { return true })
}

func (f *Fitter) say(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

// Changes returns a description of the changes.
func (f *Fitter) Changes() []string { return f.said }

// Warmup limits the warm-up to a tenth of the steps.
func (f *Fitter) Warmup() {
	if tenth := f.s.Steps / 10; f.s.Warmup > tenth && !f.given("warmup") {
		f.say("%s %d, a tenth of %s %d, instead of %d", f.s.name("warmup"), tenth, f.s.name("steps"), f.s.Steps, f.s.Warmup)
		f.s.Warmup = tenth
	}
}

// mostHeld is the largest part of a short text that is held out by itself.
const mostHeld = 0.2

// vocabulary fits what a vocabulary is made with to a text of so many bytes and
// characters.
func (f *Fitter) vocabulary(bytes, chars int) {
	s := f.s
	if rare := max(1, chars/10_000); s.Tokens == tokensChars && s.Rare > rare && !f.given("rare") {
		f.say("%s %d, instead of %d, to a text of %s", s.name("rare"), rare, s.Rare, numbers.Count(chars, "character"))
		s.Rare = rare
	}
	tokens := chars
	switch s.Tokens {
	case tokensBytes:
		tokens = bytes
	case tokensChars:
	default:
		tokens = bytes / 3 // a guess
	}
	val := s.Val
	for val < mostHeld && held(val, tokens) < s.Length+1 && !f.given("val") {
		val = min(2*val, mostHeld)
	}
	if val != s.Val {
		f.say("%s %g, instead of %g, to a text of %s", s.name("val"), val, s.Val, numbers.Count(chars, "character"))
		s.Val = val
	}
}

// held is the number of tokens that are held out, as data.Split takes them.
func held(val float64, tokens int) int { return int(math.Round(val * float64(tokens))) }

// shape fits the batches to a text of so many tokens, or says what would.
func (f *Fitter) shape(tokens int) error {
	s := f.s
	room := longest(s.Val, tokens)
	if length := niceLength(room); s.Length > room && room > 0 && !f.given("length") {
		f.say("%s %d, instead of %d, to a text of %s", s.name("length"), length, s.Length, numbers.Count(tokens, "token"))
		s.Length, s.Model.ContextLength = length, length
	}
	if s.Length > room {
		return f.tooShort(tokens, room)
	}
	rows := (tokens - held(s.Val, tokens)) / (s.Length + 1) // that streams can have
	if !s.Carry || s.Batch <= rows {
		return nil
	}
	if f.given("batch") {
		return errors.Errorf("the text has %s to train on, too few for %s with %d streams of %s %d: %s %d would do", numbers.Count(tokens-held(s.Val, tokens), "token"),
			s.name("carry"), s.Batch, s.name("length"), s.Length, s.name("batch"), rows)
	}
	f.say("%s %d, instead of %d, to a text of %s", s.name("batch"), rows, s.Batch, numbers.Count(tokens, "token"))
	s.Batch = rows
	return nil
}

// longest returns the longest sequence that both parts of a text have room for.
func longest(val float64, tokens int) int {
	held := held(val, tokens)
	return min(held, tokens-held) - 1
}

// niceLength rounds a length down to eights, but for short ones.
func niceLength(room int) int {
	if room < 16 {
		return room
	}
	return room / 8 * 8
}

// tooShort returns the error for a text without room for the length. It names
// settings for which the text would suffice.
func (f *Fitter) tooShort(tokens, room int) error {
	s := f.s
	if tokens < 4 {
		return errors.Errorf("the text has %s; it takes at least 4, two to train on and two to hold out", numbers.Count(tokens, "token"))
	}
	var does []string
	if room > 0 {
		does = append(does, fmt.Sprintf("%s %d", s.name("length"), niceLength(room)))
	}
	val := max(mostHeld, math.Ceil(200/float64(tokens))/100) // two tokens
	if other := longest(val, tokens); other > max(room, 0) {
		does = append(does, fmt.Sprintf("%s %g with %s %d", s.name("val"), val, s.name("length"), min(s.Length, niceLength(other))))
	}
	return errors.Errorf("the text has %s, of which %s %g holds out %s; sequences of %s %d need %s in each part: use more text, or %s",
		numbers.Commas(tokens)+" tokens", s.name("val"), s.Val, numbers.Commas(held(s.Val, tokens)), s.name("length"), s.Length, numbers.Commas(s.Length+1), strings.Join(does, ", or "))
}
