package xlstm

import (
	"fmt"
	"slices"
	"testing"

	"gorgonia.org/tensor"
)

// batchModels are models of every kind of block.
func batchModels() map[string]Config {
	tied := smallConfig()
	tied.TieWeights = true
	large := DefaultLargeConfig()
	large.VocabSize, large.EmbeddingDim, large.NumBlocks = 11, 32, 2
	large.Large.NumHeads = 2
	return map[string]Config{"mixed": smallConfig(), "tied": tied, "large": large}
}

// alone returns a generator that has read tokens.
func alone(t testing.TB, m *Model, tokens ...int) *Generator {
	t.Helper()
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := g.Read(tokens...); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestTextsOfABatchAreWhatTheyAreAlone: to the bit, whoever else is there, comes
// and goes.
func TestTextsOfABatchAreWhatTheyAreAlone(t *testing.T) {
	for name, cfg := range batchModels() {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprint(name, "/", dt), func(t *testing.T) {
				m := smallModel(t, cfg, dt)
				b, err := m.NewBatchGenerator(5)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				var singles []*Generator
				for i, n := range []int{1, 9, 3, 70, 12} {
					prompt := randomTokens(uint64(i), n, m.cfg.VocabSize)
					singles = append(singles, alone(t, m, prompt...))
					if err := b.Read(i, prompt...); err != nil {
						t.Fatal(err)
					}
				}
				for step := range 12 {
					tokens := randomTokens(uint64(100+step), 5, m.cfg.VocabSize)
					switch {
					case step >= 8: // two of five
						tokens[0], tokens[1], tokens[4] = -1, -1, -1
					case step >= 4: // another order of going on and standing still
						tokens[step-4] = -1
					}
					if err := b.Step(tokens); err != nil {
						t.Fatal(err)
					}
					for i, g := range singles {
						if tokens[i] >= 0 {
							if err := g.Read(tokens[i]); err != nil {
								t.Fatal(err)
							}
						}
						got, err := b.Logits(i)
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(got, g.logits) || b.Tokens(i) != g.Tokens() {
							t.Fatalf("step %d, text %d after %d tokens: logits\n%v, alone, after %d,\n%v", step, i, b.Tokens(i), got, g.Tokens(), g.logits)
						}
					}
					if step == 6 { // text 2 makes way for another
						singles[2] = alone(t, m, 1, 2, 3)
						if err := b.Begin(2, nil); err != nil {
							t.Fatal(err)
						}
						if err := b.Read(2, 1, 2, 3); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
		}
	}
}
