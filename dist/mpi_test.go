//go:build mpi

package dist_test

// hasMPI reports whether this test program has MPI.
const hasMPI = true
