package layers

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TensorShape is the name and the shape of a tensor.
type TensorShape struct {
	Name  string
	Shape []int
	// Packable means that the tensor is a weight that can be held in a packed
	// format: that of a linear map or an embedding, of a width that is a multiple
	// of nodes.Group.
	Packable bool
}

// Size returns the number of elements.
func (t TensorShape) Size() int64 { return elements(t.Shape) }

// elements returns the number of elements of a shape.
func elements(shape []int) int64 {
	n := int64(1)
	for _, s := range shape {
		n *= int64(s)
	}
	return n
}

// StatePart is a tensor of a recurrent layer's state.
type StatePart struct {
	// Name is conv, mlstm_c, mlstm_n, mlstm_m, slstm, lstm or
	// simplified, corresponding to the fields of State in order.
	Name string
	// Shape is the shape for one sequence, without an axis for the batch.
	Shape []int
	// BatchAxis is the index of the batch axis.
	BatchAxis int
}

// Size returns the number of elements for one sequence.
func (p StatePart) Size() int64 { return elements(p.Shape) }

// ShapeFor returns the shape for a batch of sequences.
func (p StatePart) ShapeFor(batch int) []int {
	return slices.Insert(slices.Clone(p.Shape), p.BatchAxis, batch)
}

// Part is a part of a layer: its parameters, its state and its arithmetic.
// Layers record their parts when they are created in a scope that Describe
// returned.
type Part struct {
	// Name describes the part, such as "up projection".
	Name string
	// Params are the parameters with their full names.
	Params []TensorShape
	// State is carried from step to step.
	State    []StatePart
	products []product
}

// product is an operation of the forward pass over steps of one sequence, and its
// derivative. Products of matrices and convolutions count.
type product func(steps int, cells CellConfig) (op, grad ops.Op)

// MulAdds returns the multiply-adds of the matrix products and convolutions
// over one sequence of the given number of steps, in the forward and in the
// backward pass. Element-wise operations are not counted.
func (p *Part) MulAdds(steps int, cells CellConfig) (forward, backward int64) {
	for _, f := range p.products {
		op, grad := f(steps, cells)
		forward += op.MulAdds()
		backward += grad.MulAdds()
	}
	return forward, backward
}

// Description lists the parts of layers in the order in which they run.
type Description struct{ Parts []*Part }

// State returns the states of all parts.
func (d *Description) State() (all StateParts) {
	for _, p := range d.Parts {
		all = append(all, p.State...)
	}
	return all
}

// Describe returns a scope like s in which layers add their parts to d when
// they are created.
func (s Scope) Describe(d *Description) Scope {
	s.into, s.part = d, nil
	return s
}

// Part returns a scope like s in which layers form a part of that name in the
// description. Without Describe it returns s.
func (s Scope) Part(name string) Scope {
	if s.into != nil {
		s.part = &Part{Name: name}
		s.into.Parts = append(s.into.Parts, s.part)
	}
	return s
}

// describe calls f with the part that the scope's layers belong to, if they are
// described.
func (s Scope) describe(f func(p *Part)) {
	if s.into == nil {
		return
	}
	if s.part == nil {
		s = s.Part("")
	}
	f(s.part)
}

// remembers describes parts of the state.
func (s Scope) remembers(parts ...StatePart) {
	s.describe(func(p *Part) { p.State = append(p.State, parts...) })
}

// computes describes an operation.
func (s Scope) computes(f product) {
	s.describe(func(p *Part) { p.products = append(p.products, f) })
}
