// Package layers builds the layers of xLSTM from the operations of package
// nodes and from parameters.
//
// A layer is created in a Scope, which determines its graph, its name, the size
// of the batch and the store of its parameters:
//
//	store, err := layers.NewStore(tensor.Float32, 1)
//	s := layers.NewScope(g, store, batch)
//	cell, err := layers.NewSLSTM(s.Sub("encoder"), layers.SLSTMConfig{EmbeddingDim: 64, NumHeads: 4})
//	y, state, err := cell.Fwd(x, nil)
//
// # Shapes
//
// Shapes are in parentheses, parameters by name in quotes: "weight" (Out, In) is
// a matrix of Out rows and In columns. Features are matrices (B·T, D) of B
// sequences of T steps, batch-major: row b·T+t is step t of sequence b. The
// number of sequences is that of the scope, and T follows from the rows. N rows
// are rows of any kind: layers that do not look at other steps do not need B.
//
// # Parameters
//
// A Gorgonia graph is compiled for fixed shapes, so that one model has several
// graphs: one for training, one for evaluation, one for generation. The
// parameters are therefore kept by name in a Store, and the nodes of all graphs
// are bound to the same tensors. Names and shapes are those of the official
// implementation.
//
// # State
//
// Every recurrent layer takes its state and returns the new one; see State. Its
// NewState adds inputs of the right shapes for an initial state, State.Reset
// sets them to zero, and State.Set sets them to the final state of a run.
//
// # Blocks and stacks
//
// A BlockConfig describes a residual block of one kind, and a StackConfig a
// sequence of blocks that maps features to features. The parameters, the state
// and the arithmetic of a block are recorded when its layers are created; see
// Block.Description.
//
// # Cells for comparison
//
// LSTM is a layer of the classic LSTM, and a Stack of LSTMStackConfig is PyTorch's
// nn.LSTM. Simplified is the cell that many articles present as xLSTM; its comment
// says what it lacks. LSTMBlockConfig and SimplifiedBlockConfig put them into the
// block of the sLSTM.
//
// # Fused and symbolic
//
// By default cells are fused operations. With CellConfig.Symbolic they are
// built step by step from the primitives of exponential gating instead, and
// Gorgonia derives the gradient. Both compute the same function; the symbolic
// form is for inspection and for checking the fused one. It adds about forty
// nodes per step, so it is suitable only for short sequences, and its mLSTM
// only for stabilisers above −700, because below that exp(−m) is infinite in
// Gorgonia.
//
// # Reading a result twice
//
// What a layer returns may be read any number of times, by layers and by Gorgonia's
// own operations. Layers that read their input more than once fork it themselves;
// elsewhere nodes.Fork saves passes over memory, and nothing else.
//
// # Machines
//
// gorgonia.Grad and a gorgonia.NewTapeMachine train a graph of layers. A
// LispMachine can only run the graph forward: it cannot differentiate the
// operations of package nodes, of which symbolic cells also consist, and
// returns an error.
package layers
