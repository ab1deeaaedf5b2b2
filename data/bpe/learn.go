package bpe

import (
	"container/heap"
	"context"
	"slices"
)

// learner merges the most frequent pair of tokens in all words, one after the
// other. A merge touches only the words that have the pair, and the counts of
// the pairs next to it.
type learner struct {
	ids   map[string]uint32 // by spelling
	names []string
	rules [][2]uint32

	words  [][]uint32 // the different words as tokens
	counts []int64    // how often each occurs

	pairs   map[[2]uint32]*pairState
	touched []*pairState // those with new places
	queue   pairQueue
}

// pairState is what is known of a pair.
type pairState struct {
	pair   [2]uint32
	count  int64
	places []int32 // words that have it since the last merge, ascending
}

// pairEntry is a pair in the queue, with the words in which it was found when
// it was put there. A pair that is found in other words later has several.
type pairEntry struct {
	state  *pairState
	count  int64 // of the state when it was put there
	order  int   // of being put there
	places []int32
}

// newLearner makes the vocabulary of special tokens and bytes, and counts the
// pairs of bytes.
func newLearner(special []string, words []wordCount) *learner {
	l := &learner{ids: map[string]uint32{}, pairs: map[[2]uint32]*pairState{}}
	for _, name := range special {
		l.token(name)
	}
	alphabet := charOfByte
	slices.Sort(alphabet[:])
	for _, r := range alphabet {
		l.token(string(r))
	}
	var bytes [256]uint32
	for b, r := range charOfByte {
		bytes[b] = l.ids[string(r)]
	}
	for i, w := range words {
		ids := make([]uint32, len(w.word))
		for j := range ids {
			ids[j] = bytes[w.word[j]]
		}
		l.words = append(l.words, ids)
		l.counts = append(l.counts, w.count)
		for j := 1; j < len(ids); j++ {
			l.change(ids[j-1], ids[j], int32(i), 1)
		}
	}
	l.enqueue()
	return l
}

// token returns the id of a spelling. Two pairs can have the same one.
func (l *learner) token(name string) uint32 {
	id, ok := l.ids[name]
	if !ok {
		id = uint32(len(l.names))
		l.ids[name] = id
		l.names = append(l.names, name)
	}
	return id
}

// learn adds tokens until there are enough or no pair is frequent enough.
func (l *learner) learn(ctx context.Context, config TrainConfig) error {
	for len(l.names) < config.VocabSize && len(l.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		top := l.queue[0]
		if top.count != top.state.count {
			// Merges of other pairs have taken some of it.
			top.count = top.state.count
			heap.Fix(&l.queue, 0)
			continue
		}
		if top.count < max(1, int64(config.MinFrequency)) {
			return nil
		}
		heap.Pop(&l.queue)
		before := len(l.names)
		l.merge(top)
		if config.Progress != nil && len(l.names) > before {
			config.Progress(len(l.names), config.VocabSize)
		}
	}
	return nil
}

// merge makes the pair of an entry a token in the words of the entry.
//
// The count of the pair stays as it is. If merges bring the pair about once more
// later, it thus comes before what is less frequent, and its rule moves to that
// place of the list. The library does so, and its vocabularies depend on it.
func (l *learner) merge(top *pairEntry) {
	a, b := top.state.pair[0], top.state.pair[1]
	id := l.token(l.names[a] + l.names[b])
	l.rules = append(l.rules, [2]uint32{a, b})
	for _, place := range top.places {
		l.mergeWord(place, a, b, id)
	}
	l.enqueue()
}

// mergeWord puts id in place of each a and b in a word.
func (l *learner) mergeWord(place int32, a, b, id uint32) {
	word := l.words[place]
	kept := word[:0]
	for i := 0; i < len(word); i++ {
		if word[i] != a || i+1 == len(word) || word[i+1] != b {
			kept = append(kept, word[i])
			continue
		}
		if len(kept) > 0 {
			left := kept[len(kept)-1]
			l.change(left, a, place, -1)
			l.change(left, id, place, 1)
		}
		kept = append(kept, id)
		i++
		if i+1 < len(word) {
			l.change(b, word[i+1], place, -1)
			l.change(id, word[i+1], place, 1)
		}
	}
	l.words[place] = kept
}

// change notes that a word has a pair once more, or once less.
func (l *learner) change(a, b uint32, place int32, by int64) {
	pair := [2]uint32{a, b}
	state := l.pairs[pair]
	if state == nil {
		state = &pairState{pair: pair}
		l.pairs[pair] = state
	}
	state.count += by * l.counts[place]
	if by < 0 {
		return
	}
	n := len(state.places)
	if n == 0 {
		l.touched = append(l.touched, state)
	}
	if n == 0 || state.places[n-1] != place {
		state.places = append(state.places, place)
	}
}

// enqueue puts the pairs with new places into the queue.
func (l *learner) enqueue() {
	for _, state := range l.touched {
		if state.count > 0 {
			heap.Push(&l.queue, &pairEntry{state: state, count: state.count, order: len(l.rules), places: state.places})
		}
		state.places = nil
	}
	l.touched = l.touched[:0]
}

// pairQueue is a heap of pairs: the most frequent first, then the smallest ids,
// then the one that was put there first.
type pairQueue []*pairEntry

func (q pairQueue) Len() int { return len(q) }

func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.count != b.count {
		return a.count > b.count
	}
	if c := slices.Compare(a.state.pair[:], b.state.pair[:]); c != 0 {
		return c < 0
	}
	return a.order < b.order
}

func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *pairQueue) Push(entry any) { *q = append(*q, entry.(*pairEntry)) }

func (q *pairQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
