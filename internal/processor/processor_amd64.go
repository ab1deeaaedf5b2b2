package processor

import "golang.org/x/sys/cpu"

// AVX2 reports whether the processor and the operating system support the
// instructions of kernels without AVX512 in their names: AVX, AVX2 and FMA.
func AVX2() bool {
	return cpu.X86.HasAVX && cpu.X86.HasAVX2 && cpu.X86.HasFMA
}

// AVX512 reports whether the processor and the operating system support the
// instructions of kernels with AVX512 in their names: those of AVX2, AVX-512
// Foundation (F), its instructions on shorter vectors (VL), and BMI2.
func AVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 && AVX2()
}

// AVX512VNNI reports whether the processor and the operating system support the
// instructions of kernels with AVX512VNNI in their names: those of AVX512, AVX-512 on
// bytes and words (BW), and its scalar products of bytes (VNNI).
func AVX512VNNI() bool {
	return cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && AVX512()
}

// Best returns the kernels of the best instruction set that is supported, or nil
// if neither is.
func Best[T any](avx512, avx2 *T) *T {
	switch {
	case AVX512():
		return avx512
	case AVX2():
		return avx2
	}
	return nil
}
