package ops

// Stabilize is m' = max(logF + m, i~), the stabiliser state of exponential gating
// (paper, equation 15). WithN adds the input n: where it is zero the memory is
// empty and m' = i~.
type Stabilize struct {
	elementary
	WithN bool
	Shape Shape
}

func (s Stabilize) Name() string   { return "stabilize" }
func (s Stabilize) Outputs() []Arg { return []Arg{floats("y", s.Shape...)} }
func (s Stabilize) Inputs() []Arg {
	in := []Arg{floats("logf", s.Shape...), floats("m", s.Shape...), floats("i", s.Shape...)}
	return when(s.WithN, in, floats("n", s.Shape...))
}

// StabilizeGrad hands dy to the side that was the maximum. It reads the inputs of
// Stabilize and dy, and writes one gradient for both logF and m, and that of i~.
type StabilizeGrad struct {
	elementary
	WithN bool
	Shape Shape
}

func (s StabilizeGrad) Name() string { return "stabilize'" }
func (s StabilizeGrad) Inputs() []Arg {
	return append(Stabilize{WithN: s.WithN, Shape: s.Shape}.Inputs(), floats("dy", s.Shape...))
}
func (s StabilizeGrad) Outputs() []Arg {
	return []Arg{floats("dforget", s.Shape...), floats("di", s.Shape...)}
}

// ExpGate is y = exp(x − m), an exponential gate made finite by its stabiliser
// (paper, equations 16 and 17). Its gradient is y⊙dy, and that of m is the
// negative.
type ExpGate struct {
	elementary
	Shape Shape
}

func (o ExpGate) Name() string   { return "expGate" }
func (o ExpGate) Inputs() []Arg  { return []Arg{floats("x", o.Shape...), floats("m", o.Shape...)} }
func (o ExpGate) Outputs() []Arg { return []Arg{floats("y", o.Shape...)} }
