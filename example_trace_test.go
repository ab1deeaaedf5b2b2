package xlstm_test

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm"
)

// What a model's memory does with a text: how far each head forgets, and which
// tokens it retrieves.
func ExampleModel_Trace() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize = 10
	model, err := xlstm.New(cfg)
	check(err)
	trace, err := model.Trace([]int{3, 1, 4, 1, 5}, xlstm.TraceConfig{From: 1, To: 5})
	check(err)
	for h, head := range trace.Blocks[0].MLSTM {
		fmt.Printf("head %d: %d gates, log σ(f~) of %.3f; a matrix of %d rows\n", h, len(head.Input), head.LogForget[0], len(head.Retrieval))
	}
	// Output:
	// head 0: 5 gates, log σ(f~) of -0.049; a matrix of 4 rows
	// head 1: 5 gates, log σ(f~) of -0.018; a matrix of 4 rows
	// head 2: 5 gates, log σ(f~) of -0.007; a matrix of 4 rows
	// head 3: 5 gates, log σ(f~) of -0.002; a matrix of 4 rows
}
