// Package layers builds the layers of xLSTM out of the operations of package
// nodes and parameters of their own.
//
// A layer is made in a Scope, which says in which graph, under which name and
// for which batch, and where the parameters live:
//
//	store, err := layers.NewStore(tensor.Float32, 1)
//	s := layers.NewScope(g, store, batch)
//	cell, err := layers.NewSLSTM(s.Sub("encoder"), layers.SLSTMConfig{EmbeddingDim: 64, NumHeads: 4})
//	y, state, err := cell.Fwd(x, nil)
//
// # Parameters
//
// A Gorgonia graph is compiled for fixed shapes, so that one model lives in
// several graphs: one to train, one to evaluate, one to generate. The parameters
// therefore live in a Store, by name, and every graph's nodes are bound to the
// same tensors. Names and shapes are those of the official implementation.
//
// # State
//
// Every recurrent layer takes its state and returns the new one; see State. Its
// NewState adds inputs of the right shapes to begin from, State.Reset empties them,
// and State.Set continues where a run ended.
//
// # Blocks and stacks
//
// A BlockConfig describes a residual block of one kind, a StackConfig blocks one
// after the other: features in, features out. What a block consists of, its
// parameters, its state and its arithmetic, is recorded as its layers are made; see
// Block.Description.
//
// # Fused and symbolic
//
// The cells run as fused operations. With CellConfig.Symbolic they are built step
// by step from the primitives of exponential gating instead, and Gorgonia derives
// the gradient: the same function, to look at and to check the other against.
// It makes some forty nodes a step, so it is for short sequences, and its mLSTM
// for stabilisers above −700: below, exp(−m) is infinite to Gorgonia.
//
// # Machines
//
// gorgonia.Grad and a gorgonia.NewTapeMachine train a graph of layers. A
// LispMachine only runs it forward: it cannot differentiate the operations of
// package nodes, of which symbolic cells consist as well, and says so.
package layers
