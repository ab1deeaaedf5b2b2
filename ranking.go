package xlstm

// ranking orders tokens by falling logit, equal ones by number. It sorts no
// further than it is asked to: a draw seldom looks at more than a few of the most
// likely tokens.
type ranking struct {
	logits []float64
	ranked []int // the most likely tokens, in order
	heap   []int // the others, each before those at twice its index and one or two
}

// begin starts again with other logits.
func (r *ranking) begin(logits []float64) {
	r.logits, r.ranked, r.heap = logits, r.ranked[:0], r.heap[:0]
	for t := range logits {
		r.heap = append(r.heap, t)
	}
	for i := len(r.heap)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
}

// at returns the token of rank i.
func (r *ranking) at(i int) int {
	for len(r.ranked) <= i {
		last := len(r.heap) - 1
		r.ranked = append(r.ranked, r.heap[0])
		r.heap[0] = r.heap[last]
		r.heap = r.heap[:last]
		r.sink(0)
	}
	return r.ranked[i]
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
