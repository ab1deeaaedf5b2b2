package xlstm

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/tensor"
)

// divide prepares what an optimiser needs whose state is divided over the ranks: sums
// of gradients that only the rank gets that updates the parameters, the exchange of
// norms, and the copying of the updated parameters to all.
func (r *remoteTrainer) divide(c device.Collective, params []optim.DeviceParam, s *shard) (err error) {
	var values []device.Part
	for _, ranks := range s.buckets {
		var grads []device.Part
		for rank, stretches := range ranks {
			for _, st := range stretches {
				p := params[st.param]
				grads = append(grads, device.Part{Buffer: p.Grad.Slice(st.from, st.size()), Rank: rank})
				values = append(values, device.Part{Buffer: p.Value.Slice(st.from, st.size()), Rank: rank})
			}
		}
		sum, err := c.SumTo(grads, r.weight)
		if err != nil {
			return err
		}
		r.sums = append(r.sums, sum)
	}
	if r.gather, err = c.Gather(values); err != nil {
		return err
	}
	return r.exchangeNorms(c, s)
}

// exchangeNorms prepares the exchange of the norms of the ranks' gradients.
func (r *remoteTrainer) exchangeNorms(c device.Collective, s *shard) error {
	norms, err := r.device.Alloc(r.weight.Dtype(), 2*s.group.Size())
	if err != nil {
		return err
	}
	r.others = &optim.Others{Rank: s.group.Rank(), Norms: norms}
	var parts []device.Part
	for rank := range s.group.Size() {
		parts = append(parts, device.Part{Buffer: norms.Slice(2*rank, 2), Rank: rank})
	}
	r.others.Gather, err = c.Gather(parts)
	return err
}

// deviceParams returns this rank's stretches of parameters, in the order of these.
func (s *shard) deviceParams(params []optim.DeviceParam) (mine []optim.DeviceParam) {
	stretches := s.mine()
	slices.SortFunc(stretches, func(a, b stretch) int { return a.param - b.param })
	for _, st := range stretches {
		p := params[st.param]
		p.Shape, p.Value, p.Grad = tensor.Shape{st.size()}, p.Value.Slice(st.from, st.size()), p.Grad.Slice(st.from, st.size())
		p.Copy = nil // renewed when the values of all ranks are there
		mine = append(mine, p)
	}
	return mine
}
