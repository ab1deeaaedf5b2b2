package ops

import "fmt"

// TimeStep is step Step of every sequence: x [B·T,D], y [B,D].
type TimeStep struct {
	moving
	B, T, D, Step int
}

func (s TimeStep) Name() string   { return fmt.Sprintf("t=%d", s.Step) }
func (s TimeStep) Inputs() []Arg  { return []Arg{floats("x", s.B*s.T, s.D)} }
func (s TimeStep) Outputs() []Arg { return []Arg{floats("y", s.B, s.D)} }

// TimeStepGrad writes dy [B,D] to step Step of dx [B·T,D], and zeros elsewhere.
type TimeStepGrad struct {
	moving
	B, T, D, Step int
}

func (s TimeStepGrad) Name() string   { return fmt.Sprintf("t=%d'", s.Step) }
func (s TimeStepGrad) Inputs() []Arg  { return []Arg{floats("dy", s.B, s.D)} }
func (s TimeStepGrad) Outputs() []Arg { return []Arg{floats("dx", s.B*s.T, s.D)} }

// StackTime is the inverse of TimeStep: T inputs [B,D], y [B·T,D].
type StackTime struct {
	moving
	B, T, D int
}

func (s StackTime) Name() string   { return "stack" }
func (s StackTime) Inputs() []Arg  { return many(s.T, Shape{s.B, s.D}) }
func (s StackTime) Outputs() []Arg { return []Arg{floats("y", s.B*s.T, s.D)} }

// Stack puts N arrays of one shape one after the other, with a new first axis.
type Stack struct {
	moving
	N     int
	Shape Shape
}

func (s Stack) Name() string   { return "stack" }
func (s Stack) Inputs() []Arg  { return many(s.N, s.Shape) }
func (s Stack) Outputs() []Arg { return []Arg{floats("y", append(Shape{s.N}, s.Shape...)...)} }

func many(n int, s Shape) (in []Arg) {
	for k := range n {
		in = append(in, floats(fmt.Sprintf("x%d", k), s...))
	}
	return in
}

// Pick is entry K of x [N,Shape…]. It is the inverse of Stack.
type Pick struct {
	moving
	N, K  int
	Shape Shape
}

func (p Pick) Name() string   { return "pick" }
func (p Pick) Inputs() []Arg  { return []Arg{floats("x", append(Shape{p.N}, p.Shape...)...)} }
func (p Pick) Outputs() []Arg { return []Arg{floats("y", p.Shape...)} }

// PickGrad writes dy to entry K of dx [N,Shape…], and zeros elsewhere.
type PickGrad struct {
	moving
	N, K  int
	Shape Shape
}

func (p PickGrad) Name() string   { return "pick'" }
func (p PickGrad) Inputs() []Arg  { return []Arg{floats("dy", p.Shape...)} }
func (p PickGrad) Outputs() []Arg { return []Arg{floats("dx", append(Shape{p.N}, p.Shape...)...)} }

// Reshape is a copy of x in another shape of the same size.
type Reshape struct {
	moving
	From, To Shape
}

func (r Reshape) Name() string   { return "reshape" }
func (r Reshape) Inputs() []Arg  { return []Arg{floats("x", r.From...)} }
func (r Reshape) Outputs() []Arg { return []Arg{floats("y", r.To...)} }
