package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// State is the state of one recurrent layer, as nodes. A layer uses the fields
// that it has and leaves the others nil. All zero is the state at the start.
type State struct {
	Conv    *gorgonia.Node // (B, K, D): the convolution's last K inputs, newest last
	C, N, M *gorgonia.Node // mLSTM: (B, NH, DH, DH), (B, NH, DH), (B, NH)
	SLSTM   *gorgonia.Node // sLSTM: (4, B, D), the slices y, c, n, m
}

// Nodes returns the nodes that are there, in the order of the fields.
func (s *State) Nodes() (ns gorgonia.Nodes) {
	for _, n := range []*gorgonia.Node{s.Conv, s.C, s.N, s.M, s.SLSTM} {
		if n != nil {
			ns = append(ns, n)
		}
	}
	return ns
}

func (s *State) conv() *gorgonia.Node {
	if s == nil {
		return nil
	}
	return s.Conv
}

func (s *State) slstm() *gorgonia.Node {
	if s == nil {
		return nil
	}
	return s.SLSTM
}

func (s *State) mlstm() *nodes.MLSTMState {
	if s == nil || s.C == nil && s.N == nil && s.M == nil {
		return nil
	}
	return &nodes.MLSTMState{C: s.C, N: s.N, M: s.M}
}

// onlyHas reports a field that a layer does not use.
func (s *State) onlyHas(conv, mlstm, slstm bool) error {
	if s == nil {
		return nil
	}
	for _, f := range []struct {
		name string
		used bool
		node *gorgonia.Node
	}{{"Conv", conv, s.Conv}, {"C", mlstm, s.C}, {"N", mlstm, s.N}, {"M", mlstm, s.M}, {"SLSTM", slstm, s.SLSTM}} {
		if f.node != nil && !f.used {
			return errors.Errorf("layers: the state has %s, which the layer does not; it is of another layer", f.name)
		}
	}
	return nil
}
