package xlstm

// wholeState returns the carried state of the sequences of all ranks, on every
// rank; nil without one.
func (t *Trainer) wholeState() (*State, error) {
	if t.state == nil || t.ranks == nil {
		return t.state, nil
	}
	whole, err := t.model.NewState(t.cfg.Batch)
	if err != nil {
		return nil, err
	}
	for rank := range t.ranks.group.Size() {
		part := t.state.Clone()
		for _, p := range part.tensors {
			if err := shareTensor(t.ranks.group, p.Value, rank); err != nil {
				return nil, err
			}
		}
		if err := part.Push(); err != nil {
			return nil, err
		}
		for i := range part.batch {
			if err := whole.SetText(rank*part.batch+i, part, i); err != nil {
				return nil, err
			}
		}
	}
	return whole, nil
}

// takeState sets the carried state to this rank's sequences of the whole.
func (t *Trainer) takeState(whole *State) error {
	if t.ranks == nil || t.state == nil {
		return nil // the whole is the trainer's own
	}
	if err := whole.Push(); err != nil {
		return err
	}
	for i := range t.state.batch {
		if err := t.state.SetText(i, whole, t.ranks.from+i); err != nil {
			return err
		}
	}
	return nil
}
