package bench

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	gblas "gonum.org/v1/gonum/blas"
)

// heads is the number of heads of all models.
const heads = 4

// nothing is the Close of what holds nothing.
func nothing() error { return nil }

// Cell returns the workload of the mLSTM cell alone, forward and backward, on
// one sequence with heads of the given width.
func Cell(width, length int) Workload {
	return Workload{Name: fmt.Sprintf("mlstm-%d/%d", width, length), Batch: 1, Length: length, Prepare: func() (*Task, error) {
		flops, err := cellFLOPs(width, length)
		if err != nil {
			return nil, err
		}
		return &Task{Step: cell(width, length), Close: nothing, FLOPs: flops}, nil
	}}
}

// cell returns the step of Cell, with forget gates around σ(3), for a memory of
// some twenty tokens.
func cell(width, length int) func() error {
	s := kernels.MLSTM{
		B: 1, T: length, NH: heads, DQK: width, DHV: width, Chunk: nodes.DefaultChunk,
		ScaleQ: 1, ScaleK: 1 / math.Sqrt(float64(width)), Eps: nodes.DefaultEps,
	}
	n, gates := length*heads*width, length*heads
	q, k, v, dh := normals(1, n), normals(2, n), normals(3, n), normals(4, n)
	i, f := normals(5, gates), normals(6, gates)
	for t := range f {
		f[t] += 3
	}
	h := make([]float32, n)
	last := kernels.MLSTMState[float32]{C: make([]float32, heads*width*width), N: make([]float32, heads*width), M: make([]float32, heads)}
	grads := kernels.MLSTMGrads[float32]{
		Q: make([]float32, n), K: make([]float32, n), V: make([]float32, n), I: make([]float32, gates), F: make([]float32, gates),
	}
	none := kernels.MLSTMState[float32]{}
	return func() error {
		kernels.MLSTMForward(s, q, k, v, i, f, none, h, last)
		kernels.MLSTMBackward(s, q, k, v, i, f, none, h, dh, none, grads)
		return nil
	}
}

// cellFLOPs takes what the cell costs from a model that has such a cell: its
// inner width is twice the model's.
func cellFLOPs(width, length int) (float64, error) {
	cost, err := Model{Width: heads * width / 2, Blocks: 1}.Config().Cost(xlstm.CostOptions{Batch: 1, Steps: length})
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, p := range cost.Parts {
		if p.Name == "cell" {
			sum += 2 * (p.Forward + p.Backward) * float64(length)
		}
	}
	return sum, nil
}

// Product returns the workload of 2³⁰ multiply-adds in products of n×n
// matrices, where n is a power of 2 up to 1024: many small products, so that a
// step is long enough to be timed.
func Product(n int) Workload {
	return Workload{Name: fmt.Sprintf("gemm/%d", n), OneThread: true, Prepare: func() (*Task, error) {
		const work = 1 << 30
		engine := blas.Implementation()
		a, b, c := normals(1, n*n), normals(2, n*n), make([]float32, n*n)
		return &Task{
			Step: func() error {
				for range work / (n * n * n) {
					engine.Sgemm(gblas.NoTrans, gblas.NoTrans, n, n, n, 1, a, n, b, n, 0, c, n)
				}
				return nil
			},
			Close: nothing,
			FLOPs: 2 * work,
		}, nil
	}}
}

// Products returns the matrix products that are measured.
func Products() []Workload { return []Workload{Product(64), Product(256), Product(512), Product(1024)} }
