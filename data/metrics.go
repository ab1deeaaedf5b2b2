package data

import "math"

// Perplexity returns the perplexity of a loss in nats per token: the number of
// equally likely tokens that would give the same loss.
func Perplexity(nats float64) float64 { return math.Exp(nats) }

// BitsPerToken converts a loss in nats per token to bits per token.
func BitsPerToken(nats float64) float64 { return nats / math.Ln2 }

// BitsPerChar returns bits per character from totalNats, the loss in nats
// summed over all targets, and the number of characters (Unicode code points)
// in the text of these targets. It returns NaN if chars is not positive.
//
// Unlike a loss per token, the result can be compared between tokenizers. It
// favours a tokenizer that replaces rare characters by an unknown character,
// which is easier to predict than the characters that it replaces.
func BitsPerChar(totalNats float64, chars int) float64 { return bitsPer(totalNats, chars) }

// BitsPerByte returns bits per byte from totalNats, the loss in nats summed
// over all targets, and the number of bytes in the text of these targets as
// UTF-8. It returns NaN if bytes is not positive. Like [BitsPerChar], the
// result can be compared between tokenizers.
func BitsPerByte(totalNats float64, bytes int) float64 { return bitsPer(totalNats, bytes) }

// bitsPer returns the bits for each of n units.
func bitsPer(totalNats float64, n int) float64 {
	if n <= 0 {
		return math.NaN()
	}
	return totalNats / math.Ln2 / float64(n)
}
