package data

import (
	"iter"
	"math"

	"github.com/pkg/errors"
)

// BigramLoss returns the loss, in nats per token, of predicting each token of
// val from the previous one with the pair counts of train and interpolated
// Kneser-Ney smoothing, one of the best methods for pair counts. A lower loss
// of a model comes from context beyond one token.
//
// Let c(u,w) be the number of times that w follows u in train, and c(u) the
// number of times that any token does; f(u) the number of different tokens that
// follow u, and b(w) the number of different tokens that w follows; P the
// number of different pairs, n1 and n2 the numbers of pairs that occur once and
// twice; V the size of the vocabulary. Then
//
//	D      = (n1 + 1) / (n1 + 2·n2 + 2)
//	q(w)   = (b(w) + 1) / (P + V)
//	p(w|u) = (max(c(u,w) - D, 0) + D·f(u)·q(w)) / c(u)
//
// and p(w|u) = q(w) where c(u) is 0. The discount D is subtracted from the
// count of every pair and distributed according to q, which favours tokens that
// follow many others; the terms 1 in D and q keep both within bounds when
// counts are small.
//
// The loss is the mean of -ln p over the targets val[1:], as in [UnigramLoss],
// and the errors are the same. Memory grows with P and V, not with V².
func BigramLoss(train, val []int, vocab int) (float64, error) {
	if err := checkBaseline(train, val, vocab); err != nil {
		return 0, errors.Wrap(err, "bigram loss")
	}
	m := countBigrams(train, vocab)
	sum := 0.0
	for i, w := range val[1:] {
		sum -= math.Log(m.prob(val[i], w))
	}
	return sum / float64(len(val)-1), nil
}

// BigramLossOn is like [BigramLoss] for the targets of batches that are not
// [Ignore], each predicted from its input, so that a model can be compared on
// the same targets. It returns the mean loss and the number of targets. It also
// returns an error if there are no targets.
func BigramLossOn(train []int, batches iter.Seq[Batch], vocab int) (nats float64, targets int, err error) {
	if err := checkTraining(train, vocab); err != nil {
		return 0, 0, errors.Wrap(err, "bigram loss")
	}
	m := countBigrams(train, vocab)
	for b := range batches {
		if err := checkIDs("input", b.Inputs, vocab); err != nil {
			return 0, 0, errors.Wrap(err, "bigram loss")
		}
		for i, w := range b.Targets {
			if w == Ignore {
				continue
			}
			if err := checkIDs("target", b.Targets[i:i+1], vocab); err != nil {
				return 0, 0, errors.Wrap(err, "bigram loss")
			}
			nats -= math.Log(m.prob(b.Inputs[i], w))
			targets++
		}
	}
	if targets == 0 {
		return 0, 0, errors.New("bigram loss: no batch has a target that counts")
	}
	return nats / float64(targets), targets, nil
}

// pair is a token and the one after it. The limit on the vocabulary lets both
// fit, and keeps the map of pairs small.
type pair struct{ u, w int32 }

// bigrams are the counts that Kneser-Ney smoothing needs.
type bigrams struct {
	pairs    map[pair]int // c(u,w)
	total    []int        // c(u)
	after    []int        // f(u)
	before   []int        // b(w)
	discount float64      // D
}

// countBigrams counts the pairs of train.
func countBigrams(train []int, vocab int) *bigrams {
	m := &bigrams{
		pairs:  make(map[pair]int),
		total:  make([]int, vocab),
		after:  make([]int, vocab),
		before: make([]int, vocab),
	}
	for i, w := range train[1:] {
		m.pairs[pair{int32(train[i]), int32(w)}]++
	}
	once, twice := 0, 0
	for p, n := range m.pairs {
		m.total[p.u] += n
		m.after[p.u]++
		m.before[p.w]++
		switch n {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	m.discount = float64(once+1) / float64(once+2*twice+2)
	return m
}

// prob returns p(w|u).
func (m *bigrams) prob(u, w int) float64 {
	q := float64(m.before[w]+1) / float64(len(m.pairs)+len(m.before))
	if m.total[u] == 0 {
		return q
	}
	seen := max(float64(m.pairs[pair{int32(u), int32(w)}])-m.discount, 0)
	return (seen + m.discount*float64(m.after[u])*q) / float64(m.total[u])
}
