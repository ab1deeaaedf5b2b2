// Package bench measures training, generation and their parts: models with the
// shapes they are trained in, generation, the mLSTM cell alone, and products of
// matrices. The bench command of the training program and Go's benchmarks measure
// the same workloads, which are defined here.
//
// All numbers are float32, all draws are seeded, all models have 4 heads and a
// vocabulary of 65.
package bench

import (
	"fmt"
	"math/rand/v2"
)

// Workload is something to measure.
type Workload struct {
	Name string
	// Batch and Length are the sequences that a step reads or writes and the
	// tokens in each; 0 where there are none.
	Batch, Length int
	// OneThread says that it is to be measured on one core.
	OneThread bool
	// Prepare makes it ready to run.
	Prepare func() (*Task, error)
}

// Tokens is the number of tokens of a step.
func (w Workload) Tokens() int { return w.Batch * w.Length }

// Task is a workload that is ready to run.
type Task struct {
	Step  func() error
	Close func() error
	// FLOPs counts a step's matrix products, two for a multiply-add.
	FLOPs float64
	// Bytes is the memory that the step is computed to need; 0 if it is little.
	Bytes int64
}

// Group is a name for workloads that are measured together.
type Group struct {
	Name      string
	Workloads []Workload
}

// Groups returns everything there is to measure. A workload may be in several
// groups.
func Groups() []Group {
	var groups []Group
	for _, m := range Models() {
		groups = append(groups, Group{m.Name, []Workload{m.Training()}})
	}
	for _, m := range Writers() {
		groups = append(groups, Group{"generate-" + m.Name, []Workload{m.Generation()}})
	}
	for _, width := range []int{64, 128} {
		g := Group{Name: fmt.Sprintf("mlstm-%d", width)}
		for _, length := range []int{1024, 4096, 16384} {
			g.Workloads = append(g.Workloads, Cell(width, length))
		}
		groups = append(groups, g)
	}
	flat := Group{Name: "flat"}
	for _, m := range append([]Model{long("flat/256", 256, 16)}, longer()...) {
		flat.Workloads = append(flat.Workloads, m.Training())
	}
	return append(groups, Group{"gemm", Products()}, flat)
}

// normals returns n seeded draws from the standard normal distribution.
func normals(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}
