package xlstm

import (
	"slices"
	"strings"

	"gorgonia.org/tensor"
)

// Layout is the order of the recurrent kernels and biases of sLSTM cells in a
// file. The official implementation stores them in the layout of the backend
// with which the model was created. For NH heads of width DH:
//
//	            _recurrent_kernel_        _bias_
//	Vanilla     (NH, 4·DH out, DH in)     (4, NH, DH), flat
//	CUDA        (NH, DH in, 4·DH out)     (NH, 4, DH), flat
//
// where 4 are the gates, and 4·DH is gate by gate. All other tensors are the
// same in both.
type Layout int

const (
	// AnyLayout determines the layout of a kernel from its shape, which always
	// differs between the two, and assumes the same layout for its bias.
	AnyLayout Layout = iota
	// Vanilla is the layout of the PyTorch backend and of the parameters in
	// this package.
	Vanilla
	// CUDA is the layout of the GPU backend.
	CUDA
)

// String returns the name of the layout.
func (l Layout) String() string {
	switch l {
	case Vanilla:
		return "vanilla"
	case CUDA:
		return "CUDA"
	}
	return "any"
}

// The endings of the names of the parameters that a layout is about.
const (
	kernelSuffix = ".slstm_cell._recurrent_kernel_"
	biasSuffix   = ".slstm_cell._bias_"
)

// cellName returns the name of the sLSTM cell that a kernel or a bias is of.
func cellName(name string) (cell string, ok bool) {
	if cell, ok = strings.CutSuffix(name, kernelSuffix); ok {
		return cell, true
	}
	return strings.CutSuffix(name, biasSuffix)
}

// layoutOf returns the layout in which a kernel has the shape got, where want is
// its shape in the vanilla layout; AnyLayout if in none.
func layoutOf(got, want []int) Layout {
	switch {
	case slices.Equal(got, want):
		return Vanilla
	case len(want) == 3 && slices.Equal(got, []int{want[0], want[2], want[1]}):
		return CUDA
	}
	return AnyLayout
}

// toVanilla reorders the numbers of a kernel or a bias that lie in CUDA's layout,
// for heads of them; toCUDA the other way around.
func toVanilla[T float32 | float64](name string, heads int, numbers []T) []T {
	if strings.HasSuffix(name, kernelSuffix) {
		in := headWidth(heads, len(numbers))
		return swapAxes(heads, in, 4*in, 1, numbers)
	}
	return swapAxes(1, heads, 4, len(numbers)/(4*heads), numbers)
}

func toCUDA[T float32 | float64](name string, heads int, numbers []T) []T {
	if strings.HasSuffix(name, kernelSuffix) {
		in := headWidth(heads, len(numbers))
		return swapAxes(heads, 4*in, in, 1, numbers)
	}
	return swapAxes(1, 4, heads, len(numbers)/(4*heads), numbers)
}

// headWidth returns DH for a kernel of n = NH·4·DH² numbers.
func headWidth(heads, n int) int {
	dh := 1
	for 4*heads*dh*dh < n {
		dh++
	}
	return dh
}

// swapAxes swaps the two axes in the middle of a (n, rows, columns, block).
func swapAxes[T any](n, rows, columns, block int, a []T) []T {
	out := make([]T, 0, len(a))
	for k := range n {
		for c := range columns {
			for r := range rows {
				at := ((k*rows+r)*columns + c) * block
				out = append(out, a[at:at+block]...)
			}
		}
	}
	return out
}

// inCUDALayout returns a copy of a kernel or a bias in CUDA's layout.
func inCUDALayout(name string, heads int, t *tensor.Dense) *tensor.Dense {
	shape := slices.Clone(t.Shape())
	if strings.HasSuffix(name, kernelSuffix) {
		shape[1], shape[2] = shape[2], shape[1]
	}
	if t.Dtype() == tensor.Float64 {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(toCUDA(name, heads, t.Float64s())))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(toCUDA(name, heads, t.Float32s())))
}
