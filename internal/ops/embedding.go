package ops

// Embedding copies row ids[r] of w to row r of y: ids [N], w [V,D], y [N,D].
type Embedding struct {
	elementary
	N, V, D int
}

func (e Embedding) Name() string   { return "embedding" }
func (e Embedding) Inputs() []Arg  { return []Arg{ints("ids", e.N), floats("w", e.V, e.D)} }
func (e Embedding) Outputs() []Arg { return []Arg{floats("y", e.N, e.D)} }

// EmbeddingGrad is the derivative of Embedding: it reads ids and dy and adds
// the rows of dy, from first to last, to the rows ids[r] of dw. All other rows
// become zero.
type EmbeddingGrad struct {
	elementary
	N, V, D int
}

func (e EmbeddingGrad) Name() string   { return "embedding'" }
func (e EmbeddingGrad) Inputs() []Arg  { return []Arg{ints("ids", e.N), floats("dy", e.N, e.D)} }
func (e EmbeddingGrad) Outputs() []Arg { return []Arg{floats("dw", e.V, e.D)} }
