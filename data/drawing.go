package data

import (
	"math/rand/v2"

	"github.com/pkg/errors"
)

// drawing is the state of a [Batcher] that draws its rows at random.
type drawing struct {
	src       *rand.PCG
	signature string // identifies the batches in a saved state
	what      string // names them in errors
}

// State returns the state of the random generator.
func (d drawing) State() []byte {
	state, err := d.src.AppendBinary([]byte(d.signature))
	if err != nil {
		return nil // it is documented to be nil always
	}
	return state
}

// SetState restores the random generator. It returns the errors described in
// [Batcher].
func (d drawing) SetState(state []byte) error {
	pos, err := position(state, d.signature)
	if err != nil {
		return errors.Wrapf(err, "restore %s", d.what)
	}
	var src rand.PCG
	if err := src.UnmarshalBinary(pos); err != nil {
		return errors.Wrapf(err, "restore %s", d.what)
	}
	*d.src = src
	return nil
}
