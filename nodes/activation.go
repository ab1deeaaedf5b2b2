package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// activations are the functions that configurations name.
var activations = []struct {
	name string
	fn   ops.Activation
}{
	{"gelu", ops.GELU},
	{"relu", ops.ReLU},
	{"relu^2", ops.ReLUSquared},
	{"sigmoid", ops.Sigmoid},
	{"swish", ops.SiLU},
	{"selu", ops.SELU},
}

// ActivationNames returns the names of the official feed-forward activations:
// gelu (exact, with the error function), relu, relu^2, sigmoid, swish and selu.
func ActivationNames() []string {
	names := make([]string, len(activations))
	for i, a := range activations {
		names[i] = a.name
	}
	return names
}

func activationNamed(name string) (ops.Activation, error) {
	for _, a := range activations {
		if a.name == name {
			return a.fn, nil
		}
	}
	return "", errors.Errorf("nodes: activation %q is unknown; there are %v", name, ActivationNames())
}

// Activate applies the named activation to every element of x; see
// ActivationNames.
func Activate(name string, x *gorgonia.Node) (*gorgonia.Node, error) {
	fn, err := activationNamed(name)
	if err != nil {
		return nil, err
	}
	return activate(fn, x)
}

// SiLU returns x·σ(x), element by element.
func SiLU(x *gorgonia.Node) (*gorgonia.Node, error) { return activate(ops.SiLU, x) }

// LogSigmoid returns log σ(x) = −softplus(−x), element by element, finite for
// every finite x: the forget gate in the logarithmic domain (paper, equation 15).
func LogSigmoid(x *gorgonia.Node) (*gorgonia.Node, error) { return activate(ops.LogSigmoid, x) }

// Sigmoid returns σ(x), element by element.
func Sigmoid(x *gorgonia.Node) (*gorgonia.Node, error) { return activate(ops.Sigmoid, x) }

// Tanh returns tanh x, element by element.
func Tanh(x *gorgonia.Node) (*gorgonia.Node, error) { return activate(ops.Tanh, x) }

func activate(fn ops.Activation, x *gorgonia.Node) (*gorgonia.Node, error) {
	if x == nil {
		return nil, errors.Errorf("nodes: %s needs an input", fn)
	}
	shape := shapeOf(x)
	return apply(spec{op: ops.Activate{Fn: fn, Shape: shape}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.ActivateGrad{Fn: fn, Shape: shape}, in[0], grad)
	}}, x)
}

// GatedActivation returns act(g)⊙u, the gate of the feed-forward layer, for g
// and u of one shape and an activation by name (see ActivationNames).
func GatedActivation(name string, g, u *gorgonia.Node) (*gorgonia.Node, error) {
	fn, err := activationNamed(name)
	if err != nil {
		return nil, err
	}
	if err := sameShape("GatedActivation", g, u); err != nil {
		return nil, err
	}
	shape := shapeOf(g)
	return apply(spec{op: ops.Gated{Fn: fn, Shape: shape}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.GatedGrad{Fn: fn, Shape: shape}, in[0], in[1], grad)
	}}, g, u)
}

// SoftCap returns cap·tanh(x/cap), which keeps xLSTM-7B's gates (cap 15) and
// logits (cap 30) within ±cap.
func SoftCap(x *gorgonia.Node, limit float64) (*gorgonia.Node, error) {
	if x == nil || !(limit > 0) {
		return nil, errors.Errorf("nodes: SoftCap needs an input and a positive cap, got %v", limit)
	}
	shape := shapeOf(x)
	return apply(spec{op: ops.SoftCap{Cap: limit, Shape: shape}, diff: func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.SoftCapGrad{Cap: limit, Shape: shape}, y, grad)
	}}, x)
}
