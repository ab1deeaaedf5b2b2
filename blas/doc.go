// Package blas is a BLAS for the CPU whose matrix-matrix and matrix-vector
// products run in Go assembly, without cgo or any setup. It implements the
// interfaces of gonum's package blas, so that
//
//	gorgonia.Use(blas.Implementation())
//
// makes a Gorgonia program use it; gonum's blas32.Use and blas64.Use accept it
// too. All other BLAS functions are gonum's own pure Go implementation.
//
// # What it computes
//
// Matrices are stored in row-major order: element (i, j) of a matrix with
// leading dimension ld is at i·ld + j. Sgemm and Dgemm compute, for m×k op(A),
// k×n op(B) and m×n C,
//
//	C = alpha·op(A)·op(B) + beta·C      op(X) = X or Xᵀ
//
// and Sgemv and Dgemv compute y = alpha·op(A)·x + beta·y for an m×n A. If beta
// is zero, C and y are overwritten without being read; if alpha or the inner
// dimension is zero, A and B are not read. Arguments are checked as in gonum,
// with the same panics. A, B and x may overlap each other, but not C or y.
//
// # NaN, infinities, rounding
//
// Every product of an element of A with one of B is formed, as in a triple
// loop: 0·Inf and 0·NaN are NaN and propagate to C. gonum skips zero elements
// of A in three of the four transpose cases, where they do not propagate.
// Products are added with one rounding each (fused multiply-add), in the order
// of the inner index within blocks of at most 512 (128 if A has one row), and
// block after block; scalar products (see below) use a fixed number of partial
// sums. The error of an element of C is therefore at most (k+3)·ε times the sum
// of |alpha·a·b| and |beta·c|, with ε = 2⁻²³ for float32 and 2⁻⁵² for float64.
//
// The order depends only on the shape. Results are the same bits for any
// GOMAXPROCS and for all three instruction sets.
//
// # How
//
// Kernels for AVX-512, for AVX2 with FMA and for arm64's NEON keep a tile of C
// in registers (12×32, 6×16 and 6×16 float32, half as wide in float64) while
// they run along the inner index. Package golang.org/x/sys/cpu determines which
// of the first two an amd64 machine can run; every arm64 processor has NEON.
// The kernels accept A with any two strides and B with any stride between rows,
// so that most matrices are read in place. Data that is read repeatedly with
// large strides is copied first, and a transposed B always is. A [Packed] is
// such a copy, made once for many products. Products of a few rows of A with a
// transposed B, and Sgemv and Dgemv without transposition, are computed as
// scalar products instead.
//
// Products of many million multiply-adds are divided along the longer side of
// C. At most GOMAXPROCS goroutines compute the pieces, and all have ended when
// the call returns; [BLAS.Serial] and [Packed] start none. All functions may be
// called concurrently. Copies use memory that is kept for the next call: once
// it is large enough for the shapes, calls do not allocate.
//
// # Limits
//
// On architectures other than amd64 and arm64, on amd64 without AVX2 and FMA,
// and in builds with the tag purego, all functions are gonum's. So are Sgemv
// and Dgemv with a negative increment, or with a transposed A and an increment
// of y other than 1.
package blas
