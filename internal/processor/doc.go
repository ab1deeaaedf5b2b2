// Package processor reports which instruction sets the assembly of this module
// may use on the processor at hand.
//
// Both may be switched off for a process by the environment variable GODEBUG, as
// package golang.org/x/sys/cpu describes: GODEBUG=cpu.avx512f=off takes AVX-512
// away, GODEBUG=cpu.avx2=off AVX2 and AVX-512.
package processor
