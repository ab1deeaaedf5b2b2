package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// State is the state of one recurrent layer, as nodes. A layer uses the fields
// that apply to it and leaves the others nil. The initial state is all zeros.
type State struct {
	Conv    *gorgonia.Node // (B, K, D): the convolution's last K inputs, newest last
	C, N, M *gorgonia.Node // mLSTM: (B, NH, DQK, DHV), (B, NH, DQK), (B, NH)
	SLSTM   *gorgonia.Node // sLSTM: (4, B, D), the slices y, c, n, m
	LSTM    *gorgonia.Node // classic LSTM: (2, B, D), the slices h and c
	// Simplified is that of the simplified cell: (2, B, D), the slices h and C.
	Simplified *gorgonia.Node
}

// The names of the parts of a state.
const (
	convPart   = "conv"
	mlstmCPart = "mlstm_c"
	mlstmNPart = "mlstm_n"
	mlstmMPart = "mlstm_m"
	slstmPart  = "slstm"
	lstmPart   = "lstm"

	simplifiedPart = "simplified"
)

// stateFields are the fields of a State by the names of their parts.
var stateFields = []struct {
	part string
	of   func(*State) **gorgonia.Node
}{
	{convPart, func(s *State) **gorgonia.Node { return &s.Conv }},
	{mlstmCPart, func(s *State) **gorgonia.Node { return &s.C }},
	{mlstmNPart, func(s *State) **gorgonia.Node { return &s.N }},
	{mlstmMPart, func(s *State) **gorgonia.Node { return &s.M }},
	{slstmPart, func(s *State) **gorgonia.Node { return &s.SLSTM }},
	{lstmPart, func(s *State) **gorgonia.Node { return &s.LSTM }},
	{simplifiedPart, func(s *State) **gorgonia.Node { return &s.Simplified }},
}

// Nodes returns the nodes that are not nil, in the order of the fields.
func (s *State) Nodes() (ns gorgonia.Nodes) {
	for _, f := range stateFields {
		if n := *f.of(s); n != nil {
			ns = append(ns, n)
		}
	}
	return ns
}

// Reset sets the state to that at the start of a sequence: it binds zeros to
// the nodes, which must be inputs, such as those of NewState.
func (s *State) Reset() error {
	for _, n := range s.Nodes() {
		if v, ok := n.Value().(*tensor.Dense); ok {
			v.Zero()
			continue
		}
		if err := gorgonia.Let(n, tensor.New(tensor.Of(n.Dtype()), tensor.WithShape(n.Shape()...))); err != nil {
			return errors.Wrapf(err, "layers: the state's %s", n.Name())
		}
	}
	return nil
}

// Set copies the values of another state, after a run of its graph, into s, whose
// nodes must be inputs that have values. The next run then continues the sequences
// where that run ended.
func (s *State) Set(end *State) error {
	from, to := end.Nodes(), s.Nodes()
	if len(from) != len(to) {
		return errors.Errorf("layers: a state of %d parts does not fit one of %d", len(from), len(to))
	}
	for i, n := range to {
		dst, ok := n.Value().(*tensor.Dense)
		src, ran := from[i].Value().(*tensor.Dense)
		if !ok || !ran {
			return errors.Errorf("layers: the state's %s has no value; Reset it before the first run, and Set it after a run", n.Name())
		}
		if !dst.Shape().Eq(src.Shape()) || dst.Dtype() != src.Dtype() {
			return errors.Errorf("layers: the state's %s, %v of %v, does not fit %v of %v", n.Name(), dst.Dtype(), dst.Shape(), src.Dtype(), src.Shape())
		}
		if err := tensor.Copy(dst, src); err != nil {
			return errors.Wrapf(err, "layers: the state's %s", n.Name())
		}
	}
	return nil
}

// StateParts are the parts of the state of a layer, in the order of the fields of
// State.
type StateParts []StatePart

// NewState adds inputs for an initial state to a graph, with the names of the
// parts. They have no values yet; see State.Reset.
func (ps StateParts) NewState(s Scope) (*State, error) {
	st := &State{}
	for _, p := range ps {
		n, err := s.Input(p.Name, p.ShapeFor(s.batch)...)
		if err != nil {
			return nil, err
		}
		*st.field(p.Name) = n
	}
	return st, nil
}

// field returns the field of that part, nil if there is none.
func (s *State) field(part string) **gorgonia.Node {
	for _, f := range stateFields {
		if f.part == part {
			return f.of(s)
		}
	}
	return nil
}

// check reports a field that a layer does not use. s may be nil.
func (ps StateParts) check(s *State) error {
	if s == nil {
		return nil
	}
	used := make(map[string]bool)
	for _, p := range ps {
		used[p.Name] = true
	}
	for _, f := range stateFields {
		if *f.of(s) != nil && !used[f.part] {
			return errors.Errorf("layers: the state has %s, which the layer does not; it is of another layer", f.part)
		}
	}
	return nil
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

func (s *State) lstm() *gorgonia.Node {
	if s == nil {
		return nil
	}
	return s.LSTM
}

func (s *State) simplified() *gorgonia.Node {
	if s == nil {
		return nil
	}
	return s.Simplified
}

func (s *State) mlstm() *nodes.MLSTMState {
	if s == nil || s.C == nil && s.N == nil && s.M == nil {
		return nil
	}
	return &nodes.MLSTMState{C: s.C, N: s.N, M: s.M}
}
