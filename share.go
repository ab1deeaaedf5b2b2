package xlstm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Share makes the parameters of all ranks those of rank 0, which it sends only if they
// differ. Every rank must call it, with a model of the same configuration.
func (m *Model) Share(g dist.Group) error {
	if g.Size() == 1 {
		return nil
	}
	if err := m.Fetch(); err != nil {
		return err
	}
	if equal, err := m.equalOn(g); err != nil || equal {
		return errors.Wrap(err, "xlstm: comparing the parameters of the ranks")
	}
	for _, p := range m.allParams() {
		if err := shareTensor(g, p.Value, 0); err != nil {
			return errors.Wrapf(err, "xlstm: sharing %s", p.Name)
		}
	}
	return m.Push()
}

// equalOn reports whether the parameters of all ranks are equal, by their checksums.
func (m *Model) equalOn(g dist.Group) (bool, error) {
	params := m.allParams()
	sums, errs := make([]byte, len(params)*sha256.Size), make([]error, len(params))
	cores.Run(len(params), func(i int) {
		raw, err := binary.Append(nil, binary.LittleEndian, params[i].Value.Data())
		sum := sha256.Sum256(raw)
		copy(sums[i*sha256.Size:], sum[:])
		errs[i] = err
	})
	for _, err := range errs {
		if err != nil {
			return false, err
		}
	}
	first, err := dist.Share(g, sums, 0)
	if err != nil {
		return false, err
	}
	different := []float64{0}
	if !bytes.Equal(first, sums) {
		different[0] = 1
	}
	err = g.SumAll(different)
	return different[0] == 0, err
}

// shareTensor copies a tensor of rank root to that of the others.
func shareTensor(g dist.Group, t *tensor.Dense, root int) error {
	raw, err := binary.Append(nil, binary.LittleEndian, t.Data())
	if err != nil {
		return err
	}
	if err := g.Broadcast(raw, root); err != nil || g.Rank() == root {
		return err
	}
	return binary.Read(bytes.NewReader(raw), binary.LittleEndian, t.Data())
}
