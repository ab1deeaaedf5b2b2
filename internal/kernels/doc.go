// Package kernels holds the arithmetic of xLSTM: every layer's forward pass and
// its exact gradient, on plain slices.
//
// Nothing here knows of graphs, tensors or parameters. A function takes its
// inputs and writes its results into slices that the caller owns. Scratch space is
// pooled and used again: the parallel form of the mLSTM takes 3·T² elements a
// core. All functions are generic over float32 and float64.
//
// # Layouts
//
// Activations are row-major matrices of B·T rows, batch-major: row b·T+t is
// time step t of sequence b. The heads of a layer are consecutive column blocks
// of such a matrix. Notation in comments: B batch, T time, NH heads, DH head
// width, DQK and DHV the widths of a head's keys and values, ~ a gate's
// pre-activation, σ the logistic function.
//
// # Determinism
//
// Work is split into pieces whose number depends on shapes only, never on the
// number of cores, and partial sums are added in a fixed order. A result is
// therefore the same to the bit whatever GOMAXPROCS is.
package kernels
