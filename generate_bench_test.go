package xlstm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// TestTextsOfABatchInParts are what they are alone, to rounding, and to the bit
// the other texts of the batch: also where 20 texts, which come and go, are at three
// programs of 7 rows.
func TestTextsOfABatchInParts(t *testing.T) {
	hostOnly(t)
	const n, watched = 20, 11
	for name, cfg := range batchModels() {
		m := smallModel(t, cfg, tensor.Float64)
		b, lonely := testutil.Must(m.NewBatchGenerator(n)), testutil.Must(m.NewBatchGenerator(n))
		defer b.Close()
		defer lonely.Close()
		if parts := b.seatedAt.parts; len(parts) != 3 || parts[0].rows.Batch() != 7 {
			t.Fatalf("%s: %d parts of %d rows", name, len(parts), parts[0].rows.Batch())
		}
		var alones []*Generator
		for range n {
			alones = append(alones, alone(t, m))
		}
		r := rand.New(rand.NewPCG(5, 6))
		for step := range 30 {
			tokens, only := make([]int, n), slices.Repeat([]int{-1}, n)
			for i := range tokens {
				if tokens[i] = r.IntN(m.cfg.VocabSize); r.IntN(3) == 0 || step%5 == 4 && i != watched {
					tokens[i] = -1
					continue
				}
				if err := alones[i].Read(tokens[i]); err != nil {
					t.Fatal(err)
				}
			}
			only[watched] = tokens[watched]
			if err := b.Step(tokens); err != nil {
				t.Fatal(err)
			}
			if err := lonely.Step(only); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b.texts[watched].logits, lonely.texts[watched].logits) {
				t.Fatalf("%s, step %d: the other texts make a difference", name, step)
			}
			for i, g := range alones {
				if b.Tokens(i) != g.Tokens() || g.Tokens() > 0 && !agree(tensor.Float64, b.texts[i].logits, g.logits) {
					t.Fatalf("%s, step %d: text %d differs from one alone", name, step, i)
				}
			}
		}
	}
}

// TestLargeModelsAreNotComputedInParts, each of which would read the weights from
// memory.
func TestLargeModelsAreNotComputedInParts(t *testing.T) {
	cfg := smallConfig()
	cfg.EmbeddingDim, cfg.VocabSize = 16, smallWeights/4/16
	for vocab, parts := range map[int]int{cfg.VocabSize: 1, 1000: 2} {
		cfg.VocabSize = vocab
		m := testutil.Must(New(cfg))
		b := &bench{size: 16}
		if err := m.furnish(b); err != nil || len(b.parts) != parts {
			t.Errorf("%d parts for a vocabulary of %d, %v", len(b.parts), vocab, err)
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
}
