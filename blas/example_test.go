package blas_test

import (
	"fmt"

	gonumblas "gonum.org/v1/gonum/blas"

	"github.com/gorgonia-xlstm/xlstm/blas"
)

func ExampleImplementation() {
	a := []float32{
		1, 2, 3,
		4, 5, 6,
	}
	b := []float32{ // two rows of three: used transposed
		1, 0, 1,
		0, 1, 0,
	}
	c := make([]float32, 4)
	blas.Implementation().Sgemm(gonumblas.NoTrans, gonumblas.Trans, 2, 2, 3, 1, a, 3, b, 3, 0, c, 2)
	fmt.Println(c)
	// Output: [4 2 10 5]
}

func ExamplePacked() {
	b := []float32{ // two rows of three: used transposed
		1, 0, 1,
		0, 1, 0,
	}
	var p blas.Packed[float32]
	p.Pack(gonumblas.Trans, 3, 2, b, 3)
	c := make([]float32, 2)
	for _, a := range [][]float32{{1, 2, 3}, {4, 5, 6}} {
		p.Gemm(gonumblas.NoTrans, 1, 1, a, 3, 0, c, 2)
		fmt.Println(c)
	}
	// Output:
	// [4 2]
	// [10 5]
}
