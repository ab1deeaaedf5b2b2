package nodes

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// boundInput is an input of the graph as operand number at, and where its
// elements lay when they were last looked up.
type boundInput struct {
	at      int
	node    *gorgonia.Node
	dense   *tensor.Dense // nil if they must be looked up in every run
	address uintptr
	size    uintptr
}

// remember keeps in mind where the elements of v lie. Scalars and tensors whose
// elements are not in row-major order were copied, and are to be copied again.
func (b *boundInput) remember(v gorgonia.Value) {
	if b.dense = nil; !inPlace(v) {
		return
	}
	b.dense = v.(*tensor.Dense)
	b.address, b.size = b.dense.Uintptr(), b.dense.MemSize()
}

// lies says whether the elements of v are those that were last looked up.
func (b *boundInput) lies(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && d == b.dense && inPlace(d) && d.Uintptr() == b.address && d.MemSize() == b.size
}

// inPlace says whether operandOf returns the memory of v itself.
func inPlace(v gorgonia.Value) bool {
	d, ok := v.(*tensor.Dense)
	return ok && !d.IsScalar() && !d.RequiresIterator() && !d.DataOrder().IsColMajor()
}
