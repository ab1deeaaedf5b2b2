package layers

import "gorgonia.org/tensor"

// NewBareStore returns an empty store whose parameters are made without being
// initialised, all zero, for whoever sets them at once: it takes neither the time
// nor the memory that drawing them would.
func NewBareStore(dtype tensor.Dtype) (*Store, error) {
	s, err := NewStore(dtype, 0)
	if err != nil {
		return nil, err
	}
	s.bare = true
	return s, nil
}
