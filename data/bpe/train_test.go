package bpe

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

func TestLearnsAsTheLibrary(t *testing.T) {
	tok := mustTrain(t, TrainConfig{VocabSize: 700, SpecialTokens: []string{EndOfText}}, readFile(t, "text.txt"))
	testutil.Equal(t, "trained tokenizer", strings.TrimSpace(saved(t, tok)), strings.TrimSpace(readFile(t, "trained.json")))
}

// The words are "low" 5 times, " low" once, "er" 2 times, " lower" 2 times.
//
//	l o: 8, o w: 8, Ġ l: 3, w e: 2, e r: 4   → "lo" comes before "ow" by its ids
//	lo w: 8, Ġ lo: 3, w e: 2, e r: 4        → "low"
//	e r: 4, Ġ low: 3, low e: 2              → "er"
//	Ġ low: 3, low er: 2                     → "Ġlow"
//	Ġlow er: 2                              → "Ġlower"
func TestLearnsByHand(t *testing.T) {
	texts := []string{"low", "low", "low", "low", "low low", "er", "er", " lower", " lower"}
	tok := mustTrain(t, TrainConfig{VocabSize: 1000}, texts...)
	var got []string
	for _, rule := range tok.rules {
		got = append(got, tok.names[rule[0]]+" "+tok.names[rule[1]])
	}
	testutil.Equal(t, "merges", got, []string{"l o", "lo w", "e r", "Ġ low", "Ġlow er"})
	testutil.Equal(t, "size", tok.Size(), 256+5)
	testutil.Equal(t, "ids", tok.Encode("lower low"), []int{257, 258, 259})

	tok = mustTrain(t, TrainConfig{VocabSize: 1000, MinFrequency: 4}, texts...)
	testutil.Equal(t, "size with a minimum of 4", tok.Size(), 256+3)
	tok = mustTrain(t, TrainConfig{VocabSize: 258}, texts...)
	testutil.Equal(t, "size with a limit", tok.Size(), 258)
}

func TestFirstIDs(t *testing.T) {
	tok := mustTrain(t, TrainConfig{VocabSize: 300, SpecialTokens: []string{EndOfText, "<pad>"}}, "a")
	for text, want := range map[string]int{EndOfText: 0, "<pad>": 1, "!": 2, "~": 95, "\xa1": 96, "\xff": 189, "\x00": 190, " ": 222, "\xad": 257} {
		id, ok := tok.ID(text)
		if id != want || !ok {
			t.Errorf("id of %q: got %d, want %d", text, id, want)
		}
	}
	testutil.Equal(t, "special tokens", tok.Special(), []int{0, 1})
}

// A pair that has no further neighbours has nothing to merge with.
func TestLearnsNothing(t *testing.T) {
	tok := mustTrain(t, TrainConfig{VocabSize: 300}, "a b", "", "c")
	testutil.Equal(t, "size", tok.Size(), 257) // " b"
}

func TestTrainPatterns(t *testing.T) {
	text := strings.Repeat("x.Print(123) x.Print(123)\n", 3)
	for _, c := range []struct {
		config TrainConfig
		has    string
	}{
		{TrainConfig{}, " x"},
		{TrainConfig{AddPrefixSpace: true}, " x"},
		{TrainConfig{Pattern: Llama3}, ".Print"},
		{TrainConfig{Pattern: Llama3}, "123"},
		{TrainConfig{Pattern: Qwen2}, ".Print"},
	} {
		c.config.VocabSize = 300
		tok := mustTrain(t, c.config, text)
		if _, ok := tok.ID(c.has); !ok {
			t.Errorf("%v: no token %q", c.config.Pattern, c.has)
		}
		back := mustLoad(t, saved(t, tok))
		testutil.Equal(t, "saved and loaded", back.Encode(text+oddText), tok.Encode(text+oddText))
	}
	digits := mustTrain(t, TrainConfig{VocabSize: 300, Pattern: Qwen2}, text)
	if _, ok := digits.ID("12"); ok {
		t.Error("Qwen2 merges digits")
	}
	testutil.Equal(t, "first word", mustTrain(t, TrainConfig{VocabSize: 300, AddPrefixSpace: true}, text).Decode([]int{220}), " ")
}

// The order and the cut of texts do not matter, but for words across the cut.
func TestTrainIsDeterministic(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	var texts []string
	for range 300 {
		var text strings.Builder
		for range 20 {
			for range 1 + rnd.IntN(6) {
				text.WriteByte("abcde"[rnd.IntN(5)])
			}
			text.WriteByte(' ')
		}
		texts = append(texts, text.String()+"\n")
	}
	config := TrainConfig{VocabSize: 600, SpecialTokens: []string{EndOfText}}
	want := saved(t, mustTrain(t, config, texts...))
	testutil.Equal(t, "once more", saved(t, mustTrain(t, config, texts...)), want)
	rnd.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	testutil.Equal(t, "in another order", saved(t, mustTrain(t, config, texts...)), want)
}

func TestTrainProgress(t *testing.T) {
	var got []int
	mustTrain(t, TrainConfig{VocabSize: 258, Progress: func(tokens, of int) { got = append(got, tokens, of) }}, "low low")
	testutil.Equal(t, "progress", got, []int{257, 258, 258, 258})
}

func TestTrainErrors(t *testing.T) {
	for _, c := range []struct {
		config TrainConfig
		want   string
	}{
		{TrainConfig{}, "a vocabulary of 0 tokens is too small: the bytes and the special tokens take 256"},
		{TrainConfig{VocabSize: 256, SpecialTokens: []string{"<s>"}}, "take 257"},
		{TrainConfig{VocabSize: 300, MinFrequency: -1}, "a minimum frequency of -1"},
		{TrainConfig{VocabSize: 300, Pattern: 7}, "no pattern 7"},
		{TrainConfig{VocabSize: 300, Pattern: Llama3, AddPrefixSpace: true}, "pattern Llama3"},
		{TrainConfig{VocabSize: 300, SpecialTokens: []string{""}}, "special token 0"},
		{TrainConfig{VocabSize: 300, SpecialTokens: []string{"<s>", "<s>"}}, "special token 1"},
		{TrainConfig{VocabSize: 300, SpecialTokens: []string{"\xff"}}, "no valid UTF-8"},
		{TrainConfig{VocabSize: 300, SpecialTokens: []string{"«"}}, `spelled like the bytes "\xab"`},
	} {
		_, err := Train(context.Background(), slices.Values([]string{"a"}), c.config)
		testutil.WantError(t, err, "train tokenizer: ", c.want)
	}
	_, err := Train(context.Background(), slices.Values([]string{"", ""}), TrainConfig{VocabSize: 300})
	testutil.WantError(t, err, "no text to learn from")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Train(ctx, slices.Values([]string{"a"}), TrainConfig{VocabSize: 300})
	testutil.WantError(t, err, "train tokenizer", "context canceled")

	ctx, cancel = context.WithCancel(context.Background())
	config := TrainConfig{VocabSize: 300, Progress: func(int, int) { cancel() }}
	_, err = Train(ctx, slices.Values([]string{"abcabc"}), config)
	testutil.WantError(t, err, "context canceled")
}
