package data

import (
	"math"
	"math/rand/v2"
	"strings"
)

// Separator separates two documents in [Corpus.Text]. It is the ASCII record
// separator, a character that does not normally occur in text: a model learns
// to end a document with it, and a prompt that ends with it asks for a new
// document.
const Separator = "\x1e"

// DefaultMaxBytes is the default limit on the size of a corpus: 256 MiB. Tokens
// are ints, so that an encoded corpus takes up to eight times as much memory as
// its text.
const DefaultMaxBytes = 256 << 20

// Document is one text of a corpus.
type Document struct {
	Name string // the path of its file, with slashes
	Text string // valid UTF-8, not empty
}

// Corpus is a collection of documents in a fixed order.
type Corpus struct {
	Source    string     // where the documents came from
	Documents []Document // at least one
	Skipped   []Skipped  // files that were found but skipped
}

// Skipped is a file that was found but skipped.
type Skipped struct {
	Name   string // its path, with slashes
	Reason string // empty, binary, not UTF-8, generated, or numbers
}

// Text returns the documents in order, separated by [Separator].
func (c *Corpus) Text() string {
	var b strings.Builder
	for i, d := range c.Documents {
		if i > 0 {
			b.WriteString(Separator)
		}
		b.WriteString(d.Text)
	}
	return b.String()
}

// Shuffle puts the documents into a random order that depends only on the
// previous order and the seed, so that the end of the text, which [Split] holds
// out, is representative of the whole.
func (c *Corpus) Shuffle(seed uint64) {
	shuffle(c.Documents, seed)
}

// shuffle permutes s by the method of Fisher and Yates.
func shuffle[T any](s []T, seed uint64) {
	src := newSource(seed)
	for i := len(s) - 1; i > 0; i-- {
		j := below(src, i+1)
		s[i], s[j] = s[j], s[i]
	}
}

// textLimit returns the limit in bytes that a maxBytes argument stands for.
func textLimit(maxBytes int) int {
	if maxBytes <= 0 {
		return DefaultMaxBytes
	}
	return min(maxBytes, math.MaxInt-1) // one more must not overflow
}

// newSource returns the generator of a seed.
func newSource(seed uint64) *rand.PCG {
	// The second word selects one of the generator's sequences; any constant does.
	return rand.NewPCG(seed, 0x9e3779b97f4a7c15)
}
