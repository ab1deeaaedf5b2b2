package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// halved returns the plan as it is stored on a device that takes operands in
// bfloat16: a value is stored so if the operation that writes it and all that
// read it allow that. Kept values and those in given are not. Operations that
// may read an input in bfloat16 read a new input, its copy, if the input is
// marked as Copied; copies contains the copy of each such input.
func (p *Plan) halved(d device.Device, given []ID) (half *Plan, copies map[ID]ID) {
	if _, ok := d.(device.Halver); !ok {
		return p, nil
	}
	half = &Plan{Values: slices.Clone(p.Values)}
	for _, s := range p.Steps {
		s.In = slices.Clone(s.In)
		half.Steps = append(half.Steps, s)
	}
	copies = make(map[ID]ID)
	allowed := half.allowed(d, copies)
	for id := range allowed {
		v := &half.Values[id]
		if allowed[id] && !v.Input && !v.Kept && !slices.Contains(given, ID(id)) {
			v.Dtype = ops.BFloat16
		}
	}
	return half, copies
}

// allowed returns for each value whether its writer and all its readers allow
// bfloat16, and lets the readers of inputs that have a copy read that.
func (p *Plan) allowed(d device.Device, copies map[ID]ID) []bool {
	allowed := make([]bool, len(p.Values))
	for i, s := range p.Steps {
		h := device.HalfOf(d, s.Op, s.Dtype)
		for k, id := range s.In {
			switch v := p.Values[id]; {
			case !v.Input:
				allowed[id] = allowed[id] && h.Reads(k)
			case v.Copied && h.Reads(k):
				s.In[k] = p.copyOf(id, i, copies)
			}
		}
		for k, id := range s.Out {
			allowed[id] = h.Writes(k)
		}
	}
	return allowed
}

// copyOf returns the copy in bfloat16 of an input that step i reads.
func (p *Plan) copyOf(id ID, i int, copies map[ID]ID) ID {
	c, ok := copies[id]
	if !ok {
		c = p.Input(ops.BFloat16, p.Values[id].Shape)
		copies[id] = c
	}
	p.Values[c].Last = i
	return c
}

// halfOf returns which operands of a step are stored in bfloat16.
func (p *Plan) halfOf(s Step) device.Half {
	mark := func(ids []ID) []bool {
		marks := make([]bool, len(ids))
		for k, id := range ids {
			marks[k] = p.Values[id].Dtype == ops.BFloat16
		}
		return marks
	}
	return device.Half{In: mark(s.In), Out: mark(s.Out)}
}
