package bench

import (
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
)

// TestEveryWorkloadHasItsOwnName: where two groups share a workload it is the
// same one, and a name with a slash begins with its group's.
func TestEveryWorkloadHasItsOwnName(t *testing.T) {
	shapes, groups := map[string][2]int{}, map[string]bool{}
	for _, g := range Groups() {
		if groups[g.Name] {
			t.Errorf("two groups are named %s", g.Name)
		}
		groups[g.Name] = true
		for _, w := range g.Workloads {
			shape := [2]int{w.Batch, w.Length}
			if before, known := shapes[w.Name]; known && before != shape {
				t.Errorf("%s is %v and %v", w.Name, before, shape)
			}
			shapes[w.Name] = shape
			if group, _, divided := strings.Cut(w.Name, "/"); divided && group != g.Name {
				t.Errorf("%s is in group %s", w.Name, g.Name)
			}
		}
	}
}

// TestTasksRunOnADevice: models do, and are measured with its name; products are not.
func TestTasksRunOnADevice(t *testing.T) {
	b := Bench{Seconds: 0.01, Device: cpu.Device{}, Precision: "bf16"}
	tiny := Model{Name: "tiny", Width: 16, Blocks: 2, Batch: 2, Length: 8}
	for _, w := range []Workload{tiny.Training(), tiny.Generation(xlstm.WeightsFloat32)} {
		m, err := b.Here(t.Context(), w)
		if err != nil || m.Device != "cpu" || m.Precision != "bf16" || m.TokPerS <= 0 || m.GFLOPS <= 0 || m.GemmGFLOPS != 0 {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if _, err := b.Here(t.Context(), Product(64)); err == nil || !strings.Contains(err.Error(), "on the CPU only") {
		t.Errorf("a product on a device: %v", err)
	}
	if chosen, err := Choose([]string{"large"}, true); err != nil || len(chosen) != 1 || chosen[0].Tokens() != 16384 {
		t.Errorf("%v, %v", chosen, err)
	}
}

// TestTasksRunAndAreCounted prepares and runs the small ones.
func TestTasksRunAndAreCounted(t *testing.T) {
	tiny := Model{Name: "tiny", Width: 16, Blocks: 2, Batch: 2, Length: 8}
	for _, w := range []Workload{tiny.Training(), tiny.Generation(xlstm.WeightsFloat32), tiny.Generation(xlstm.WeightsInt8), Cell(8, 100), Product(256)} {
		task, err := w.Prepare()
		if err != nil {
			t.Fatalf("%s: %v", w.Name, err)
		}
		for range 2 {
			if err := task.Step(); err != nil {
				t.Fatalf("%s: %v", w.Name, err)
			}
		}
		if task.FLOPs <= 0 {
			t.Errorf("%s: a step of %v FLOPs", w.Name, task.FLOPs)
		}
		if err := task.Close(); err != nil {
			t.Errorf("%s: %v", w.Name, err)
		}
	}
}
