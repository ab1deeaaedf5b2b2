package ops

// Activation is a function of one number.
type Activation string

// The activations of the official feed-forward layers, and those of the gates.
const (
	GELU        Activation = "gelu" // exact: x·Φ(x), with the error function
	ReLU        Activation = "relu"
	ReLUSquared Activation = "relu^2"
	SiLU        Activation = "silu" // x·σ(x)
	SELU        Activation = "selu"
	Sigmoid     Activation = "σ"
	LogSigmoid  Activation = "logσ" // −softplus(−x), finite for every finite x
	Tanh        Activation = "tanh"
)

// Activate is y = Fn(x), element by element.
type Activate struct {
	elementary
	Fn    Activation
	Shape Shape
}

func (a Activate) Name() string   { return string(a.Fn) }
func (a Activate) Inputs() []Arg  { return []Arg{floats("x", a.Shape...)} }
func (a Activate) Outputs() []Arg { return []Arg{floats("y", a.Shape...)} }

// ActivateGrad is dx = dy·Fn'(x).
type ActivateGrad struct {
	elementary
	Fn    Activation
	Shape Shape
}

func (a ActivateGrad) Name() string   { return string(a.Fn) + "'" }
func (a ActivateGrad) Inputs() []Arg  { return []Arg{floats("x", a.Shape...), floats("dy", a.Shape...)} }
func (a ActivateGrad) Outputs() []Arg { return []Arg{floats("dx", a.Shape...)} }

// Gated is y = Fn(g)⊙u, the gate of the feed-forward layers.
type Gated struct {
	elementary
	Fn    Activation
	Shape Shape
}

func (a Gated) Name() string   { return string(a.Fn) + "⊙" }
func (a Gated) Inputs() []Arg  { return []Arg{floats("g", a.Shape...), floats("u", a.Shape...)} }
func (a Gated) Outputs() []Arg { return []Arg{floats("y", a.Shape...)} }

// GatedGrad is the derivative of Gated: it reads g, u and dy.
type GatedGrad struct {
	elementary
	Fn    Activation
	Shape Shape
}

func (a GatedGrad) Name() string   { return string(a.Fn) + "⊙'" }
func (a GatedGrad) Outputs() []Arg { return grads(Gated{Shape: a.Shape}.Inputs()) }
func (a GatedGrad) Inputs() []Arg {
	return append(Gated{Shape: a.Shape}.Inputs(), floats("dy", a.Shape...))
}

// SoftCap is y = Cap·tanh(x/Cap).
type SoftCap struct {
	elementary
	Cap   float64
	Shape Shape
}

func (c SoftCap) Name() string   { return "softcap" }
func (c SoftCap) Inputs() []Arg  { return []Arg{floats("x", c.Shape...)} }
func (c SoftCap) Outputs() []Arg { return []Arg{floats("y", c.Shape...)} }

// SoftCapGrad is dx = dy·(1 − (y/Cap)²); it reads y and dy.
type SoftCapGrad struct {
	elementary
	Cap   float64
	Shape Shape
}

func (c SoftCapGrad) Name() string   { return "softcap'" }
func (c SoftCapGrad) Inputs() []Arg  { return []Arg{floats("y", c.Shape...), floats("dy", c.Shape...)} }
func (c SoftCapGrad) Outputs() []Arg { return []Arg{floats("dx", c.Shape...)} }
