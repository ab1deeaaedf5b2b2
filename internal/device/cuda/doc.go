// Package cuda runs operations on NVIDIA GPUs. It is built only with the tag nvidia
// (the tag cuda is Gorgonia's, whose CUDA support needs cgo and a toolkit). It needs
// neither cgo nor a CUDA toolkit: the driver (libcuda) and cuBLAS are loaded when a
// device is opened, and the kernels are embedded as machine code for the common cards
// and as PTX, which the driver compiles for others.
//
// # Threads
//
// A CUDA context is current on a thread of the operating system. The calls of a Device
// are made one after the other, each by the goroutine that asks for it, on whose
// thread the context is made current first; the methods of Device and Buffer may be
// called from any goroutine.
//
// # Order
//
// A device has one stream: what is enqueued first is done first, except that the
// tasks of a recorded graph run as soon as the memory that they touch allows. A
// Launch only enqueues; Download and Sync wait.
package cuda
