package xlstm

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// TestTrainingAllocatesLittle: a run makes no memory for what operations return.
// A tape machine makes several pieces for every node; what is left here is that of
// goroutines.
func TestTrainingAllocatesLittle(t *testing.T) {
	m := smallModel(t, smallConfig(), tensor.Float32)
	p := compileProgram(t, m, ProgramConfig{Batch: 2, Steps: 20, Grad: true})
	ids := testutil.Tokens(1, 40, 11)
	run := func() { runProgram(t, p, ids, ids, nil) }
	run()
	n, steps := testing.AllocsPerRun(10, run), len(p.graph.AllNodes())
	t.Logf("%v allocations in a run of %d nodes", n, steps)
	if 2*int(n) > steps {
		t.Errorf("%v allocations in a run of %d nodes", n, steps)
	}
}
