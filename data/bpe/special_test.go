package bpe

import (
	"slices"
	"testing"
)

// TestWithSpecial: new tokens come behind all others, old ids stay, and what is
// there already is not added again.
func TestWithSpecial(t *testing.T) {
	tok, err := Train(t.Context(), func(yield func(string) bool) { yield("a text with words, a text with more words") }, TrainConfig{VocabSize: 270, SpecialTokens: []string{EndOfText}})
	if err != nil {
		t.Fatal(err)
	}
	more, err := tok.WithSpecial("<|user|>", EndOfText, "<|assistant|>", "<|user|>")
	if err == nil {
		t.Errorf("a token is added twice: %d", more.Size())
	}
	if more, err = tok.WithSpecial("<|user|>", EndOfText, "<|assistant|>"); err != nil {
		t.Fatal(err)
	}
	const text = "a text"
	if n := tok.Size(); more.Size() != n+2 || !slices.Equal(more.Encode("<|user|>"+text+"<|assistant|>"), slices.Concat([]int{n}, tok.Encode(text), []int{n + 1})) {
		t.Errorf("%d tokens, and %v", more.Size(), more.Encode("<|user|>"+text+"<|assistant|>"))
	}
	if !slices.Contains(more.Special(), tok.Size()) {
		t.Error("what was added is not special")
	}
	if same, err := more.WithSpecial("<|user|>"); err != nil || same != more {
		t.Errorf("what is there is added: %v", err)
	}
	if _, err := tok.WithSpecial(""); err == nil {
		t.Error("an empty token")
	}
	if got := tok.Encode("<|user|>"); len(got) == 1 {
		t.Error("the tokenizer itself has changed")
	}
}
