// Package cuda runs operations on NVIDIA GPUs. It exists under the build tag
// nvidia alone (the tag cuda is Gorgonia's, for a path of its own that needs cgo and
// a toolkit) and needs neither cgo nor a CUDA toolkit: the driver (libcuda) and
// cuBLAS are loaded when a device is opened, and the kernels are embedded as PTX,
// which the driver compiles for the card.
//
// # Threads
//
// A CUDA context belongs to a thread. Every Device therefore has a goroutine of
// its own that is locked to its thread and makes all calls for it; the methods of
// Device and Buffer may be called from any goroutine.
//
// # Order
//
// A device has one stream: what is enqueued first is done first. A Launch only
// enqueues; Download and Sync wait.
package cuda
