package ops

import "fmt"

// ClipNorm is the norm of all gradients taken as one vector, and the factor for
// clipping: inputs are max [1], the bound of the norm, 0 for none, and a
// gradient [n] for each of Sizes; the result norm [2] is
//
//	N = √Σg²;  min(1, max/(N + 10⁻⁶))
//
// where the second is −1 if N is not finite. Squares are summed in float64.
type ClipNorm struct {
	elementary
	Sizes []int
}

func (c ClipNorm) Name() string   { return "clip" }
func (c ClipNorm) Inputs() []Arg  { return vectors([]Arg{floats("max", 1)}, "g", c.Sizes) }
func (c ClipNorm) Outputs() []Arg { return []Arg{floats("norm", 2)} }

// AdamStep is a step of Adam or, if Decoupled, of AdamW, for the parameters of
// Sizes, with the weight decay λ of each in Decay:
//
//	g ← scale·g            + λ·w unless decoupled
//	m ← β1·m + (1−β1)·g;  v ← β2·v + (1−β2)·g²
//	w ← w·(1 − η·λ if decoupled) − rate·m/(√v·unbias + ε)
//
// Inputs are numbers [6], η, rate and unbias of the step, β1, β2 and ε, the
// norm of ClipNorm, whose second number is scale, the gradients, all w, all m
// and all v; results are the new w, m and v, which may share the memory of the
// old ones. If scale is negative, they are the old ones. Further results are
// copies of the new w of the parameters that Copies lists in ascending order.
type AdamStep struct {
	elementary
	Sizes     []int
	Decay     []float64
	Decoupled bool
	Copies    []int
}

func (a AdamStep) Name() string { return "adam" }
func (a AdamStep) Inputs() []Arg {
	in := vectors([]Arg{floats("numbers", 6), floats("norm", 2)}, "g", a.Sizes)
	return vectors(vectors(vectors(in, "w", a.Sizes), "m", a.Sizes), "v", a.Sizes)
}
func (a AdamStep) Outputs() []Arg {
	out := vectors(vectors(vectors(nil, "next w", a.Sizes), "next m", a.Sizes), "next v", a.Sizes)
	for _, k := range a.Copies {
		out = append(out, floats(fmt.Sprintf("copy%d", k), a.Sizes[k]))
	}
	return out
}

// MoveMean moves means towards further samples of gradients, for the vectors of
// Sizes: mean + share·(x − mean), or, if share is 1, x regardless of the mean.
// Inputs are share [1], all x and all means; results are the new means, which
// may share the memory of the old ones.
type MoveMean struct {
	elementary
	Sizes []int
}

func (m MoveMean) Name() string { return "mean" }
func (m MoveMean) Inputs() []Arg {
	return vectors(vectors([]Arg{floats("share", 1)}, "x", m.Sizes), "mean", m.Sizes)
}
func (m MoveMean) Outputs() []Arg { return vectors(nil, "next mean", m.Sizes) }

// vectors appends a vector for every size.
func vectors(to []Arg, name string, sizes []int) []Arg {
	for k, n := range sizes {
		to = append(to, floats(fmt.Sprintf("%s%d", name, k), n))
	}
	return to
}
