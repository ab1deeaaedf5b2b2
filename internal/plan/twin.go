package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// twins gives results that must be stored in float32 a twin in bfloat16, if the device
// has that, for the readers that take it so: the float32 need then not be kept for them,
// nor rounded by each.
func (r *rewriter) twins(d device.Device) {
	if _, ok := d.(device.Halver); !ok {
		return
	}
	r.index()
	for i := range r.Steps {
		s := &r.Steps[i]
		if len(s.Out) == 0 || !r.hidden(s.Out[0]) {
			continue
		}
		both, readers := ops.Twin{Op: s.Op}, r.halfReaders(d, s.Out[0])
		alone := len(readers) == len(r.readers[s.Out[0]]) && device.HalfOf(d, s.Op, s.Dtype).Writes(0)
		if len(readers) == 0 || alone || !r.fuser.Fuses(both) {
			continue
		}
		twin := ID(len(r.Values))
		r.Values = append(r.Values, r.Values[s.Out[0]])
		for _, j := range readers {
			in := slices.Clone(r.Steps[j].In)
			in[slices.Index(in, s.Out[0])] = twin
			r.Steps[j].In = in
		}
		s.Op, s.Out = both, append(slices.Clone(s.Out), twin)
		r.index()
	}
}

// halfReaders returns the steps that read a value once and may read it in bfloat16.
func (r *rewriter) halfReaders(d device.Device, id ID) (half []int) {
	for _, j := range r.readers[id] {
		s := r.Steps[j]
		k := slices.Index(s.In, id)
		if !slices.Contains(s.In[k+1:], id) && device.HalfOf(d, s.Op, s.Dtype).Reads(k) {
			half = append(half, j)
		}
	}
	return half
}
