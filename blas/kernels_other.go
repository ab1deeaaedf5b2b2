//go:build (!amd64 && !arm64) || purego

package blas

func bestSingle() *kernels[float32] { return nil }

func bestDouble() *kernels[float64] { return nil }
