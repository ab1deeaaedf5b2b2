package run

import (
	"cmp"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// maxPast is how many steps, and how many evaluations, a run keeps in memory for
// its curves: more than their pictures have columns.
const maxPast = 4096

// history is what a run keeps of its log in memory, as much however long the run
// is: every step of it until there are too many, then every second, every fourth
// and so on. What it keeps depends on the records alone, so that a run that was
// resumed draws the same curves.
type history struct {
	steps, evals thinned
	best         *Record // with the lowest held-out loss
	last         *Record
}

// thinned are records at even distances.
type thinned struct {
	every, seen int // one of so many is kept
	kept        []Record
}

func (t *thinned) add(r Record) {
	t.every = max(t.every, 1)
	if t.seen%t.every == 0 {
		t.kept = append(t.kept, r)
	}
	t.seen++
	if len(t.kept) <= maxPast {
		return
	}
	t.every *= 2
	for i := range (len(t.kept) + 1) / 2 {
		t.kept[i] = t.kept[2*i]
	}
	t.kept = t.kept[:(len(t.kept)+1)/2]
}

// add takes the next record.
func (h *history) add(r Record) {
	h.steps.add(r)
	h.last = &r
	if r.Val == nil {
		return
	}
	h.evals.add(r)
	if numbers.Finite(*r.Val) && (h.best == nil || *r.Val < *h.best.Val) {
		h.best = &r
	}
}

// records returns what is kept, by ascending step, the last and the best record
// always among them.
func (h *history) records() []Record {
	all := slices.Concat(h.steps.kept, h.evals.kept)
	for _, r := range []*Record{h.best, h.last} {
		if r != nil {
			all = append(all, *r)
		}
	}
	slices.SortStableFunc(all, func(a, b Record) int { return cmp.Compare(a.Step, b.Step) })
	return slices.CompactFunc(all, func(a, b Record) bool { return a.Step == b.Step })
}
