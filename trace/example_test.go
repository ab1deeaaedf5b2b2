package trace_test

import (
	"fmt"
	"log"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/trace"
)

// What a model's memory does with a text: how far each head forgets, and which
// tokens it retrieves.
func ExampleOf() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize = 10
	model, err := xlstm.New(cfg)
	check(err)
	memory, err := trace.Of(model, []int{3, 1, 4, 1, 5}, trace.Config{From: 1, To: 5})
	check(err)
	for h, head := range memory.Blocks[0].MLSTM {
		fmt.Printf("head %d: %d gates, log σ(f~) of %.3f; a matrix of %d rows\n", h, len(head.Input), head.LogForget[0], len(head.Retrieval))
	}
	// Output:
	// head 0: 5 gates, log σ(f~) of -0.049; a matrix of 4 rows
	// head 1: 5 gates, log σ(f~) of -0.018; a matrix of 4 rows
	// head 2: 5 gates, log σ(f~) of -0.007; a matrix of 4 rows
	// head 3: 5 gates, log σ(f~) of -0.002; a matrix of 4 rows
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
