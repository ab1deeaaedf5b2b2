package xlstm

import (
	"runtime"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
)

// settle gives the state its place on a device, nil for none, and copies it. The
// memory there is released when s is garbage, which s may become within the last
// method that is called: those that hand the memory to the device keep s, and the
// other states whose memory it is, until the device has been asked.
func (s *State) settle(d Device) (err error) {
	if s.residence, err = reside(d, s.tensors); s.residence == nil {
		return err
	}
	for _, b := range s.buffers {
		runtime.AddCleanup(s, func(b nodes.Buffer) { d.Free(b) }, b)
	}
	return err
}

// settleAs makes s, a copy of the tensors of other, a copy on its device too.
func (s *State) settleAs(other *State) {
	if other.residence == nil {
		return
	}
	err := other.failed
	if err == nil {
		err = s.settle(other.device)
	}
	if err == nil {
		err = s.copyRemote(other)
	}
	s.failed = err
}

// Fetch copies the state from its model's device to the tensors that Tensors
// returns. Without a device it does nothing.
func (s *State) Fetch() error {
	defer runtime.KeepAlive(s)
	return s.residence.fetch()
}

// Push copies the state from the tensors that Tensors returns to its model's
// device. It is needed after writing to these tensors. Without a device it does
// nothing.
func (s *State) Push() error {
	defer runtime.KeepAlive(s)
	return s.residence.push()
}

// zero clears the state on its device.
func (s *State) zero() {
	if s.residence == nil {
		return
	}
	defer runtime.KeepAlive(s)
	for _, b := range s.buffers {
		if err := s.device.Zero(b); err != nil {
			s.failed = errors.Wrap(err, "xlstm: clearing a state")
		}
	}
}

// copyRemote is Set where one of the two is on a device; the other then must be on
// the same.
func (s *State) copyRemote(other *State) error {
	if s.residence == nil || other.residence == nil || s.device != other.device {
		return errors.New("xlstm: a state on one device cannot become a state on another; let both be of the same model")
	}
	if other.failed != nil {
		return other.failed
	}
	defer runtime.KeepAlive(s)
	defer runtime.KeepAlive(other)
	for k, b := range s.buffers {
		if s == other {
			break
		}
		if err := s.device.Copy(b, other.buffers[k]); err != nil {
			return errors.Wrapf(err, "xlstm: copying the state's %s", s.tensors[k].Name)
		}
	}
	return s.failed
}

// loadRemote copies the state behind the last token of a program's run.
func (s *State) loadRemote(p *Program) error {
	if s.failed != nil {
		return s.failed
	}
	defer runtime.KeepAlive(s)
	defer runtime.KeepAlive(p) // the results may be in the state that its runs begin from
	k := 0
	for _, st := range p.out.State {
		for _, n := range st.Nodes() {
			if from := p.remote.Buffer(n); from != s.buffers[k] {
				if err := s.device.Copy(s.buffers[k], from); err != nil {
					return errors.Wrapf(err, "xlstm: copying the state's %s", s.tensors[k].Name)
				}
			}
			k++
		}
	}
	return s.failed
}
