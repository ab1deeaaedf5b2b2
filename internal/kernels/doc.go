// Package kernels implements the arithmetic of xLSTM: the forward pass and the
// exact gradient of every layer, on plain slices.
//
// The package does not depend on graphs, tensors or parameters. Functions read
// inputs from and write results to slices of the caller. Scratch space is
// pooled and reused: the parallel form of the mLSTM takes 3·T² elements per
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
// Work is split into pieces whose number depends only on shapes and not on the
// number of cores, and partial sums are added in a fixed order. Results are
// therefore the same to the bit for any GOMAXPROCS.
package kernels
