package xlstm

import (
	"sync"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// State is the memory of a model for a batch of texts. Its size depends only on
// the model, not on the length of the texts. The state at the start of a text
// is all zeros.
type State struct {
	batch   int
	tensors []layers.Param
	parts   layers.StateParts // what each of the tensors is
	*residence
	failed error             // of a method that returns none; the next run reports it
	late   []*nodes.Sequence // that may be behind with what they write to the tensors
	once   sync.Mutex        // is held while they catch up, which several readers may ask for
	shown  bool              // the tensors to others, for whom they must be up to date after every run
}

// catchUp brings the tensors up to date, for text i alone unless it is negative.
// It comes before anything that reads or writes them.
func (s *State) catchUp(i int) {
	s.once.Lock()
	defer s.once.Unlock()
	for _, l := range s.late {
		l.CatchUp(i)
	}
}

// catchUpExcept does so for a run of machine, which knows what it has not written.
func (s *State) catchUpExcept(machine gorgonia.VM) {
	s.once.Lock()
	defer s.once.Unlock()
	for _, l := range s.late {
		if l != machine {
			l.CatchUp(-1)
		}
	}
}

// NewState returns the initial state of batch texts.
func (m *Model) NewState(batch int) (*State, error) {
	if batch < 1 {
		return nil, errors.Errorf("xlstm: a state for %d texts; it takes at least 1", batch)
	}
	st := &State{batch: batch}
	for i, parts := range m.states {
		for _, p := range parts {
			t := tensor.New(tensor.Of(m.Dtype()), tensor.WithShape(p.ShapeFor(batch)...))
			st.tensors = append(st.tensors, layers.Param{Name: stateName(i) + "." + p.Name, Value: t})
			st.parts = append(st.parts, p)
		}
	}
	return st, st.settle(m.Device())
}

// Batch returns the number of texts.
func (s *State) Batch() int { return s.batch }

// Tensors returns the parts of the state: for block i "block_i.conv" (B, K, D),
// the convolution's last inputs, newest last; for an mLSTM block
// "block_i.mlstm_c" (B, NH, DH, DH), key's index first, with keys scaled by
// 1/√DH, "block_i.mlstm_n" (B, NH, DH) and "block_i.mlstm_m" (B, NH); for an
// sLSTM block "block_i.slstm" (4, B, D), the slices y, c, n, m; for an LSTM block
// or layer i of a plain LSTM "block_i.lstm" (2, B, D), the slices h and c; and for
// a block with the simplified cell "block_i.simplified" (2, B, D), the slices h and
// C. A block of the xLSTM-7B architecture has "block_i.mlstm_c" (B, NH, DQK, DHV)
// with unscaled keys, "block_i.mlstm_n" and "block_i.mlstm_m". The tensors are the
// state's own; for a model on a device, they have the values of the last Fetch.
func (s *State) Tensors() []layers.Param {
	s.catchUp(-1)
	s.shown = true
	return append([]layers.Param(nil), s.tensors...)
}

// Reset sets the state to that at the start of a text.
func (s *State) Reset() {
	s.catchUp(-1)
	for _, t := range s.tensors {
		t.Value.Zero()
	}
	s.zero()
}

// Clone returns a copy that shares no memory with s.
func (s *State) Clone() *State {
	s.catchUp(-1)
	c := &State{batch: s.batch, parts: s.parts}
	for _, t := range s.tensors {
		c.tensors = append(c.tensors, layers.Param{Name: t.Name, Value: t.Value.Clone().(*tensor.Dense)})
	}
	c.settleAs(s)
	return c
}

// stateInputs adds an input node for every part of a state for batch texts and
// returns them block by block.
func (m *Model) stateInputs(g *gorgonia.ExprGraph, batch int) (layers.StackState, error) {
	s := layers.NewScope(g, m.store, batch).Sub("state")
	var states layers.StackState
	for i, parts := range m.states {
		st, err := parts.NewState(s.Sub(stateName(i)))
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	return states, nil
}

// bind binds the state's tensors to the nodes that stateInputs made.
func (s *State) bind(states layers.StackState) error {
	k := 0
	for _, st := range states {
		for _, n := range st.Nodes() {
			if err := gorgonia.Let(n, s.tensors[k].Value); err != nil {
				return err
			}
			k++
		}
	}
	return nil
}

// load copies the state behind the last token of a program's run.
func (s *State) load(p *Program) error {
	if s.residence != nil {
		return s.loadRemote(p)
	}
	if s != p.begin {
		p.begin.catchUp(-1)
	}
	k := 0
	for _, st := range p.out.State {
		for _, n := range st.Nodes() {
			if err := copyFrom(s.tensors[k], n.Value()); err != nil {
				return err
			}
			k++
		}
	}
	return nil
}

// Set copies another state of the same model to s.
func (s *State) Set(other *State) error {
	if other.batch != s.batch || len(other.tensors) != len(s.tensors) {
		return errors.Errorf("xlstm: a state for %d texts and %d parts does not fit one for %d and %d", other.batch, len(other.tensors), s.batch, len(s.tensors))
	}
	if s.residence != nil || other.residence != nil {
		return s.copyRemote(other)
	}
	if s == other {
		return nil
	}
	s.catchUp(-1)
	other.catchUp(-1)
	for i, t := range s.tensors {
		if err := copyFrom(t, other.tensors[i].Value); err != nil {
			return err
		}
	}
	return nil
}

// SetText copies text j of another state of the same model to text i of s.
func (s *State) SetText(i int, from *State, j int) error {
	if i < 0 || i >= s.batch || j < 0 || j >= from.batch {
		return errors.Errorf("xlstm: text %d of a state for %d cannot become text %d of a state for %d", i, s.batch, j, from.batch)
	}
	if len(from.tensors) != len(s.tensors) {
		return errors.Errorf("xlstm: a state of %d parts does not fit one of %d", len(from.tensors), len(s.tensors))
	}
	for _, st := range []*State{s, from} {
		if err := st.Fetch(); err != nil {
			return err
		}
	}
	s.catchUp(i)
	from.catchUp(j)
	for k, t := range s.tensors {
		other := from.tensors[k].Value
		if !copyText(floats.Of(t.Value.Data()), floats.Of(other.Data()), s.slices(k), s.batch, i, from.batch, j) {
			return errors.Errorf("xlstm: the state's %s, %v of %v, does not fit %v of %v", t.Name, t.Value.Dtype(), t.Value.Shape(), other.Dtype(), other.Shape())
		}
	}
	return s.Push()
}

// slices returns how many slices of all texts part k has: as many as the axes
// before the batch's make.
func (s *State) slices(k int) int {
	n := 1
	for _, d := range s.parts[k].Shape[:s.parts[k].BatchAxis] {
		n *= d
	}
	return n
}

// copyText copies text j of a part with slices × batch texts over text i of
// another. It reports whether the sizes and types agree.
func copyText(to, from floats.Slice, slices, toBatch, i, fromBatch, j int) bool {
	n := to.Len() / (slices * toBatch)
	if from.Len() != n*slices*fromBatch {
		return false
	}
	for k := range slices {
		a, b := (k*toBatch+i)*n, (k*fromBatch+j)*n
		if !to.Cut(a, a+n).Copy(from.Cut(b, b+n)) {
			return false
		}
	}
	return true
}

// copyFrom copies the elements of v, which lie in row-major order.
func copyFrom(dst layers.Param, v gorgonia.Value) error {
	if v == gorgonia.Value(dst.Value) {
		return nil
	}
	if v != nil && floats.Of(dst.Value.Data()).Copy(floats.Of(v.Data())) {
		return nil
	}
	return errors.Errorf("xlstm: the state's %s does not fit shape %v of %v", dst.Name, dst.Value.Shape(), dst.Value.Dtype())
}
