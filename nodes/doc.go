// Package nodes holds the operations of xLSTM as Gorgonia graph nodes.
//
// Each function takes nodes and returns nodes; the operation behind it runs a
// fused kernel over the whole sequence and knows its exact derivative, so that
// gorgonia.Grad differentiates through it and a tape machine trains it:
//
//	h, next, err := nodes.MLSTM(nodes.MLSTMConfig{Batch: b, NumHeads: nh}, q, k, v, i, f, nil)
//
// # Shapes
//
// Activations are matrices of B·T rows, batch-major: row b·T+t is step t of
// sequence b. Heads are consecutive column blocks. Everything runs in float32
// and float64; the nodes given to one operation share one of the two.
//
// # State
//
// What is recurrent takes its state as nodes and returns the new state as
// nodes: feed the one's values back as the other's inputs, or connect the nodes
// within one graph, and a sequence that was cut goes on exactly where it was
// cut, gradients included.
//
// # Primitives
//
// The steps of which the fused cells consist are here as operations of their
// own (LogSigmoid, Stabilizer, ExpGate, HeadOuter …). Package layers builds the
// same cells out of them, step by step, for Gorgonia itself to differentiate.
//
// # Buffers
//
// The memory of results is used again in every run: values read from a node are
// valid until the next run, and two tape machines on one graph write to the same
// memory. As with any Gorgonia node, a value that an element-wise operation of
// Gorgonia's consumes last may be overwritten by it; use gorgonia.Read to keep
// such a value.
//
// ShareMemory plans the memory of a whole graph: results are then written over
// those that nothing reads any more. Fork gives a node to several readers without
// the copies and sums that Gorgonia would make of their gradients.
//
// # Machines
//
// gorgonia.NewTapeMachine runs any graph. A graph of this package's operations
// alone, with the gradients that gorgonia.Grad adds to it or without, runs faster
// on a Sequence, to the same bits. A LispMachine runs graphs forward, with
// gorgonia.ExecuteFwdOnly; it cannot differentiate these operations, and says so:
// gradients come from gorgonia.Grad.
package nodes
