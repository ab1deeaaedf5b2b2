// Package nodes provides the operations of xLSTM as nodes of Gorgonia graphs.
//
// Each function takes nodes and returns nodes; its operation runs a fused
// kernel over the whole sequence and has an exact derivative, so that
// gorgonia.Grad differentiates it and a tape machine trains it:
//
//	h, next, err := nodes.MLSTM(nodes.MLSTMConfig{Batch: b, NumHeads: nh}, q, k, v, i, f, nil)
//
// # Shapes
//
// Activations are matrices of B·T rows, batch-major: row b·T+t is step t of
// sequence b. Heads are consecutive column blocks. Everything runs in float32
// and float64; the nodes given to an operation must have the same type.
//
// # State
//
// Recurrent operations take their state as nodes and return the new state as
// nodes. If the values of the new state become the inputs of the next run, or
// the nodes are connected within one graph, a sequence that was split continues
// exactly where it was split, gradients included.
//
// # Primitives
//
// The steps of the fused cells are also available as separate operations
// (LogSigmoid, Stabilizer, ExpGate, HeadOuter …). Package layers builds the
// same cells from them, step by step, so that Gorgonia itself differentiates
// them.
//
// # Buffers
//
// The memory of results is reused in every run: values read from a node are
// valid until the next run, and two tape machines for one graph write to the
// same memory. As with any Gorgonia node, an element-wise operation of Gorgonia
// may overwrite a value that it reads last; use gorgonia.Read to keep such a
// value.
//
// ShareMemory plans the memory of a whole graph, so that results overwrite
// those that are no longer needed. Fork gives a node to several readers and
// avoids Gorgonia's copies and repeated sums of their gradients.
//
// # Machines
//
// gorgonia.NewTapeMachine runs any graph. A graph that consists only of
// operations of this package, with or without the gradients that gorgonia.Grad
// adds, runs faster on a Sequence: with the same bits, except that gradients
// agree to rounding if ShareMemory was called. A LispMachine can run graphs
// forward, with gorgonia.ExecuteFwdOnly; it cannot differentiate these
// operations and returns an error, so gradients must come from gorgonia.Grad.
package nodes
