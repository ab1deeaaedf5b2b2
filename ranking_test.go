package xlstm

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRankingIsTheSortedOrder compares with a sort, however far one looks and in
// whatever order, with many equal logits among them.
func TestRankingIsTheSortedOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var k ranking
	for range 200 {
		logits := make([]float64, 1+r.IntN(40))
		want := make([]int, len(logits))
		for i := range logits {
			logits[i] = float64(r.IntN(12))
			want[i] = i
			if r.IntN(5) == 0 {
				logits[i] = math.Inf(-1)
			}
		}
		slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
		k.begin(logits, logits[want[0]], math.Pow(4, float64(r.IntN(5)-2)))
		for range 10 {
			if i := r.IntN(len(want)); k.at(i) != want[i] {
				t.Fatalf("rank %d of %v is token %d, want %d", i, logits, k.at(i), want[i])
			}
		}
	}
}

// TestSampledTokensAreThoseOfASortedDraw walks through all tokens in order of
// their probability.
func TestSampledTokensAreThoseOfASortedDraw(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, cfg := range []SamplerConfig{
		{Temperature: 1, Seed: 3}, {Temperature: 0.7, TopK: 5, Seed: 4}, {Temperature: 1.5, TopP: 0.8, Seed: 5},
		{Temperature: 1, TopK: 9, TopP: 0.6, Seed: 6}, {Temperature: 1, TopK: 100, Seed: 7}, {},
	} {
		s, err := NewSampler(cfg)
		if err != nil {
			t.Fatal(err)
		}
		draws := rand.New(rand.NewPCG(cfg.Seed, 0x5a3b1e))
		for range 300 {
			logits := make([]float64, 30)
			for i := range logits {
				logits[i] = 2 * math.Round(4*r.NormFloat64()) / 4
			}
			got, err := s.Sample(logits)
			if err != nil {
				t.Fatal(err)
			}
			if want := sortedDraw(cfg, draws, logits); got != want {
				t.Fatalf("%+v draws token %d, want %d", cfg, got, want)
			}
		}
	}
}

// sortedDraw draws as the documentation of SamplerConfig says.
func sortedDraw(cfg SamplerConfig, draws *rand.Rand, logits []float64) int {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	if cfg.Temperature == 0 {
		return order[0]
	}
	if cfg.TopK > 0 {
		order = order[:min(cfg.TopK, len(order))]
	}
	var probs []float64
	var total float64
	for _, t := range order {
		probs = append(probs, math.Exp((logits[t]-logits[order[0]])/cfg.Temperature))
		total += probs[len(probs)-1]
	}
	if cfg.TopP > 0 {
		var sum float64
		for i, p := range probs {
			if sum += p; sum >= cfg.TopP*total {
				order, total = order[:i+1], sum
				break
			}
		}
	}
	u := draws.Float64() * total
	for i, t := range order {
		if u -= probs[i]; u < 0 {
			return t
		}
	}
	return order[len(order)-1]
}

// TestDrawsAtExtremeTemperatures: next to 0 the likeliest token is drawn, and at the
// largest temperature any token but an impossible one.
func TestDrawsAtExtremeTemperatures(t *testing.T) {
	logits := []float64{1, 3, math.Inf(-1), 2}
	for _, c := range []struct {
		temperature float64
		want        []int
	}{{math.SmallestNonzeroFloat64, []int{1}}, {1e-310, []int{1}}, {1e-9, []int{1}}, {math.MaxFloat64, []int{0, 1, 3}}} {
		s := mustSampler(t, SamplerConfig{Temperature: c.temperature, Seed: 1})
		drawn := make(map[int]bool)
		for range 200 {
			token, err := s.Sample(logits)
			if err != nil {
				t.Fatal(err)
			}
			drawn[token] = true
		}
		if got := slices.Sorted(maps.Keys(drawn)); !slices.Equal(got, c.want) {
			t.Errorf("at temperature %v the tokens %v are drawn, want %v", c.temperature, got, c.want)
		}
	}
}
