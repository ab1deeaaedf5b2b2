package bpe

import (
	"math"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// added returns an added token for a file.
func added(id int, content string, flags ...string) file {
	f := file{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}
	for _, flag := range flags {
		f[flag] = true
	}
	return f
}

// bytesFile returns a tokenizer.json with the 256 bytes and no merges.
func bytesFile(t testing.TB) file {
	t.Helper()
	return parseFile(t, saved(t, mustTrain(t, TrainConfig{VocabSize: 256}, "a")))
}

// marked returns a text with the added tokens as [content] and all else as it is.
func marked(tok *Tokenizer, text string) string {
	var b strings.Builder
	tok.split(text, nil, func(plain string) { b.WriteString(plain) }, func(id int) { b.WriteString("[" + tok.texts[id] + "]") })
	return b.String()
}

func TestAddedTokens(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		tokens           []file
	}{
		{"plain", "a<x>b <x>", "a[<x>]b [<x>]", []file{added(256, "<x>")}},
		{"longest", "<xy><x>y", "[<xy>][<x>]y", []file{added(256, "<x"), added(257, "<xy>"), added(258, "<x>")}},
		{"leftmost", "abcd", "[abc]d", []file{added(256, "bcd"), added(257, "abc")}},
		{"longest that fits", "abcabd", "[ab]c[abd]", []file{added(256, "ab"), added(257, "abd"), added(258, "abcx")}},
		{"left", "a \t<x>b", "a[<x>]b", []file{added(256, "<x>", "lstrip")}},
		{"right", "a <x>\u3000\nb", "a [<x>]b", []file{added(256, "<x>", "rstrip")}},
		{"both, twice", "  <x>  <x>  ", "[<x>][<x>]", []file{added(256, "<x>", "lstrip", "rstrip")}},
		{"single word", "<x>a <x>, b<x> <x>_ <x>", "<x>a [<x>], b<x> <x>_ [<x>]", []file{added(256, "<x>", "single_word")}},
		{"single word beside a mark", "\u0301<x> 😀<x>", "\u0301<x> 😀[<x>]", []file{added(256, "<x>", "single_word")}},
		{"white space taken along counts again", "a<x>  b", "a[<x>][  ]b", []file{added(256, "<x>", "rstrip"), added(257, "  ")}},
		{"the first one has the white space", "  <x>", "[  ][<x>]", []file{added(256, "<x>", "lstrip"), added(257, "  ")}},
		{"normal form", "<e\u0301>x <é>x", "[<é>]x [<é>]x", []file{added(256, "<é>", "normalized")}},
		{"as it is", "<e\u0301>x <é>x", "<é>x [<é>]x", []file{added(256, "<é>")}},
		{"as it is comes first", "aéb", "a[éb]", []file{added(256, "aé", "normalized"), added(257, "éb")}},
		{"of the vocabulary", "xay", "x[a]y", []file{added(64, "a")}},
		{"bytes outside UTF-8", "\xff<x>\xff", "\xff[<x>]\xff", []file{added(256, "<x>", "single_word")}},
	} {
		f := bytesFile(t).changed(t, file{"added_tokens": c.tokens, "normalizer": file{"type": "NFC"}})
		testutil.Equal(t, c.name, marked(mustLoad(t, f), c.text), c.want)
	}
}

func TestTokensAndIDs(t *testing.T) {
	f := bytesFile(t).changed(t, file{"added_tokens": []file{added(256, "éé"), added(257, "<s>", "special"), added(64, "a", "special")}})
	tok := mustLoad(t, f)
	testutil.Equal(t, "size", tok.Size(), 258)
	testutil.Equal(t, "special tokens", tok.Special(), []int{64, 257})
	for text, want := range map[string]int{"a": 64, "éé": 256, "<s>": 257, " ": 220, "\xff": 187} {
		id, ok := tok.ID(text)
		testutil.Equal(t, "id of "+text, id, want)
		back, found := tok.Token(id)
		testutil.Equal(t, "token", back, text)
		testutil.Equal(t, "both found", ok && found, true)
	}
	for _, text := range []string{"", "Ġ", "ab"} {
		if id, ok := tok.ID(text); ok {
			t.Errorf("%q has the id %d", text, id)
		}
	}
	for _, id := range []int{-1, 258, math.MaxInt} {
		if text, ok := tok.Token(id); ok {
			t.Errorf("id %d is %q", id, text)
		}
	}
}
