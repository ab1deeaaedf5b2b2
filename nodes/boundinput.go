package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// boundInput is an input of a sequence, and where its elements lay when they were
// last looked up.
type boundInput struct {
	node    *gorgonia.Node
	buffer  device.Buffer
	copies  gorgonia.Nodes // nodes that are this input under another name
	dense   *tensor.Dense  // nil if they must be looked up in every run
	address uintptr
	size    uintptr
}

// name adds a node that has the input's value.
func (b *boundInput) name(n *gorgonia.Node) {
	if n != b.node {
		b.copies = append(b.copies, n)
	}
}

// load finds the elements, unless the value is still in the same memory.
// Scalars and tensors whose elements are not in row-major order are copied in
// every run.
func (b *boundInput) load() error {
	v := b.node.Value()
	if v == nil {
		return errors.Errorf("nodes: the input %s has no value; bind one with gorgonia.Let", b.node.Name())
	}
	if b.lies(v) {
		return nil
	}
	if err := cpu.Rebind(b.buffer, elements(v)); err != nil {
		return errors.Wrapf(err, "nodes: input %s", b.node.Name())
	}
	if b.dense = nil; inPlace(v) {
		b.dense = v.(*tensor.Dense)
		b.address, b.size = b.dense.Uintptr(), b.dense.MemSize()
	}
	for _, n := range b.copies {
		if err := bindResult(n, v); err != nil {
			return err
		}
	}
	return nil
}

// lies reports whether the elements of v are those that were last looked up.
func (b *boundInput) lies(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && d == b.dense && inPlace(d) && d.Uintptr() == b.address && d.MemSize() == b.size
}

// inPlace reports whether elements returns the memory of v itself.
func inPlace(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && !d.IsScalar() && !d.RequiresIterator() && !d.DataOrder().IsColMajor()
}
