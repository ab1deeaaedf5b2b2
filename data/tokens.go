package data

import (
	"encoding/binary"
	"hash/fnv"
)

// Tokens are the ids of a text, in memory as [IDs] or on disk as a [Cache].
//
// They do not change, and may be read concurrently.
type Tokens interface {
	// Len returns the number of tokens.
	Len() int

	// Read fills ids with the tokens that start at index at. All of them must
	// exist.
	Read(ids []int, at int)

	// Checksum returns a number that distinguishes these tokens from others.
	Checksum() uint64
}

// IDs are tokens in memory.
type IDs []int

// Len returns the number of tokens.
func (t IDs) Len() int { return len(t) }

// Read copies tokens.
func (t IDs) Read(ids []int, at int) { copy(ids, t[at:at+len(ids)]) }

// Checksum returns a checksum of all tokens.
func (t IDs) Checksum() uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a, a word at a time
	sum := uint64(offset)
	for _, token := range t {
		sum = (sum ^ uint64(token)) * prime
	}
	return sum
}

// SplitTokens is like [Split] for tokens that may be on disk.
func SplitTokens(tokens Tokens, valFraction float64, minTokens int) (train, val Tokens, err error) {
	cut, err := splitAt(tokens.Len(), valFraction, minTokens)
	if err != nil {
		return nil, nil, err
	}
	return part(tokens, 0, cut), part(tokens, cut, tokens.Len()), nil
}

// Head returns the first tokens, at most n, as a slice in memory.
func Head(tokens Tokens, n int) []int {
	n = min(n, tokens.Len())
	if ids, ok := tokens.(IDs); ok {
		return ids[:n:n]
	}
	ids := make([]int, n)
	tokens.Read(ids, 0)
	return ids
}

// blockTokens is how many tokens on disk are looked at together.
const blockTokens = 1 << 16

// eachBlock calls see with all tokens from at on, block by block.
func eachBlock(tokens Tokens, at int, see func(ids []int)) {
	if ids, ok := tokens.(IDs); ok {
		see(ids[at:])
		return
	}
	block := make([]int, blockTokens)
	for ; at < tokens.Len(); at += len(block) {
		block = block[:min(len(block), tokens.Len()-at)]
		tokens.Read(block, at)
		see(block)
	}
}

// part returns the tokens from one place to another.
func part(tokens Tokens, from, to int) Tokens {
	if ids, ok := tokens.(IDs); ok {
		return ids[from:to:to] // without the capacity an append would overwrite what follows
	}
	return slice{tokens, from, to}
}

// slice is a part of tokens on disk.
type slice struct {
	tokens   Tokens
	from, to int
}

func (s slice) Len() int { return s.to - s.from }

func (s slice) Read(ids []int, at int) { s.tokens.Read(ids, s.from+at) }

// Checksum is made of that of the whole and the place in it.
func (s slice) Checksum() uint64 {
	h := fnv.New64a()
	for _, n := range []uint64{s.tokens.Checksum(), uint64(s.from), uint64(s.to)} {
		h.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
	return h.Sum64()
}
