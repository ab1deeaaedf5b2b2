package layers

import (
	"strings"

	"gorgonia.org/gorgonia"
)

// symbols are the papers' names for what layers compute, by the last part of the
// name that its node has.
var symbols = map[string]string{
	"fgate": "Wⁱx", "igate": "Wᶠx",
	"q_proj": "q", "k_proj": "k", "v_proj": "v", "zgate": "Wᶻx", "ogate": "Wᵒx",
	"mlstm_cell": "h", "slstm_cell": "h", "lstm_cell": "h", "simplified_cell": "h", "gates": "Wx", "C": "C", "n": "n", "m": "m",
	"_recurrent_kernel_": "R", "_bias_": "b",
	"zero": "h₀, c₀, n₀, m₀", "zero_C": "C₀", "zero_n": "n₀", "zero_m": "m₀",
	"mlstm_c": "C₀", "mlstm_n": "n₀", "mlstm_m": "m₀", "slstm": "h₀, c₀, n₀, m₀", "lstm": "h₀, c₀", "simplified": "h₀, C₀",
}

// mlstmGates are the pre-activations of the mLSTM's gates. The sLSTM's layers
// compute a part of them alone, and their names are swapped; see SLSTM.
var mlstmGates = map[string]string{"igate": "ĩ", "fgate": "f̃"}

// stepSymbols are those for the values of one step of a symbolic cell.
var stepSymbols = map[string]string{
	"i~": "ĩ", "f~": "f̃", "z~": "z̃", "g~": "g̃", "o~": "õ", "i'": "i′", "f'": "f′",
	"q": "q", "k": "k", "v": "v", "i": "i", "f": "f", "g": "g", "z": "z", "o": "o", "C": "C", "c": "c", "n": "n", "m": "m", "h": "h",
}

// Symbol returns the papers' symbol for the value of the node of that name in a
// model's graph, such as q, ĩ or C₁ with the number of the step, or "" if there
// is none. Together with Operation it is the notation for drawings of package
// dot.
func Symbol(name string) string {
	parts := strings.Split(name, ".")
	last := parts[len(parts)-1]
	if k := len(parts) - 3; k >= 0 && parts[k] == "step" && stepSymbols[last] != "" {
		return stepSymbols[last] + subscript(parts[k+1])
	}
	if len(parts) > 1 && parts[len(parts)-2] == "mlstm_cell" && mlstmGates[last] != "" {
		return mlstmGates[last]
	}
	return symbols[last]
}

// subscript writes a number in small digits below the line.
func subscript(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '₀' + r - '0'
		}
		return r
	}, number)
}

// operations are how equations write what the nodes compute, where that is not
// the operation's own name.
var operations = map[string]string{
	"logσ": "log σ", "stabilize": "max(log f + m, ĩ)", "expGate": "exp(x − m)", "outer": "k vᵀ", "read": "Cᵀ q", "+b": "+ b", "fork'": "Σ",
}

// Operation returns the notation of a node's operation in equations, or "" if
// it is not known.
func Operation(n *gorgonia.Node) string {
	op := n.Op().String()
	var in gorgonia.Nodes
	for it := n.Graph().From(n.ID()); it.Next(); {
		in = append(in, it.Node().(*gorgonia.Node))
	}
	switch {
	case op == "outer" && in[1].Shape().Eq(n.Shape()):
		return "⊙" // a number for each head
	case op == "read" && in[0].Shape().Eq(in[1].Shape()):
		return "n · q"
	case op == "headwise" && Symbol(in[1].Name()) == "R":
		return "R h"
	}
	return operations[op]
}
