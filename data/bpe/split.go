package bpe

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// behavior says what becomes of the matches of a split: the SplitDelimiterBehavior
// of the library.
type behavior string

const (
	isolated           behavior = "Isolated"           // a part of their own
	removed            behavior = "Removed"            // left out
	mergedWithPrevious behavior = "MergedWithPrevious" // the end of the part before them
	mergedWithNext     behavior = "MergedWithNext"     // the beginning of the part after them
	contiguous         behavior = "Contiguous"         // neighbouring matches are one part
)

// split cuts a piece at what a finder finds.
type split struct {
	find     finder
	behavior behavior
	invert   bool // what is found and what lies between change places
}

// finder calls found with the places in a text that it looks for, in order and
// without overlap. A place may be empty. An error ends the search.
type finder func(text string, found func(start, end int)) error

// span is a part of a piece.
type span struct {
	start, end int
	match      bool
}

// cut calls f with the parts of a piece that are not empty. After an error the rest
// of the piece is the last part.
func (s *split) cut(piece string, f func(part string)) error {
	spans, err := s.spans(piece)
	switch s.behavior {
	case mergedWithPrevious:
		spans = mergePrevious(spans)
	case mergedWithNext:
		spans = mergeNext(spans)
	case contiguous:
		spans = mergeEqual(spans)
	}
	for _, p := range spans {
		if p.start < p.end && !(p.match && s.behavior == removed) {
			f(piece[p.start:p.end])
		}
	}
	return err
}

// spans returns the matches and what lies between.
func (s *split) spans(piece string) ([]span, error) {
	var spans []span
	done := 0
	err := s.find(piece, func(start, end int) {
		if done < start {
			spans = append(spans, span{done, start, s.invert})
		}
		spans = append(spans, span{start, end, !s.invert})
		done = end
	})
	if done < len(piece) {
		// What a search that failed has not seen must not be removed.
		spans = append(spans, span{done, len(piece), s.invert && err == nil})
	}
	return spans, err
}

// mergePrevious joins a match with the part before it, if that is no match.
func mergePrevious(spans []span) []span {
	var merged []span
	match := false
	for _, p := range spans {
		if n := len(merged); p.match && !match && n > 0 {
			merged[n-1].end = p.end
		} else {
			merged = append(merged, p)
		}
		match = p.match
	}
	return merged
}

// mergeNext joins a match with the part after it, if that is no match.
func mergeNext(spans []span) []span {
	var merged []span
	for i, p := range spans {
		if n := len(merged); i > 0 && spans[i-1].match && !p.match && n > 0 {
			merged[n-1].end = p.end
		} else {
			merged = append(merged, p)
		}
	}
	return merged
}

// mergeEqual joins neighbouring matches, and neighbours that are none.
func mergeEqual(spans []span) []span {
	var merged []span
	for _, p := range spans {
		if n := len(merged); n > 0 && merged[n-1].match == p.match {
			merged[n-1].end = p.end
		} else {
			merged = append(merged, p)
		}
	}
	return merged
}

// findText returns a finder of a text, which is not empty.
func findText(wanted string) finder {
	return func(text string, found func(start, end int)) error {
		for at := 0; ; {
			n := strings.Index(text[at:], wanted)
			if n < 0 {
				return nil
			}
			found(at+n, at+n+len(wanted))
			at += n + len(wanted)
		}
	}
}

// findChars returns a finder of single characters.
func findChars(is func(r rune) bool) finder {
	return func(text string, found func(start, end int)) error {
		for i, r := range text {
			if is(r) {
				_, size := utf8.DecodeRuneInString(text[i:])
				found(i, i+size)
			}
		}
		return nil
	}
}

// findWords finds \w+|[^\w\s]+: words, and what is neither word nor white space.
func findWords(text string, found func(start, end int)) error {
	const word, mark, white = 1, 2, 3
	kind := func(r rune) int {
		switch {
		case isWord(r):
			return word
		case unicode.IsSpace(r):
			return white
		}
		return mark
	}
	start, last := 0, white
	for i, r := range text {
		if k := kind(r); k != last {
			if last != white {
				found(start, i)
			}
			start, last = i, k
		}
	}
	if last != white {
		found(start, len(text))
	}
	return nil
}

// isPunctuation reports whether r is what the library takes for punctuation:
// that of ASCII, symbols included, and that of Unicode.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r > ' ' && r < 0x7f && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	return unicode.IsPunct(r)
}

// patternJSON is what a Split or a Replace looks for.
type patternJSON struct {
	Regex  *string `json:"Regex"`
	String *string `json:"String"`
}

// finder returns a finder of the pattern; what names the part of the file.
func (p patternJSON) finder(what string) (finder, error) {
	switch {
	case p.Regex != nil && p.String != nil:
		return nil, errors.Errorf("%s has a Regex and a String: it must have one of them", what)
	case p.Regex != nil:
		re, err := compileRegex(*p.Regex)
		if err != nil {
			return nil, errors.Wrapf(err, "%s by the regex %.200q", what, *p.Regex)
		}
		return re.find, nil
	case p.String == nil || *p.String == "":
		return nil, errors.Errorf("%s has no pattern: it must have a Regex or a String that is not empty", what)
	}
	return findText(*p.String), nil
}
