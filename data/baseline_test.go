package data

import (
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// near checks that two numbers agree to rounding.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestUnigramLoss(t *testing.T) {
	// The counts 2, 1, 0 give 3/6, 2/6, 1/6; the first token is no target.
	got, err := UnigramLoss([]int{0, 0, 1}, []int{0, 1, 2}, 3)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", got, (math.Log(3)+math.Log(6))/2)
}

func TestBigramLoss(t *testing.T) {
	// Pairs 01 and 10 twice, 02 once: D = 2/7, q = 2/7 for 0, 1, 2 and 1/7 for 3.
	train := []int{0, 1, 0, 1, 0, 2}
	for _, test := range []struct {
		val  []int
		want float64 // the product of the probabilities
	}{
		{[]int{0, 1}, 92. / 147},
		{[]int{0, 2}, 43. / 147},
		{[]int{0, 0}, 8. / 147},
		{[]int{0, 3}, 4. / 147},
		{[]int{1, 0}, 44. / 49},
		{[]int{2, 3}, 1. / 7},
		{[]int{0, 1, 0, 3}, 92. / 147 * 44 / 49 * 4 / 147},
	} {
		got, err := BigramLoss(train, test.val, 4)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "loss", got, -math.Log(test.want)/float64(len(test.val)-1))
	}
}

// TestBigramLossOnWindows: on all windows of a text it is the loss of the text, on
// some of them that of what they hold.
func TestBigramLossOnWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	text := make([]int, 500)
	for i := range text {
		text[i] = min(r.IntN(9), r.IntN(9), 1+i/100) // its end is harder
	}
	train, val := text[:300], text[200:]
	want, err := BigramLoss(train, val, 9)
	if err != nil {
		t.Fatal(err)
	}
	all, err := NewWindows(val, 3, 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, n, err := BigramLossOn(train, all.All(), 9)
	if err != nil || n != len(val)-1 {
		t.Fatalf("%d targets, %v", n, err)
	}
	near(t, "loss of the text", got, want)
	some, err := NewWindows(val, 1, 4, 2)
	if err != nil {
		t.Fatal(err)
	}
	got, n, err = BigramLossOn(train, some.All(), 9)
	if err != nil || n != 8 {
		t.Fatalf("%d targets, %v", n, err)
	}
	sum := 0.0
	for _, window := range [][]int{val[:5], val[37*4:][:5]} { // the first and the middle one of 75
		loss, err := BigramLoss(train, window, 9)
		if err != nil {
			t.Fatal(err)
		}
		sum += loss / 2
	}
	near(t, "loss of two windows", got, sum)
}

func TestBigramLossOnErrors(t *testing.T) {
	batch := func(in, target int) iter.Seq[Batch] {
		return slices.Values([]Batch{{Inputs: []int{in}, Targets: []int{target}, B: 1, T: 1}})
	}
	for want, run := range map[string]func() (float64, int, error){
		"input 0 has id 2":                   func() (float64, int, error) { return BigramLossOn([]int{0, 1}, batch(2, 0), 2) },
		"target 0 has id 3":                  func() (float64, int, error) { return BigramLossOn([]int{0, 1}, batch(0, 3), 2) },
		"no batch has a target that counts":  func() (float64, int, error) { return BigramLossOn([]int{0, 1}, batch(0, Ignore), 2) },
		"0 tokens to train on":               func() (float64, int, error) { return BigramLossOn(nil, batch(0, 1), 2) },
		"a vocabulary of 0 ids: it must hav": func() (float64, int, error) { return BigramLossOn([]int{0}, batch(0, 1), 0) },
	} {
		_, _, err := run()
		testutil.WantError(t, err, "bigram loss", want)
	}
}

func TestBigramProbabilitiesSumToOne(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 5000} {
		const vocab = 12
		r := rand.New(rand.NewPCG(uint64(n), 0))
		train := make([]int, n)
		for i := range train {
			train[i] = min(r.IntN(vocab), r.IntN(vocab))
		}
		m := countBigrams(train, vocab)
		for u := range vocab {
			sum := 0.0
			for w := range vocab {
				p := m.prob(u, w)
				if p <= 0 {
					t.Errorf("n %d: p(%d|%d) = %v", n, w, u, p)
				}
				sum += p
			}
			near(t, "sum", sum, 1)
		}
	}
}

func TestBigramBeatsUnigramOnPairs(t *testing.T) {
	text := count(26)
	for range 6 {
		text = append(text, text[:26]...)
	}
	uni, err := UnigramLoss(text, text, 26)
	if err != nil {
		t.Fatal(err)
	}
	bi, err := BigramLoss(text, text, 26)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "unigrams of evenly frequent tokens", uni, math.Log(26))
	if bi > 0.2 {
		t.Errorf("bigrams of a cycle: %v", bi)
	}
}

func TestBigramMemory(t *testing.T) {
	const vocab = 50_000
	r := rand.New(rand.NewPCG(1, 2))
	train := make([]int, 200_000) // nearly every pair is new
	for i := range train {
		train[i] = r.IntN(vocab)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := BigramLoss(train, train, vocab); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 50<<20 {
		t.Errorf("%d bytes for %d pairs", used, len(train))
	}
}

func TestBaselineErrors(t *testing.T) {
	good := []int{0, 1}
	for _, test := range []struct {
		train, val []int
		vocab      int
		want       string
	}{
		{good, good, 0, "a vocabulary of 0 ids"},
		{good, good, math.MaxInt, "it must have 1 to"},
		{nil, good, 2, "0 tokens to train on and 2"},
		{good, good[:1], 2, "2 tokens to train on and 1 to validate on"},
		{[]int{0, 2}, good, 2, "training token 1 has id 2, outside the vocabulary of 2"},
		{good, []int{0, 1, -1}, 2, "validation token 2 has id -1"},
	} {
		_, err := UnigramLoss(test.train, test.val, test.vocab)
		testutil.WantError(t, err, "unigram", test.want)
		_, err = BigramLoss(test.train, test.val, test.vocab)
		testutil.WantError(t, err, "bigram", test.want)
	}
}

func TestMetrics(t *testing.T) {
	near(t, "perplexity", Perplexity(math.Log(10)), 10)
	near(t, "bits per token", BitsPerToken(math.Log(8)), 3)
	// Two tokens of 3 bits for the 4 characters and 6 bytes of "ab世".
	near(t, "bits per character", BitsPerChar(2*math.Log(8), 4), 1.5)
	near(t, "bits per byte", BitsPerByte(2*math.Log(8), 6), 1)
	for _, n := range []int{0, -1} {
		if !math.IsNaN(BitsPerByte(1, n)) || !math.IsNaN(BitsPerChar(1, n)) {
			t.Errorf("bits per %d units is a number", n)
		}
	}
}
