//go:build !purego

package blas

// addForced adds every set of kernels that this machine can run.
func addForced(to map[string]BLAS) {
	if hasAVX2() {
		to["AVX2"] = BLAS{single: &singleAVX2, double: &doubleAVX2}
	}
	if hasAVX512() {
		to["AVX512"] = BLAS{single: &singleAVX512, double: &doubleAVX512}
	}
}
