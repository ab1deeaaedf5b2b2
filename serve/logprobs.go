package serve

import (
	"math"
	"slices"
)

// infoOf tells of a token that begins at a place in the text: the logarithm of
// its probability, which the model gives it at temperature 1, and those of the
// likeliest tokens.
func infoOf(token, start int, logits []float64, tops int) tokenInfo {
	most := slices.Max(logits)
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(l - most)
	}
	norm := most + math.Log(sum)
	info := tokenInfo{id: token, start: start, logProb: logits[token] - norm}
	for _, t := range likeliest(logits, tops) {
		info.tops = append(info.tops, topToken{t, logits[t] - norm})
	}
	return info
}

// likeliest returns the n tokens with the largest logits, the largest first; of
// equal ones the first.
func likeliest(logits []float64, n int) (top []int) {
	for t, l := range logits {
		if len(top) == n && (n == 0 || l <= logits[top[n-1]]) {
			continue
		}
		at := len(top)
		for at > 0 && logits[top[at-1]] < l {
			at--
		}
		if top = slices.Insert(top, at, t); len(top) > n {
			top = top[:n]
		}
	}
	return top
}
