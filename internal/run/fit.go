package run

import (
	"fmt"
	"math"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Fitter adapts the settings that the command line does not give to those that
// it gives, and to a short text. It records its changes.
type Fitter struct {
	s     *Settings
	given func(name string) bool // whether a flag's value must stay
	said  []string
}

// NewFitter returns a Fitter for settings; given reports the settings whose
// values must not change.
func NewFitter(s *Settings, given func(name string) bool) *Fitter { return &Fitter{s: s, given: given} }

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
		f.say("-warmup %d, a tenth of -steps %d, instead of %d", tenth, f.s.Steps, f.s.Warmup)
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
		f.say("-rare %d, instead of %d, to a text of %s", rare, s.Rare, numbers.Count(chars, "character"))
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
		f.say("-val %g, instead of %g, to a text of %s", val, s.Val, numbers.Count(chars, "character"))
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
		f.say("-length %d, instead of %d, to a text of %s", length, s.Length, numbers.Count(tokens, "token"))
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
		return errors.Errorf("the text has %s to train on, too few for -carry with %d streams of -length %d: -batch %d would do", numbers.Count(tokens-held(s.Val, tokens), "token"), s.Batch, s.Length, rows)
	}
	f.say("-batch %d, instead of %d, to a text of %s", rows, s.Batch, numbers.Count(tokens, "token"))
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

// tooShort returns the error that names the flags that would let a text do in
// which there is no room for the length.
func (f *Fitter) tooShort(tokens, room int) error {
	s := f.s
	if tokens < 4 {
		return errors.Errorf("the text has %s; it takes at least 4, two to train on and two to hold out", numbers.Count(tokens, "token"))
	}
	var does []string
	if room > 0 {
		does = append(does, fmt.Sprintf("-length %d", niceLength(room)))
	}
	val := max(mostHeld, math.Ceil(200/float64(tokens))/100) // two tokens
	if other := longest(val, tokens); other > max(room, 0) {
		does = append(does, fmt.Sprintf("-val %g with -length %d", val, min(s.Length, niceLength(other))))
	}
	return errors.Errorf("the text has %s, of which -val %g holds out %s; sequences of -length %d need %s in each part: use more text, or %s",
		numbers.Commas(tokens)+" tokens", s.Val, numbers.Commas(held(s.Val, tokens)), s.Length, numbers.Commas(s.Length+1), strings.Join(does, ", or "))
}
