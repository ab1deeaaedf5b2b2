package ops

// Add is y = a + b, the residual connection of a block.
type Add struct {
	elementary
	Shape Shape
}

func (o Add) Name() string   { return "+" }
func (o Add) Inputs() []Arg  { return pair(o.Shape) }
func (o Add) Outputs() []Arg { return []Arg{floats("y", o.Shape...)} }

// Mul is y = a⊙b.
type Mul struct {
	elementary
	Shape Shape
}

func (o Mul) Name() string   { return "⊙" }
func (o Mul) Inputs() []Arg  { return pair(o.Shape) }
func (o Mul) Outputs() []Arg { return []Arg{floats("y", o.Shape...)} }

// Maximum is y = max(a, b), element by element.
type Maximum struct {
	elementary
	Shape Shape
}

func (o Maximum) Name() string   { return "max" }
func (o Maximum) Inputs() []Arg  { return pair(o.Shape) }
func (o Maximum) Outputs() []Arg { return []Arg{floats("y", o.Shape...)} }

// MaximumGrad passes dy to the larger of a and b, and to a if they are equal:
// it reads a, b and dy.
type MaximumGrad struct {
	elementary
	Shape Shape
}

func (o MaximumGrad) Name() string   { return "max'" }
func (o MaximumGrad) Inputs() []Arg  { return append(pair(o.Shape), floats("dy", o.Shape...)) }
func (o MaximumGrad) Outputs() []Arg { return grads(pair(o.Shape)) }

func pair(s Shape) []Arg { return []Arg{floats("a", s...), floats("b", s...)} }
