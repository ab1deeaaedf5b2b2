package xlstm

import "math"

// ranking orders tokens by falling logit, equal ones by number. It sorts no
// further than it is asked to: a draw seldom looks at more than a few of the most
// likely tokens, and most of a large vocabulary need not even be compared with
// each other.
type ranking struct {
	logits []float64
	ranked []int // the most likely tokens, in order
	heap   []int // the others of the current band, each before those at twice its index and one or two
	top    float64
	bands  int     // that there were, with the current one
	floor  float64 // the end of the current band
	depth  float64 // how far below the top the next band ends
}

// Bands of tokens are ordered one after the other, and only the last one is long.
const (
	lastBand   = 3
	bandGrowth = 3 // how many times as far below the top a band ends as the one before it
)

// begin starts again with other logits, of which top is the largest. The first
// band ends span below the top.
func (r *ranking) begin(logits []float64, top, span float64) {
	r.logits, r.ranked, r.heap = logits, r.ranked[:0], r.heap[:0]
	r.top, r.bands, r.floor, r.depth = top, 0, math.Inf(1), span
}

// at returns the token of rank i.
func (r *ranking) at(i int) int {
	for len(r.ranked) <= i {
		for len(r.heap) == 0 && r.bands < lastBand {
			r.descend()
		}
		last := len(r.heap) - 1
		r.ranked = append(r.ranked, r.heap[0])
		r.heap[0] = r.heap[last]
		r.heap = r.heap[:last]
		r.sink(0)
	}
	return r.ranked[i]
}

// descend makes a heap of the next band.
func (r *ranking) descend() {
	above := r.floor
	r.floor, r.depth = r.top-r.depth, bandGrowth*r.depth
	if r.bands++; r.bands == lastBand {
		r.floor = math.Inf(-1)
	}
	for t, l := range r.logits {
		if l < above && l >= r.floor {
			r.heap = append(r.heap, t)
		}
	}
	for i := len(r.heap)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
}

// sink moves the token at index i of the heap behind those that come before it.
func (r *ranking) sink(i int) {
	for {
		first := 2*i + 1
		if first >= len(r.heap) {
			return
		}
		if first+1 < len(r.heap) && r.before(r.heap[first+1], r.heap[first]) {
			first++
		}
		if !r.before(r.heap[first], r.heap[i]) {
			return
		}
		r.heap[i], r.heap[first] = r.heap[first], r.heap[i]
		i = first
	}
}

func (r *ranking) before(a, b int) bool {
	if r.logits[a] != r.logits[b] {
		return r.logits[a] > r.logits[b]
	}
	return a < b
}
