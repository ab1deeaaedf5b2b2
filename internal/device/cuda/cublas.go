//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// cublas holds the functions of cuBLAS that this package calls.
type cublas struct {
	lib, lt dynlib.Library

	Create       uintptr `sym:"cublasCreate_v2"`
	Destroy      uintptr `sym:"cublasDestroy_v2"`
	SetStream    uintptr `sym:"cublasSetStream_v2"`
	SetWorkspace uintptr `sym:"cublasSetWorkspace_v2"`
	GemmEx       uintptr `sym:"cublasGemmEx"`
	GemmStrided  uintptr `sym:"cublasGemmStridedBatchedEx"`
}

// Constants of cuBLAS's headers: element types, types of computation, and the
// algorithm that lets cuBLAS choose.
const (
	typeF32, typeF64, typeBF16          = 0, 1, 14
	computeF32, computeF64, computeTF32 = 68, 70, 77
	gemmDefault                         = ^uintptr(0) // −1
)

// blasWorkspace is the size of the memory given to cuBLAS, so that it allocates none
// while a graph is captured and computes the same bits in every run.
const blasWorkspace = 32 << 20

// openCublas loads cuBLAS.
func openCublas() (*cublas, error) {
	dirs := toolkitDirs("cublas")
	// libcublas looks for libcublasLt only in the loader's path, but uses one that is
	// already loaded.
	lt, err := dynlib.Open(dirs, "libcublasLt.so.13", "libcublasLt.so.12")
	if err != nil {
		return nil, errors.Wrap(err, "cuBLAS 12 or 13 is needed, of NVIDIA's toolkit or of the Python package nvidia-cublas")
	}
	lib, err := dynlib.Open(dirs, "libcublas.so.13", "libcublas.so.12")
	if err != nil {
		return nil, errors.Wrap(err, "cuBLAS 12 or 13 is needed, of NVIDIA's toolkit or of the Python package nvidia-cublas")
	}
	c := &cublas{lib: lib, lt: lt}
	return c, lib.Bind(c)
}

func (c *cublas) check(function string, r int32) error {
	if r == 0 {
		return nil
	}
	return errors.Errorf("%s returned status %d", function, r)
}

// newHandle returns a handle by which cuBLAS enqueues on the stream, with the
// workspace. It needs a context that is current.
func (c *cublas) newHandle(stream uintptr, workspace address) (handle uintptr, err error) {
	if err := c.check("cublasCreate", dynlib.Call(c.Create, uintptr(unsafe.Pointer(&handle)))); err != nil {
		return 0, err
	}
	if err := c.check("cublasSetStream", dynlib.Call(c.SetStream, handle, stream)); err != nil {
		return handle, err
	}
	return handle, c.setWorkspace(handle, workspace)
}

// setWorkspace lets the products that follow use blasWorkspace bytes of memory.
func (c *cublas) setWorkspace(handle uintptr, at address) error {
	return c.check("cublasSetWorkspace", dynlib.Call(c.SetWorkspace, handle, uintptr(at), blasWorkspace))
}

func (c *cublas) destroy(handle uintptr) error {
	return c.check("cublasDestroy", dynlib.Call(c.Destroy, handle))
}

// operand is a row-major matrix, or a batch of them, in the card's memory.
type operand struct {
	at     address // of its first element
	ld     int     // elements between rows
	trans  bool    // it is read transposed
	stride int     // elements between one matrix and the next
}

// product is a batch of C = alpha·op(A)·op(B) + beta·C with op(A) m×k and op(B) k×n.
type product struct {
	m, n, k     int
	a, b, c     operand
	alpha, beta float64
	batch       int
	half        bool // A and B are in bfloat16
	halfOut     bool // and so is C
	in, out     int  // element types
	compute     int
}

// productCall is a product with its factors in memory that does not move.
type productCall struct {
	product
	d           *Device
	alpha, beta unsafe.Pointer
	f32         [2]float32
	f64         [2]float64
}

func (d *Device) newProduct(p product) *productCall {
	q := &productCall{product: p, d: d}
	q.f32 = [2]float32{float32(p.alpha), float32(p.beta)}
	q.f64 = [2]float64{p.alpha, p.beta}
	q.alpha, q.beta = unsafe.Pointer(&q.f32[0]), unsafe.Pointer(&q.f32[1])
	if p.compute == computeF64 {
		q.alpha, q.beta = unsafe.Pointer(&q.f64[0]), unsafe.Pointer(&q.f64[1])
	}
	return q
}

func transposed(t bool) uintptr {
	if t {
		return 1
	}
	return 0
}

// enqueue sends the product to the stream. cuBLAS is column-major: a row-major
// C = A·B is Cᵀ = Bᵀ·Aᵀ there, so the operands change places.
func (q *productCall) enqueue() error {
	blas, handle := q.d.blas, q.d.handle
	ta, tb := transposed(q.a.trans), transposed(q.b.trans)
	m, n, k, batch := uintptr(q.m), uintptr(q.n), uintptr(q.k), uintptr(q.batch)
	in, out := uintptr(q.in), uintptr(q.out)
	var r int32
	switch {
	case q.batch > 1:
		r = dynlib.Call(blas.GemmStrided, handle, tb, ta, n, m, k, uintptr(q.alpha), uintptr(q.b.at), in, uintptr(q.b.ld), uintptr(q.b.stride),
			uintptr(q.a.at), in, uintptr(q.a.ld), uintptr(q.a.stride), uintptr(q.beta), uintptr(q.c.at), out, uintptr(q.c.ld), uintptr(q.c.stride),
			batch, uintptr(q.compute), gemmDefault)
	default:
		r = dynlib.Call(blas.GemmEx, handle, tb, ta, n, m, k, uintptr(q.alpha), uintptr(q.b.at), in, uintptr(q.b.ld),
			uintptr(q.a.at), in, uintptr(q.a.ld), uintptr(q.beta), uintptr(q.c.at), out, uintptr(q.c.ld), uintptr(q.compute), gemmDefault)
	}
	return errors.Wrapf(blas.check("cuBLAS", r), "cuda: a product of %d x %d x %d", q.m, q.n, q.k)
}
