// Package bench measures training, generation and their parts: training steps
// of several models, generation, the mLSTM cell alone, and matrix products. The
// bench command of the training program and Go's benchmarks measure the same
// workloads, which are defined here.
//
// All numbers are float32, all random numbers are seeded, and all models have 4
// heads and a vocabulary of 65.
package bench

import (
	"fmt"
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm"
)

// Workload is a computation to be measured.
type Workload struct {
	Name string
	// Batch and Length are the number of sequences that a step reads or writes
	// and the number of tokens in each; 0 if there are none.
	Batch, Length int
	// OneThread means that the workload is measured on one core.
	OneThread bool
	// Prepare makes the workload ready to run.
	Prepare func() (*Task, error)
	// On makes it ready to run on a device; nil if it runs on the CPU only.
	On func(d xlstm.Device) (*Task, error)
}

// Tokens returns the number of tokens of a step.
func (w Workload) Tokens() int { return w.Batch * w.Length }

// Task is a workload that is ready to run.
type Task struct {
	Step  func() error
	Close func() error
	// FLOPs counts a step's matrix products, two for a multiply-add.
	FLOPs float64
	// Bytes is the computed memory of the step; 0 if it is small.
	Bytes int64
}

// Group is a name for workloads that are measured together.
type Group struct {
	Name      string
	Workloads []Workload
}

// Groups returns all groups of workloads. A workload may be in several groups.
func Groups() []Group {
	var groups []Group
	for _, m := range Models() {
		groups = append(groups, Group{m.Name, []Workload{m.Training()}})
	}
	for _, m := range Writers() {
		groups = append(groups, Group{"generate-" + m.Name, []Workload{m.Generation(xlstm.WeightsFloat32)}})
	}
	weights := Group{Name: "weights"}
	for _, m := range Models()[:2] { // A and B
		for _, format := range []xlstm.WeightFormat{xlstm.WeightsBF16, xlstm.WeightsInt8, xlstm.WeightsInt4} {
			weights.Workloads = append(weights.Workloads, m.Generation(format))
		}
	}
	groups = append(groups, weights)
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

// DeviceGroups returns the groups that are measured on a device: the models, and
// one that is too large for most CPUs.
func DeviceGroups() []Group {
	var groups []Group
	for _, m := range append(Models(), large()) {
		groups = append(groups, Group{m.Name, []Workload{m.Training()}})
	}
	for _, m := range append(Writers(), large()) {
		groups = append(groups, Group{"generate-" + m.Name, []Workload{m.Generation(xlstm.WeightsFloat32)}})
	}
	return groups
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
