package bpe

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/tiktoken-go/tokenizer"
)

// gpt2 makes the tokenizer of GPT-2 from the list of its tokens, where the id of
// a token is the rank of the merge that makes it.
func gpt2(t testing.TB, codec tokenizer.Codec) *Tokenizer {
	t.Helper()
	const tokens = 50256
	vocab := map[string]int{EndOfText: tokens}
	ranks := map[string]int{}
	var merges []string
	for id := range tokens {
		text, err := codec.Decode([]uint{uint(id)})
		if err != nil {
			t.Fatal(err)
		}
		vocab[spell(text)] = id
		ranks[text] = id
		if len(text) > 1 {
			a, b := halves(t, text, ranks, id)
			merges = append(merges, spell(a)+" "+spell(b))
		}
	}
	return mustLoad(t, bytesFile(t).changed(t, file{
		"added_tokens": []file{added(tokens, EndOfText, "special")},
		"model.vocab":  vocab,
		"model.merges": merges,
	}))
}

// halves returns the two tokens that the token of an id is made of: what is left
// of it by the merges before its own.
func halves(t testing.TB, text string, ranks map[string]int, id int) (a, b string) {
	t.Helper()
	var parts []string
	for i := range len(text) {
		parts = append(parts, text[i:i+1])
	}
	for len(parts) > 2 {
		best, at := id, -1
		for i := 1; i < len(parts); i++ {
			if rank, ok := ranks[parts[i-1]+parts[i]]; ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			t.Fatalf("token %d, %q, is made of %q", id, text, parts)
		}
		parts[at-1] += parts[at]
		parts = append(parts[:at], parts[at+1:]...)
	}
	return parts[0], parts[1]
}

// goSource returns about n bytes of the source of Go, from here and there.
func goSource(t testing.TB, n int) string {
	t.Helper()
	var text strings.Builder
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("asking go for its source: %v", err)
	}
	files := 0
	filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		if files++; files%20 != 0 {
			return nil
		}
		if source, err := os.ReadFile(path); err == nil {
			text.Write(source[:min(len(source), 30_000)])
		}
		if text.Len() > n {
			return fs.SkipAll
		}
		return nil
	})
	if text.Len() == 0 {
		t.Fatalf("no Go source in %s", root)
	}
	return strings.ToValidUTF8(text.String(), "")
}

// oddRunes returns n characters from everywhere, mixed with common ones.
func oddRunes(n int) string {
	rnd := rand.New(rand.NewPCG(5, 6))
	common := []rune("  \t\n\r'sdtmlrve aeiou.,!?0123\u00a0\u0301\u3000é世😀")
	runes := make([]rune, n)
	for i := range runes {
		switch rnd.IntN(4) {
		case 0:
			runes[i] = rune(rnd.IntN(0x3000))
		case 1:
			runes[i] = rune(rnd.IntN(0x20000))
		default:
			runes[i] = common[rnd.IntN(len(common))]
		}
	}
	return string(runes)
}

// randomBytes returns n bytes, of which most texts are no valid UTF-8.
func randomBytes(n int) string {
	rnd := rand.New(rand.NewPCG(7, 8))
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(rnd.Uint32())
	}
	return string(text)
}

// TestGPT2AsTiktoken compares with another implementation on the vocabulary of
// GPT-2. The other one reads bytes outside UTF-8 as U+FFFD; these are only read
// back.
func TestGPT2AsTiktoken(t *testing.T) {
	codec, err := tokenizer.Get(tokenizer.R50kBase)
	if err != nil {
		t.Fatal(err)
	}
	tok := gpt2(t, codec)
	testutil.Equal(t, "size", tok.Size(), 50257)
	testutil.Equal(t, "known ids", tok.Encode("Hello, world!<|endoftext|>"), []int{15496, 11, 995, 0, 50256})
	for name, text := range map[string]string{
		"source": goSource(t, 300_000),
		"odd":    oddRunes(50_000),
		"text":   strings.ToValidUTF8(oddText, "\uFFFD"),
		"bytes":  strings.ToValidUTF8(randomBytes(50_000), "\uFFFD"),
	} {
		want, _, err := codec.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		got := tok.EncodeOrdinary(text)
		if len(got) != len(want) {
			t.Errorf("%s: %d ids, want %d", name, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != int(want[i]) {
				t.Fatalf("%s: id %d is %d, want %d", name, i, got[i], want[i])
			}
		}
	}
	wild := randomBytes(100_000)
	testutil.Equal(t, "random bytes read back", tok.Decode(tok.Encode(wild)) == wild, true)
}
