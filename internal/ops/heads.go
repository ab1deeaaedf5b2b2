package ops

// The products of a symbolic mLSTM step. A row of every matrix is Heads blocks of
// equal width; a memory is a row of Heads blocks of A·B numbers, each an A×B
// matrix.

// HeadOuter is the outer product of corresponding blocks: a [N,Heads·A], b
// [N,Heads·B], y [N,Heads·A·B].
type HeadOuter struct {
	computing
	N, Heads, A, B int
}

func (h HeadOuter) Name() string   { return "outer" }
func (h HeadOuter) MulAdds() int64 { return product(h.N, h.Heads, h.A, h.B) }
func (h HeadOuter) Outputs() []Arg { return []Arg{floats("y", h.N, h.Heads*h.A*h.B)} }
func (h HeadOuter) Inputs() []Arg {
	return []Arg{floats("a", h.N, h.Heads*h.A), floats("b", h.N, h.Heads*h.B)}
}

// HeadLeft is y = aᵀC block by block: a [N,Heads·A], c [N,Heads·A·B], y
// [N,Heads·B].
type HeadLeft struct {
	computing
	N, Heads, A, B int
}

func (h HeadLeft) Name() string   { return "read" }
func (h HeadLeft) MulAdds() int64 { return product(h.N, h.Heads, h.A, h.B) }
func (h HeadLeft) Outputs() []Arg { return []Arg{floats("y", h.N, h.Heads*h.B)} }
func (h HeadLeft) Inputs() []Arg {
	return []Arg{floats("a", h.N, h.Heads*h.A), floats("c", h.N, h.Heads*h.A*h.B)}
}

// HeadRight is y = C·b block by block: b [N,Heads·B], c [N,Heads·A·B], y
// [N,Heads·A].
type HeadRight struct {
	computing
	N, Heads, A, B int
}

func (h HeadRight) Name() string   { return "readᵀ" }
func (h HeadRight) MulAdds() int64 { return product(h.N, h.Heads, h.A, h.B) }
func (h HeadRight) Outputs() []Arg { return []Arg{floats("y", h.N, h.Heads*h.A)} }
func (h HeadRight) Inputs() []Arg {
	return []Arg{floats("b", h.N, h.Heads*h.B), floats("c", h.N, h.Heads*h.A*h.B)}
}
