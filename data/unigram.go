package data

import (
	"math"

	"github.com/pkg/errors"
)

// maxVocab limits the vocabulary of the baselines, which keep a few numbers for
// each id.
const maxVocab = 1 << 24

// UnigramLoss returns the loss, in nats per token, of predicting each token of
// val by its frequency in train. With c(w) the count of w in train, N the
// length of train and V the size of the vocabulary,
//
//	p(w) = (c(w) + 1) / (N + V)
//
// The loss is the mean of -ln p over the targets val[1:], the same targets as
// those of [Windows]. UnigramLoss returns an error if train is empty, if val
// has fewer than 2 tokens, or if an id is not between 0 and vocab-1.
func UnigramLoss(train, val []int, vocab int) (float64, error) {
	if err := checkBaseline(train, val, vocab); err != nil {
		return 0, errors.Wrap(err, "unigram loss")
	}
	counts := make([]int, vocab)
	for _, w := range train {
		counts[w]++
	}
	sum := 0.0
	for _, w := range val[1:] {
		sum -= math.Log(float64(counts[w]+1) / float64(len(train)+vocab))
	}
	return sum / float64(len(val)-1), nil
}

// checkBaseline returns an error when the arguments of a baseline are bad.
func checkBaseline(train, val []int, vocab int) error {
	if len(train) < 1 || len(val) < 2 {
		return errors.Errorf("%d tokens to train on and %d to validate on: at least 1 and 2 are needed", len(train), len(val))
	}
	if err := checkTraining(train, vocab); err != nil {
		return err
	}
	return checkIDs("validation token", val, vocab)
}

// checkTraining returns an error when there is nothing to count or no room for it.
func checkTraining(train []int, vocab int) error {
	if vocab < 1 || vocab > maxVocab {
		return errors.Errorf("a vocabulary of %d ids: it must have 1 to %d", vocab, maxVocab)
	}
	if len(train) < 1 {
		return errors.New("0 tokens to train on: at least 1 is needed")
	}
	return checkIDs("training token", train, vocab)
}

// checkIDs returns an error when an id is outside the vocabulary.
func checkIDs(name string, ids []int, vocab int) error {
	for i, id := range ids {
		if id < 0 || id >= vocab {
			return errors.Errorf("%s %d has id %d, outside the vocabulary of %d: encode the text with the tokenizer the size is from", name, i, id, vocab)
		}
	}
	return nil
}
