// Package optim updates the parameters of Gorgonia graphs: AdamW, Adam and SGD
// with momentum, each a gorgonia.Solver, with learning-rate schedules, clipping
// by the global norm of the gradient, and a state that can be saved.
//
// # A step
//
// Step does the following, in this order, for all parameters together:
//
//  1. It asks the schedule for the learning rate. The first successful step of
//     a solver is step 1.
//  2. It computes the global norm of the gradient, in float64: the square root
//     of the sum of all squared elements. If the norm is not finite, nothing is
//     applied, and the error is a *NonFiniteError.
//  3. It clips: the gradient is used as if multiplied by min(1,
//     ClipNorm/(norm+1e-6)).
//  4. It updates moments and weights in one pass over memory, in the
//     parameter's own precision.
//  5. It zeroes the gradients that the graph adds into (see below).
//
// The arguments are checked before step 4: a Step that fails has changed no
// weight, no moment and no step count. The result depends neither on the number
// of processors nor on the order in which goroutines run.
//
// # Parameters
//
// A parameter is any gorgonia.ValueGrad with a method Name() string, such as a
// named *gorgonia.Node. Its value is a *tensor.Dense or a scalar
// (*gorgonia.F32, *gorgonia.F64), float32 or float64, and is updated in place.
// Moments are kept by name: a model that is built again in another graph, with
// the same or equal tensors, continues where the first one stopped.
//
// # Gradients
//
// With gorgonia.BindDualValues (or a LispMachine, which differentiates only
// Gorgonia's own operations, not those of package nodes) each run adds to the
// gradients, so a step zeroes them in place. It also does so when a gradient is
// not finite, which would otherwise spoil every later step. Without that option
// the gradient of a node is the value of its derivative node, which the next
// run recomputes. Such a value belongs to the graph and is not changed: it can
// be a constant, even the constant 1 that all graphs of the process share.
// Gradients are never scaled in place, because two parameters may share a
// gradient.
//
// A solver is not safe for concurrent use.
package optim
