package bpe

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// addedToken is a token that is found in the text itself, before words and
// merges. The fields are those of the file.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not next to a word character
	LStrip     bool   `json:"lstrip"`      // takes the white space before it along
	RStrip     bool   `json:"rstrip"`      // takes the white space after it along
	Normalized bool   `json:"normalized"`  // looked for in the normal form of the text
	Special    bool   `json:"special"`     // no text, but a sign such as the end of one
	inVocab    bool   // the model has it, too
}

// setAdded takes added tokens in the order of the file. A new token must have
// the id that comes next: the library numbers them itself, regardless of the
// file, and the two must agree.
func (t *Tokenizer) setAdded(added []addedToken, vocab map[string]uint32) error {
	next := len(vocab)
	seen := make(map[string]bool, len(added))
	for _, a := range added {
		if a.Content == "" || seen[a.Content] {
			return errors.Errorf("added token %d, %.40q, is empty or there twice: remove it", a.ID, a.Content)
		}
		seen[a.Content] = true
		want := next
		if id, ok := vocab[a.Content]; ok {
			want, a.inVocab = int(id), true
		}
		if a.ID != want {
			return errors.Errorf("added token %.40q has the id %d, and by its place it must have %d: put it right", a.Content, a.ID, want)
		}
		if a.inVocab && t.texts[want] != a.Content {
			return errors.Errorf("added token %.40q is spelled like the token of the bytes %.40q, so that one of them would be lost: change it, best to ASCII", a.Content, t.texts[want])
		}
		if err := t.add(a); err != nil {
			return err
		}
		next = max(next, a.ID+1)
	}
	slices.SortFunc(t.added, func(a, b addedToken) int { return a.ID - b.ID })
	for i, a := range t.added {
		if !a.Normalized {
			t.asIs.add(a.Content, i)
			continue
		}
		var failed error
		text := t.normalize(a.Content, &failed)
		if failed == nil && text == "" {
			failed = errors.New("nothing is left of it; let it not be \"normalized\"")
		}
		if failed != nil {
			return errors.Wrapf(failed, "bringing the added token %.40q into normal form", a.Content)
		}
		t.normalized.add(text, i)
	}
	return nil
}

// add puts an added token into the vocabulary.
func (t *Tokenizer) add(a addedToken) error {
	if !a.inVocab {
		for a.ID >= len(t.names) {
			t.names, t.texts = append(t.names, ""), append(t.texts, "")
		}
		if t.names[a.ID] != "" {
			return errors.Errorf("added token %.40q and token %.40q both have the id %d: give each its own", a.Content, t.names[a.ID], a.ID)
		}
		t.names[a.ID] = a.Content
	}
	t.texts[a.ID] = a.Content
	t.ids[a.Content] = uint32(a.ID)
	t.added = append(t.added, a)
	return nil
}

// splitAdded calls plain with the parts of s between the added tokens of m, and
// token with their ids, in the order of the text.
//
// The search continues after the token itself and not after the white space
// that it absorbs; a token found in that white space counts again. The library
// behaves in the same way.
func (t *Tokenizer) splitAdded(s string, m *matcher, plain func(string), token func(id int)) {
	done := 0
	for at := 0; ; {
		start, end, which := m.find(s, at)
		if which < 0 {
			break
		}
		at = end
		a := &t.added[which]
		if a.SingleWord && touchesWord(s, start, end) {
			continue
		}
		if a.LStrip {
			start = max(done, trimSpaceRight(s[:start]))
		}
		if a.RStrip {
			end = runEnd(s, end, space)
		}
		if done < start {
			plain(s[done:start])
		}
		token(a.ID)
		done = end
	}
	if done < len(s) {
		plain(s[done:])
	}
}

// touchesWord reports whether a word character stands right before start or
// right after end.
func touchesWord(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	return isWord(before) || isWord(after)
}

// trimSpaceRight returns the length of s without the white space at its end.
func trimSpaceRight(s string) int {
	for len(s) > 0 {
		r, size := utf8.DecodeLastRuneInString(s)
		if !unicode.IsSpace(r) {
			break
		}
		s = s[:len(s)-size]
	}
	return len(s)
}
