package processor

import "golang.org/x/sys/cpu"

// AVX2 reports whether the processor and the operating system have what kernels
// without AVX512 in their names use: AVX, AVX2 and FMA.
func AVX2() bool {
	return cpu.X86.HasAVX && cpu.X86.HasAVX2 && cpu.X86.HasFMA
}

// AVX512 reports whether they have what kernels with AVX512 in their names use:
// the foundation of AVX-512, its instructions on shorter vectors (VL), and BMI2
// beside what AVX2 asks for.
func AVX512() bool {
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2 && AVX2()
}
