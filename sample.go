package xlstm

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	"github.com/pkg/errors"
)

// SamplerConfig configures how a token is sampled from logits.
type SamplerConfig struct {
	// Temperature divides the logits: values below 1 favour likely tokens,
	// values above 1 are more random. 0 always selects the most likely token.
	Temperature float64
	// TopK keeps the K most likely tokens; 0 keeps all.
	TopK int
	// TopP keeps the most likely tokens that together have at least this
	// probability (Holtzman et al., 2020); 0 and 1 keep all.
	TopP float64
	// RepetitionPenalty makes tokens that are already in the text less likely:
	// their logits are divided by it if positive, multiplied if negative
	// (Keskar et al., 2019). It must be between 0.001 and 1000; 0 and 1 have no
	// effect.
	RepetitionPenalty float64
	// Exclude are ids that are never sampled, such as rows of a model without a
	// token in its vocabulary.
	Exclude []int
	// Seed of the draws.
	Seed uint64
}

// Sampler samples tokens. The same seed and logits give the same tokens.
type Sampler struct {
	cfg     SamplerConfig
	rng     *rand.Rand
	ranking ranking
	top     float64   // the largest logit
	kept    int       // how many of the most likely tokens may be drawn
	all     []float32 // unnormalised probabilities of all tokens; empty if only the most likely are needed
	ranked  []float64 // those of the most likely tokens, in order, as far as they were needed
	seen    map[int]bool
	bent    []float64 // the logits with the penalty applied and what is excluded taken out
	barred  int       // how many of the current logits are excluded
}

// minPenalty is the smallest repetition penalty, and one over it the largest:
// beyond them logits could overflow.
const minPenalty = 1e-3

// NewSampler returns a sampler. It returns an error that names the setting if
// the configuration is invalid.
func NewSampler(cfg SamplerConfig) (*Sampler, error) {
	switch {
	case !(cfg.Temperature >= 0 && cfg.Temperature <= math.MaxFloat64):
		return nil, errors.Errorf("xlstm: a sampling temperature of %v; it must be at least 0 and finite", cfg.Temperature)
	case slices.ContainsFunc(cfg.Exclude, func(t int) bool { return t < 0 }):
		return nil, errors.Errorf("xlstm: excluding the token %d from sampling; ids are at least 0", slices.Min(cfg.Exclude))
	case cfg.TopK < 0:
		return nil, errors.Errorf("xlstm: sampling from the top %d tokens; it must be positive, or 0 for all", cfg.TopK)
	case cfg.TopP < 0 || cfg.TopP > 1 || math.IsNaN(cfg.TopP):
		return nil, errors.Errorf("xlstm: sampling from a probability of %v; it must be between 0 and 1", cfg.TopP)
	case cfg.RepetitionPenalty != 0 && !(cfg.RepetitionPenalty >= minPenalty && cfg.RepetitionPenalty <= 1/minPenalty):
		return nil, errors.Errorf("xlstm: a repetition penalty of %v; it must be between %v and %v, or 0 for none", cfg.RepetitionPenalty, minPenalty, 1/minPenalty)
	}
	cfg.Exclude = slices.Compact(slices.Sorted(slices.Values(cfg.Exclude)))
	return &Sampler{cfg: cfg, seen: make(map[int]bool), rng: rand.New(rand.NewPCG(cfg.Seed, 0x5a3b1e))}, nil
}

// Observe informs the sampler of tokens that are already in the text, such as
// the prompt, for the repetition penalty. Sampled tokens need not be reported.
func (s *Sampler) Observe(tokens ...int) {
	for _, t := range tokens {
		s.seen[t] = true
	}
}

// Sample samples a token from logits.
func (s *Sampler) Sample(logits []float64) (int, error) {
	token, err := s.draw(s.exclude(s.penalize(logits)))
	if err == nil {
		s.Observe(token)
	}
	return token, err
}

// maxRanked is the largest number of tokens that a device ranks for a sampler.
const maxRanked = 128

// looksAt returns how many of the most likely tokens the sampler looks at, 0 for all
// tokens.
func (s *Sampler) looksAt() int {
	switch c := s.cfg; {
	case len(c.Exclude) > 0 || c.RepetitionPenalty != 0 && c.RepetitionPenalty != 1:
		return 0
	case c.Temperature == 0:
		return 1
	default:
		return c.TopK
	}
}

// sampleFrom samples one of the most likely tokens, as many as the sampler looks at
// and in order, as Sample does from all.
func (s *Sampler) sampleFrom(tokens, logits []float64) (int, error) {
	if first := logits[0]; math.IsNaN(first) || math.IsInf(first, 1) {
		return 0, diverged(int(tokens[0]), first)
	}
	s.barred = 0
	k, err := s.draw(logits)
	if err != nil {
		return 0, err
	}
	s.Observe(int(tokens[k]))
	return int(tokens[k]), nil
}

// penalize applies the repetition penalty.
func (s *Sampler) penalize(logits []float64) []float64 {
	if s.cfg.RepetitionPenalty == 0 || s.cfg.RepetitionPenalty == 1 {
		return logits
	}
	s.bent = append(s.bent[:0], logits...)
	for t := range s.seen {
		switch {
		case t < 0 || t >= len(s.bent):
		case s.bent[t] > 0:
			s.bent[t] /= s.cfg.RepetitionPenalty
		default:
			s.bent[t] *= s.cfg.RepetitionPenalty
		}
	}
	return s.bent
}

// exclude makes the excluded tokens impossible.
func (s *Sampler) exclude(logits []float64) []float64 {
	s.barred = 0
	if len(s.cfg.Exclude) == 0 {
		return logits
	}
	s.bent = append(s.bent[:0], logits...)
	for _, t := range s.cfg.Exclude {
		if t < len(s.bent) {
			s.bent[t] = math.Inf(-1)
			s.barred++
		}
	}
	return s.bent
}

// bandOfDraws is how much less likely the tokens are at which the first band of
// the ranking ends, as a logarithm: most draws are before it.
const bandOfDraws = 4

func (s *Sampler) draw(logits []float64) (int, error) {
	first, err := mostLikely(logits)
	if err != nil {
		return 0, err
	}
	if s.barred == len(logits) {
		return 0, errors.Errorf("xlstm: all %d tokens are excluded from sampling; leave at least one", s.barred)
	}
	if s.cfg.Temperature == 0 {
		return first, nil
	}
	s.top = logits[first]
	s.ranking.begin(logits, s.top, bandOfDraws*s.cfg.Temperature)
	total := s.keep(logits)
	u := s.rng.Float64() * total
	for i := range s.kept {
		if u -= s.prob(i); u < 0 {
			return s.ranking.at(i), nil
		}
	}
	return s.ranking.at(s.kept - 1), nil
}

// mostLikely returns the token with the largest logit, of equal ones the first.
func mostLikely(logits []float64) (top int, err error) {
	if len(logits) == 0 {
		return 0, errors.New("xlstm: sampling from no logits")
	}
	most := math.Inf(-1)
	for i, v := range logits {
		switch {
		case v > most:
			if math.IsInf(v, 1) {
				return 0, diverged(i, v)
			}
			top, most = i, v
		case v != v:
			return 0, diverged(i, v)
		}
	}
	return top, nil
}

func diverged(token int, logit float64) error {
	return errors.Errorf("xlstm: the logit of token %d is %v; the model has diverged", token, logit)
}

// weight is the unnormalised probability of a token with such a logit.
func (s *Sampler) weight(logit float64) float64 {
	return math.Exp((logit - s.top) / s.cfg.Temperature)
}

// prob is the unnormalised probability of the token of rank i.
func (s *Sampler) prob(i int) float64 {
	for k := len(s.ranked); k <= i; k++ {
		t := s.ranking.at(k)
		if len(s.all) > 0 {
			s.ranked = append(s.ranked, float64(s.all[t]))
		} else {
			s.ranked = append(s.ranked, s.weight(s.ranking.logits[t]))
		}
	}
	return s.ranked[i]
}

// weighAll sets the unnormalised probabilities of all tokens and returns their sum.
// They have the precision of float32, like the logits of most models.
func (s *Sampler) weighAll(logits []float64) (total float64) {
	s.all = slices.Grow(s.all[:0], len(logits))[:len(logits)]
	scale := min(1/s.cfg.Temperature, math.MaxFloat64) // which leaves the largest logit where it is
	for i, v := range logits {
		s.all[i] = float32((v - s.top) * scale)
	}
	vec.Exp(s.all, s.all)
	all := s.all
	var a, b, c, d float64 // which do not wait for each other
	for ; len(all) >= 4; all = all[4:] {
		a, b, c, d = a+float64(all[0]), b+float64(all[1]), c+float64(all[2]), d+float64(all[3])
	}
	for _, w := range all {
		a += float64(w)
	}
	return a + b + c + d
}

// keep sets how many tokens may be drawn and returns the sum of their
// unnormalised probabilities.
func (s *Sampler) keep(logits []float64) (total float64) {
	s.all, s.ranked = s.all[:0], s.ranked[:0]
	s.kept = len(logits) - s.barred // what is excluded comes last
	if s.cfg.TopK > 0 && s.cfg.TopK < s.kept {
		s.kept = s.cfg.TopK
		for i := range s.kept {
			total += s.prob(i)
		}
	} else {
		total = s.weighAll(logits)
	}
	if s.cfg.TopP == 0 || s.cfg.TopP == 1 {
		return total
	}
	var sum float64
	for i := range s.kept {
		if sum += s.prob(i); sum >= s.cfg.TopP*total {
			s.kept = i + 1
			return sum
		}
	}
	return total
}
