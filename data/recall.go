package data

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/pkg/errors"
)

// Recall is multi-query associative recall, MQAR (Arora et al., "Zoology",
// 2023): a sequence begins with pairs of a key and a value. Afterwards every
// key comes once more, between random tokens, and its value is to be
// predicted. Keys are of the lower half of the vocabulary without id 0, values
// of the upper half; no key and no value occurs in two pairs.
type Recall struct {
	// VocabSize is the number of tokens, Length that of a sequence (the
	// context), Pairs that of pairs.
	VocabSize, Length, Pairs int
	// Power is the exponent a of the power law g^(a−1) by which the places of
	// queries are drawn; 0 means Zoology's 0.01, by which most queries are soon
	// after the pairs, and 1 means evenly.
	Power float64
}

// String identifies the task.
func (r Recall) String() string {
	return fmt.Sprintf("recall of %d pairs in %d tokens of a vocabulary of %d with power %g", r.Pairs, r.Length, r.VocabSize, r.power())
}

func (r Recall) power() float64 { return cmp.Or(r.Power, 0.01) }

// Vocab returns VocabSize.
func (r Recall) Vocab() int { return r.VocabSize }

// Width returns Length.
func (r Recall) Width() int { return r.Length }

// Answers returns the number of values.
func (r Recall) Answers() int { return r.VocabSize - r.VocabSize/2 }

func (r Recall) check() error {
	switch {
	case r.Pairs < 1 || r.VocabSize/2-1 < r.Pairs:
		return errors.Errorf("recall of %d pairs with a vocabulary of %d: there must be at least one pair, and a vocabulary of twice the pairs and 2", r.Pairs, r.VocabSize)
	case r.Length%2 != 0 || r.Length < 4*r.Pairs || r.Length > maxBatchTokens:
		return errors.Errorf("recall of %d pairs in %d tokens: the number of tokens must be even and at least 4 times that of pairs", r.Pairs, r.Length)
	case !(r.Power >= 0 && r.Power <= 10):
		return errors.Errorf("recall with power %g: it must be from 0 to 10", r.Power)
	}
	return nil
}

func (r Recall) draw(src *rand.PCG, inputs, targets []int) {
	half := r.VocabSize / 2
	keys := distinct(src, 1, half-1, r.Pairs)
	values := distinct(src, half, r.VocabSize-half, r.Pairs)
	for i := range inputs {
		inputs[i] = below(src, r.VocabSize)
	}
	for i, key := range keys {
		inputs[2*i], inputs[2*i+1] = key, values[i]
	}
	for i, gap := range r.gaps(src) {
		at := 2 * (r.Pairs + gap)
		inputs[at], targets[at] = keys[i], values[i]
	}
}

// distinct draws k different numbers of the n from first on.
func distinct(src *rand.PCG, first, n, k int) []int {
	taken := make(map[int]bool, k)
	all := make([]int, 0, k)
	for len(all) < k {
		if x := first + below(src, n); !taken[x] {
			taken[x] = true
			all = append(all, x)
		}
	}
	return all
}

// gaps draws the places of the queries, in pairs of tokens behind the pairs:
// different ones, one after the other by their weights. An exponential clock
// for every place, as fast as the place's weight, rings in that order.
func (r Recall) gaps(src *rand.PCG) []int {
	type clock struct {
		rings float64
		gap   int
	}
	clocks := make([]clock, r.Length/2-r.Pairs)
	for g := range clocks {
		clocks[g] = clock{-math.Log(uniform(src)) / math.Pow(float64(g+1), r.power()-1), g}
	}
	slices.SortFunc(clocks, func(a, b clock) int { return cmp.Or(cmp.Compare(a.rings, b.rings), a.gap-b.gap) })
	gaps := make([]int, r.Pairs)
	for i := range gaps {
		gaps[i] = clocks[i].gap
	}
	return gaps
}

// needleValues and needleNoise are how many values and other tokens a [Needle]
// has.
const needleValues, needleNoise = 8, 8

// The tokens of a [Needle]; values follow, and noise.
const (
	needleSet = iota + 1
	needleAsk
	needleFirst
)

// Needle is the recall of one value over a distance: the token 1 sets the value
// that follows it, and after the token 2 the value that was set last is to be
// predicted. All other tokens are noise.
type Needle struct {
	// Length is the number of tokens of a sequence.
	Length int
	// Asked is how many times the value is asked for. The first token sets a
	// value; another is set once, in the middle.
	Asked int
	// At, if it is not nil, has the distances from the value at which it is
	// asked for, in place of Asked random ones; the value is set only once.
	At []int
}

// String identifies the task.
func (n Needle) String() string {
	return fmt.Sprintf("needle in %d tokens, asked for %d times, at %v", n.Length, n.Asked, n.At)
}

// Vocab returns the number of tokens: padding, the two marks, values and noise.
func (n Needle) Vocab() int { return needleFirst + needleValues + needleNoise }

// Width returns Length.
func (n Needle) Width() int { return n.Length }

// Answers returns the number of values.
func (n Needle) Answers() int { return needleValues }

func (n Needle) check() error {
	if n.Length < 16 || n.Length > maxBatchTokens || n.At == nil && (n.Asked < 1 || n.Asked > n.Length/8) {
		return errors.Errorf("%s: it takes at least 16 tokens, and from one question to one for every 8 tokens", n)
	}
	for _, d := range n.At {
		if d < 1 || d > n.Length-2 {
			return errors.Errorf("%s: a value at the start is at most %d tokens away, and at least 1", n, n.Length-2)
		}
	}
	return nil
}

func (n Needle) draw(src *rand.PCG, inputs, targets []int) {
	for i := range inputs {
		inputs[i] = needleFirst + needleValues + below(src, needleNoise)
	}
	values := make([]int, n.Length)
	for _, at := range n.sets(src) {
		inputs[at], inputs[at+1] = needleSet, needleFirst+below(src, needleValues)
		for i := at + 1; i < n.Length; i++ {
			values[i] = inputs[at+1]
		}
	}
	for _, d := range n.At {
		inputs[d+1], targets[d+1] = needleAsk, values[d+1]
	}
	for left := n.Asked; left > 0 && n.At == nil; {
		if at := below(src, n.Length); inputs[at] >= needleFirst+needleValues {
			inputs[at], targets[at] = needleAsk, values[at]
			left--
		}
	}
}

// sets draws where values are set.
func (n Needle) sets(src *rand.PCG) []int {
	if n.At != nil {
		return []int{0}
	}
	return []int{0, between(src, 2, n.Length-2)}
}
