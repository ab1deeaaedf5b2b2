package nodes

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// activations are the functions that configurations name.
var activations = []struct {
	name string
	fn   kernels.Activation
}{
	{"gelu", kernels.GELU},
	{"relu", kernels.ReLU},
	{"relu^2", kernels.ReLUSquared},
	{"sigmoid", kernels.Sigmoid},
	{"swish", kernels.SiLU},
	{"selu", kernels.SELU},
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

func activationNamed(name string) (kernels.Activation, error) {
	for _, a := range activations {
		if a.name == name {
			return a.fn, nil
		}
	}
	return 0, errors.Errorf("nodes: activation %q is unknown; there are %v", name, ActivationNames())
}

// Activate applies the activation of the given name to every element of x.
func Activate(name string, x *gorgonia.Node) (*gorgonia.Node, error) {
	fn, err := activationNamed(name)
	if err != nil {
		return nil, err
	}
	return elementwise(name, fn, x)
}

// SiLU returns x·σ(x), element by element.
func SiLU(x *gorgonia.Node) (*gorgonia.Node, error) { return elementwise("silu", kernels.SiLU, x) }

// LogSigmoid returns log σ(x) = −softplus(−x), element by element, finite for
// every finite x: the forget gate in the logarithmic domain (paper, equation 15).
func LogSigmoid(x *gorgonia.Node) (*gorgonia.Node, error) {
	return elementwise("logσ", kernels.LogSigmoid, x)
}

// Sigmoid returns σ(x), element by element.
func Sigmoid(x *gorgonia.Node) (*gorgonia.Node, error) {
	return elementwise("σ", kernels.Sigmoid, x)
}

// Tanh returns tanh x, element by element.
func Tanh(x *gorgonia.Node) (*gorgonia.Node, error) { return elementwise("tanh", kernels.Tanh, x) }

func elementwise(name string, fn kernels.Activation, x *gorgonia.Node) (*gorgonia.Node, error) {
	if x == nil {
		return nil, errors.Errorf("nodes: %s needs an input", name)
	}
	return apply(spec{
		name: name, shape: x.Shape(),
		run: kernelPair{activateForward[float32](fn), activateForward[float64](fn)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := apply(spec{
				name: name + "'", shape: x.Shape(),
				run: kernelPair{activateBackward[float32](fn), activateBackward[float64](fn)},
			}, in[0], grad)
			return gorgonia.Nodes{g}, err
		},
	}, x)
}

func activateForward[F kernels.Float](fn kernels.Activation) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.Activate(fn, in[0].data, out[0])
		return nil
	}
}

func activateBackward[F kernels.Float](fn kernels.Activation) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.ActivateGrad(fn, in[0].data, in[1].data, out[0])
		return nil
	}
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
	return apply(spec{
		name: name + "⊙", shape: g.Shape(),
		run: kernelPair{gatedForward[float32](fn), gatedForward[float64](fn)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			l := layout{g.Shape(), u.Shape()}
			return packedGrads(name+"⊙'", "", l, kernelPair{gatedBackward[float32](fn), gatedBackward[float64](fn)}, in[0], in[1], grad)
		},
	}, g, u)
}

func gatedForward[F kernels.Float](fn kernels.Activation) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.Gated(fn, in[0].data, in[1].data, out[0])
		return nil
	}
}

func gatedBackward[F kernels.Float](fn kernels.Activation) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.GatedGrad(fn, in[0].data, in[1].data, in[2].data, out[0], out[1])
		return nil
	}
}

// SoftCap returns cap·tanh(x/cap), which keeps xLSTM-7B's gates (cap 15) and
// logits (cap 30) within ±cap.
func SoftCap(x *gorgonia.Node, limit float64) (*gorgonia.Node, error) {
	if x == nil || !(limit > 0) {
		return nil, errors.Errorf("nodes: SoftCap needs an input and a positive cap, got %v", limit)
	}
	attrs := fmt.Sprint(limit)
	return apply(spec{
		name: "softcap", attrs: attrs, shape: x.Shape(),
		run: kernelPair{softCapForward[float32](limit), softCapForward[float64](limit)},
		diff: func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := apply(spec{
				name: "softcap'", attrs: attrs, shape: x.Shape(),
				run: kernelPair{softCapBackward[float32](limit), softCapBackward[float64](limit)},
			}, y, grad)
			return gorgonia.Nodes{g}, err
		},
	}, x)
}

func softCapForward[F kernels.Float](limit float64) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.SoftCap(F(limit), in[0].data, out[0])
		return nil
	}
}

func softCapBackward[F kernels.Float](limit float64) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.SoftCapGrad(F(limit), in[0].data, in[1].data, out[0])
		return nil
	}
}
