// Package processor reports which instruction sets the assembly of this module
// may use on the current processor.
//
// Both can be disabled for a process with the environment variable GODEBUG, as
// described in package golang.org/x/sys/cpu: GODEBUG=cpu.avx512f=off disables
// AVX-512, and GODEBUG=cpu.avx2=off disables AVX2 and AVX-512.
package processor
