package data

import (
	"math"

	"github.com/pkg/errors"
)

// Split divides tokens into a training part and, after it, a validation part
// with the fraction valFraction of all tokens, rounded to a whole number. Both
// share memory with tokens.
//
// It returns an error if valFraction is not between 0 and 1, or if a part has
// fewer than minTokens tokens. One window of T targets needs T+1 tokens.
func Split(tokens []int, valFraction float64, minTokens int) (train, val []int, err error) {
	cut, err := splitAt(len(tokens), valFraction, minTokens)
	if err != nil {
		return nil, nil, err
	}
	// Without the capacity an append to train would overwrite val.
	return tokens[:cut:cut], tokens[cut:], nil
}

// splitAt returns where n tokens are divided.
func splitAt(n int, valFraction float64, minTokens int) (int, error) {
	if !(valFraction > 0 && valFraction < 1) { // written so that NaN fails
		return 0, errors.Errorf("validation fraction %v: it must be more than 0 and less than 1", valFraction)
	}
	held := int(math.Round(valFraction * float64(n)))
	cut := n - held
	if cut < minTokens || held < minTokens {
		return 0, errors.Errorf("%d tokens make %d to train on and %d to validate on, but each part needs %d: use more text, shorter windows or another validation fraction",
			n, cut, held, minTokens)
	}
	return cut, nil
}
