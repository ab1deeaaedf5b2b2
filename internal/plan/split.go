package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// split finds results that the device can store split, with the twins that they have: those
// that every reader takes so. The twin is needed as long as the result then.
func (l *Layout) split(given []ID) {
	d, ok := l.Device.(device.Splitter)
	if !ok {
		return
	}
	r := &rewriter{Plan: l.Plan, given: given}
	r.index()
	for _, s := range r.Steps {
		if _, out := d.Splits(s.Op); !out || !r.hidden(s.Out[0]) {
			continue
		}
		id, twin := s.Out[0], s.Out[len(s.Out)-1]
		whole := slices.ContainsFunc(r.readers[id], func(j int) bool { return !r.readsSplit(d, j, id) })
		if v := &r.Values[twin]; !whole && v.Dtype == ops.BFloat16 && r.Values[id].Dtype == ops.Float32 {
			l.twins[id] = twin
			v.Last = max(v.Last, r.Values[id].Last)
		}
	}
}

// readsSplit reports whether step j can read a value split wherever it reads it.
func (r *rewriter) readsSplit(d device.Splitter, j int, id ID) bool {
	in := r.Steps[j].In
	k, _ := d.Splits(r.Steps[j].Op)
	return k >= 0 && in[k] == id && slices.Index(in, id) == k && !slices.Contains(in[k+1:], id)
}

// elements returns the number of elements that a value takes in its arena: of one that is
// split, its rests.
func (l *Layout) elements(id ID) int {
	v := l.Plan.Values[id]
	if _, ok := l.twins[id]; ok {
		v.Dtype = ops.BFloat16
	}
	return elements(v)
}
