package xlstm

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// batchModels are models of every kind of block.
func batchModels() map[string]Config {
	tied := smallConfig()
	tied.TieWeights = true
	large := DefaultLargeConfig()
	large.VocabSize, large.EmbeddingDim, large.NumBlocks = 11, 32, 2
	large.Large.NumHeads = 2
	models := otherCells()
	models["mixed"], models["tied"], models["large"] = smallConfig(), tied, large
	return models
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
	if _, err := g.Logits(); len(tokens) > 0 && err != nil { // fetches those of a device
		t.Fatal(err)
	}
	return g
}

// agree reports whether logits agree to rounding in the model's type.
func agree(dt tensor.Dtype, a, b []float64) bool {
	allowed := 1e-4
	if dt == tensor.Float64 {
		allowed = 1e-11
	}
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) <= allowed*(1+math.Abs(x)) })
}

// TestTextsOfABatchAreWhatTheyAreAlone: to rounding in a Generator, and to the
// bit in a generator of as many texts whose others stand still, with any other
// texts, comes and goes.
func TestTextsOfABatchAreWhatTheyAreAlone(t *testing.T) {
	hostOnly(t)
	for name, cfg := range batchModels() {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprint(name, "/", dt), func(t *testing.T) {
				m := smallModel(t, cfg, dt)
				b, err := m.NewBatchGenerator(5)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				lonely, err := m.NewBatchGenerator(5) // of which only text 3 continues
				if err != nil {
					t.Fatal(err)
				}
				defer lonely.Close()
				var singles []*Generator
				for i, n := range []int{1, 9, 3, 70, 12} {
					prompt := testutil.Tokens(uint64(i), n, m.cfg.VocabSize)
					singles = append(singles, alone(t, m, prompt...))
					if err := b.Read(i, prompt...); err != nil {
						t.Fatal(err)
					}
				}
				if err := lonely.Begin(3, singles[3]); err != nil {
					t.Fatal(err)
				}
				for step := range 12 {
					tokens := testutil.Tokens(uint64(100+step), 5, m.cfg.VocabSize)
					switch {
					case step >= 8: // two of five
						tokens[0], tokens[1], tokens[4] = -1, -1, -1
					case step >= 4: // another order of going on and standing still
						tokens[step-4] = -1
					}
					if err := b.Step(tokens); err != nil {
						t.Fatal(err)
					}
					if err := lonely.Step([]int{-1, -1, -1, tokens[3], -1}); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(b.texts[3].logits, lonely.texts[3].logits) {
						t.Fatalf("step %d: the other texts make\n%v of\n%v", step, b.texts[3].logits, lonely.texts[3].logits)
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
						if !agree(dt, got, g.logits) || b.Tokens(i) != g.Tokens() {
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

// TestFewerRows: texts that come and go, so that the rows of a step change, have
// the logits of generators of their own, to rounding.
func TestFewerRows(t *testing.T) {
	hostOnly(t)
	for name, cfg := range batchModels() {
		m := smallModel(t, cfg, tensor.Float64)
		b, err := m.NewBatchGenerator(7, FewerRows())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var alone [7]*Generator
		for i := range alone {
			if alone[i], err = m.NewGenerator(); err != nil {
				t.Fatal(err)
			}
			defer alone[i].Close()
		}
		for step, texts := range [][]int{{3}, {3, 5}, {3}, {0, 1, 2, 3, 4, 5, 6}, {6, 0, 2}, {1, 4}, {0, 1, 2, 3, 4}, {2}} {
			tokens := slices.Repeat([]int{-1}, 7)
			for _, i := range texts {
				tokens[i] = (3*step + i) % 11
				if err := alone[i].Read(tokens[i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Step(tokens); err != nil {
				t.Fatal(err)
			}
			for _, i := range texts {
				got, err := b.Logits(i)
				if err != nil || !agree(tensor.Float64, got, alone[i].logits) || b.Tokens(i) != alone[i].Tokens() {
					t.Errorf("%s, step %d: text %d differs from one of its own: %v", name, step, i, err)
				}
			}
		}
		var sizes []int
		for _, n := range b.benches {
			if n.parts != nil {
				sizes = append(sizes, n.size)
			}
		}
		if !slices.Equal(sizes, []int{1, 2, 4, 7}) {
			t.Errorf("%s: steps of %v rows", name, sizes)
		}
	}
}
