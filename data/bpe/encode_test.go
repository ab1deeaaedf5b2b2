package bpe

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// reference is a part of testdata/encoded.json.
type reference struct {
	Settings     file `json:"settings"`
	IgnoreMerges bool `json:"ignore_merges"`
	Cases        []struct {
		Text    string `json:"text"`
		IDs     []int  `json:"ids"`
		Special []int  `json:"with_special"`
		Decoded string `json:"decoded"`
	} `json:"cases"`
}

// file returns the tokenizer.json of a reference.
func (r *reference) file(t testing.TB, trained file) string {
	t.Helper()
	changes := r.Settings
	if r.IgnoreMerges {
		var half []any
		for i, m := range trained["model"].(map[string]any)["merges"].([]any) {
			if i%2 == 0 {
				half = append(half, m)
			}
		}
		changes["model.merges"] = half
		changes["model.ignore_merges"] = true
	}
	return trained.changed(t, changes)
}

// references returns the tokenizers of testdata/encoded.json.
func references(t testing.TB) (refs []reference, toks []*Tokenizer) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "encoded.json")), &refs); err != nil {
		t.Fatal(err)
	}
	trained := parseFile(t, readFile(t, "trained.json"))
	for i := range refs {
		toks = append(toks, mustLoad(t, refs[i].file(t, trained)))
	}
	return refs, toks
}

func TestEncodesAsTheLibrary(t *testing.T) {
	refs, toks := references(t)
	for i, r := range refs {
		for _, c := range r.Cases {
			testutil.Equal(t, "ids of "+c.Text, toks[i].Encode(c.Text), c.IDs)
			testutil.Equal(t, "ids with special tokens of "+c.Text, toks[i].EncodeWithSpecial(c.Text), c.Special)
			testutil.Equal(t, "text of "+c.Text, toks[i].DecodeWithoutSpecial(c.IDs), c.Decoded)
		}
	}
}

func TestDecode(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	ids := tok.Encode("a" + EndOfText + "b")
	testutil.Equal(t, "with special tokens", tok.Decode(ids), "a<|endoftext|>b")
	testutil.Equal(t, "without", tok.DecodeWithoutSpecial(ids), "ab")
	testutil.Equal(t, "out of range", tok.Decode([]int{-1, tok.Size(), math.MaxInt}), "\uFFFD\uFFFD\uFFFD")
	testutil.Equal(t, "appended", string(tok.AppendDecode([]byte("x"), ids[:1])), "xa")
	testutil.Equal(t, "nothing", tok.Decode(nil), "")
}

func TestEncodeOrdinary(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	ids := tok.EncodeOrdinary(EndOfText)
	if len(ids) == 1 {
		t.Errorf("a token that is written out became the token: %v", ids)
	}
	testutil.Equal(t, "text", tok.Decode(ids), EndOfText)
}

func TestAppendEncode(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	testutil.Equal(t, "ids", tok.AppendEncode([]int{7}, "the"), append([]int{7}, tok.Encode("the")...))
	text := strings.Repeat("the func returns error ", 50)
	ids := tok.Encode(text)
	if n := testing.AllocsPerRun(5, func() { ids = tok.AppendEncode(ids[:0], text) }); n > 10 {
		t.Errorf("%v allocations for 200 words", n)
	}
}

// slowMerge makes the first merge of all in the list, the leftmost of equals,
// by trying all pairs.
func slowMerge(tok *Tokenizer, word string) []uint32 {
	var ids []uint32
	for i := range len(word) {
		ids = append(ids, tok.bytes.of[word[i]])
	}
	for {
		best, at := len(tok.rules), -1
		for i := 1; i < len(ids); i++ {
			for rank, rule := range tok.rules[:best] {
				if rule[0] == ids[i-1] && rule[1] == ids[i] {
					best, at = rank, i-1
				}
			}
		}
		if at < 0 {
			return ids
		}
		name := tok.names[ids[at]] + tok.names[ids[at+1]]
		for id := range tok.names {
			if tok.names[id] == name {
				ids[at] = uint32(id)
			}
		}
		ids = append(ids[:at+1], ids[at+2:]...)
	}
}

func TestMergesOfShortAndLongWords(t *testing.T) {
	tok := mustTrain(t, TrainConfig{VocabSize: 300}, "aabab babba aaaa aaaaaaaa abcabcabc cabbac aaaaabbbbb")
	rnd := rand.New(rand.NewPCG(1, 2))
	var m merger
	for n := 1; n < 3*longWord; n = n*5/4 + 1 {
		for _, letters := range []string{"a", "ab", "abc", "abcd"} {
			word := make([]byte, n)
			for i := range word {
				word[i] = letters[rnd.IntN(len(letters))]
			}
			got := m.merge(string(word), &tok.bytes, &tok.pairs)
			testutil.Equal(t, "tokens of "+string(word), got, slowMerge(tok, string(word)))
		}
	}
}

// A megabyte without a space takes a second by a heap, and days otherwise.
func TestVeryLongWord(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	for _, word := range []string{strings.Repeat("a", 1<<20), strings.Repeat("returnsan", 1<<17)} {
		if tok.Decode(tok.Encode(word)) != word {
			t.Error("a long word does not come back")
		}
	}
	if e, ok := tok.encoders.Get().(*encoder); ok && cap(e.merger.ids) > 1<<16 {
		t.Errorf("memory for a word of %d bytes is kept", cap(e.merger.ids))
	}
}

// More words than the cache holds, so that they take each other's place.
func TestCacheForgets(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	rnd := rand.New(rand.NewPCG(3, 4))
	var text bytes.Buffer
	for range 4 * cacheSlots {
		for range 1 + rnd.IntN(5) {
			text.WriteByte(byte('a' + rnd.IntN(8)))
		}
		text.WriteByte(' ')
	}
	want := []int{}
	var m merger
	for _, word := range wordsOf(text.String(), tok.steps...) {
		for _, id := range m.merge(word, &tok.bytes, &tok.pairs) {
			want = append(want, int(id))
		}
	}
	for range 2 {
		testutil.Equal(t, "ids", tok.Encode(text.String()), want)
	}
}

func TestEncodeConcurrently(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	text := readFile(t, "text.txt")
	want := tok.Encode(text)
	var wait sync.WaitGroup
	for range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 5 {
				testutil.Equal(t, "ids", tok.Encode(text), want)
				testutil.Equal(t, "text", tok.Decode(want), text)
			}
		}()
	}
	wait.Wait()
}

func TestEncodeParallel(t *testing.T) {
	tok := mustLoad(t, readFile(t, "trained.json"))
	text := strings.Repeat(readFile(t, "text.txt")+oddText, 3*chunkBytes/len(oddText+readFile(t, "text.txt")))
	want := tok.Encode(text)
	for workers := range 4 {
		testutil.Equal(t, "number of ids", len(tok.EncodeParallel(text, workers)), len(want))
		testutil.Equal(t, "ids", tok.EncodeParallel(text, workers), want)
	}
	testutil.Equal(t, "nothing", tok.EncodeParallel("", 3), []int{})
	unbroken := strings.Repeat("世", chunkBytes)
	testutil.Equal(t, "no place to cut", tok.EncodeParallel(unbroken, 2), tok.Encode(unbroken))
}

func FuzzParallelIsSerial(f *testing.F) {
	f.Add(oddText, uint8(1))
	f.Add("a b  c <m> foo ab cd  <w>  \u00a0 d 12 3\n\n e", uint8(3))
	_, toks := references(f)
	f.Fuzz(func(t *testing.T, text string, chunk uint8) {
		for _, tok := range toks {
			testutil.Equal(t, text, tok.encodeParallel(text, 3, int(chunk%16)), tok.Encode(text))
		}
	})
}

func FuzzDecodeGivesBackTheText(f *testing.F) {
	for _, text := range []string{"", oddText, "\xff\x00\xc3", strings.Repeat("aé", longWord)} {
		f.Add(text)
	}
	var toks []*Tokenizer
	for _, p := range []Pattern{GPT2, Llama3, Qwen2} {
		toks = append(toks, mustTrain(f, TrainConfig{VocabSize: 500, Pattern: p, SpecialTokens: []string{EndOfText, "<世>"}}, readFile(f, "text.txt")))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			ids := tok.Encode(text)
			for i, id := range ids {
				if _, ok := tok.Token(id); !ok {
					t.Fatalf("id %d is %d of %d", i, id, tok.Size())
				}
			}
			testutil.Equal(t, "text", tok.Decode(ids), text)
			testutil.Equal(t, "ordinary text", tok.Decode(tok.EncodeOrdinary(text)), text)
		}
	})
}
