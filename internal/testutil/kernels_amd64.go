package testutil

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

// Sets returns the kernels that this machine can run, by the name of their
// instruction set; plain Go is nil.
func Sets[T any](avx512, avx2 *T) map[string]*T {
	all := map[string]*T{"Go": nil}
	if processor.AVX2() {
		all["AVX2"] = avx2
	}
	if processor.AVX512() {
		all["AVX512"] = avx512
	}
	return all
}
