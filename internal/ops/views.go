package ops

// Part is result K of an operation with several results of the given shapes. In
// a graph, where operations return one value, the input is a number that
// represents all results.
type Part struct {
	viewing
	Pieces []Shape
	K      int
}

func (p Part) Name() string   { return "part" }
func (p Part) Inputs() []Arg  { return []Arg{floats("packed")} }
func (p Part) Outputs() []Arg { return []Arg{floats("piece", p.Pieces[p.K]...)} }

// Put marks the gradient of piece K in that of the whole; see Part. Its result is
// not read.
type Put struct {
	viewing
	Pieces []Shape
	K      int
}

func (p Put) Name() string   { return "put" }
func (p Put) Inputs() []Arg  { return []Arg{floats("dpiece", p.Pieces[p.K]...)} }
func (p Put) Outputs() []Arg { return []Arg{floats("dpacked")} }

// Fork is its input, for N readers, each of which reads a Branch.
type Fork struct {
	viewing
	N     int
	Shape Shape
}

func (f Fork) Name() string   { return "fork" }
func (f Fork) Inputs() []Arg  { return []Arg{floats("x", f.Shape...)} }
func (f Fork) Outputs() []Arg { return []Arg{floats("y", f.Shape...)} }

// ForkGrad adds the gradients of N branches, from first to last; N is at least
// 2.
type ForkGrad struct {
	elementary
	N     int
	Shape Shape
}

func (f ForkGrad) Name() string   { return "fork'" }
func (f ForkGrad) Outputs() []Arg { return []Arg{floats("dx", f.Shape...)} }
func (f ForkGrad) Inputs() []Arg  { return many(f.N, f.Shape) }

// Branch is branch K of a Fork.
type Branch struct {
	viewing
	K     int
	Shape Shape
}

func (b Branch) Name() string   { return "branch" }
func (b Branch) Inputs() []Arg  { return []Arg{floats("x", b.Shape...)} }
func (b Branch) Outputs() []Arg { return []Arg{floats("y", b.Shape...)} }
