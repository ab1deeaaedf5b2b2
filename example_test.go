package xlstm_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func check(errs ...error) {
	for _, err := range errs {
		if err != nil {
			log.Fatal(err)
		}
	}
}

// A model is opened with its vocabulary, and continues texts.
func Example() {
	ctx := context.Background()
	lm, err := xlstm.Open("testdata/countdown")
	check(err)
	defer lm.Close()
	text, err := lm.Generate(ctx, "9 8 7 ", xlstm.MaxTokens(5), xlstm.Temperature(0))
	check(err)
	fmt.Println(text)
	for piece, err := range lm.Stream(ctx, "3 2 ", xlstm.Stop(".")) {
		check(err)
		fmt.Print(piece)
	}
	// Output:
	// 6 5 4
	// 1 go
}

// A language model with three tokens memorises a tune and continues it.
func Example_training() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 3, 32, 2, xlstm.Blocks(1)
	model, err := xlstm.New(cfg)
	check(err)
	train, err := model.Compile(xlstm.ProgramConfig{Batch: 1, Steps: 8, Grad: true})
	check(err)
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-2)})
	check(err)
	tune := []int{0, 1, 2, 1, 0, 1, 2, 1, 0}
	for range 50 {
		check(train.Run(xlstm.Input{Tokens: tune[:8], Targets: tune[1:]}))
		check(solver.Step(train.ValueGrads()))
	}
	writer, err := model.NewGenerator()
	check(err, writer.Read(0, 1))
	likeliest, err := xlstm.NewSampler(xlstm.SamplerConfig{})
	check(err)
	for range 6 {
		token, err := writer.Next(likeliest)
		check(err)
		fmt.Print(token, " ")
	}
	// Output: 2 1 0 1 2 1
}

// A model in an existing graph, with a custom loss.
func ExampleModel_Fwd() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize = 10
	model, err := xlstm.New(cfg)
	check(err)

	const batch, steps = 2, 5
	g := gorgonia.NewGraph()
	ids := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(batch*steps), gorgonia.WithName("ids"))
	out, err := model.Fwd(g, xlstm.GraphInput{Batch: batch, Tokens: ids}, xlstm.FwdConfig{})
	check(err)
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(out.Logits))))
	_, err = gorgonia.Grad(loss, out.Model()...)
	check(err, nodes.Check(g))

	machine := gorgonia.NewTapeMachine(g)
	defer machine.Close()
	check(gorgonia.Let(ids, tensor.New(tensor.WithShape(batch*steps), tensor.WithBacking([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 0}))))
	check(machine.RunAll())
	fmt.Println(out.Logits.Shape(), len(out.Model()), "parameters")
	// Output: (10, 10) 17 parameters
}

// The state of a text is a value: read once, continued often.
func ExampleProgram_Run_state() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize = 10
	model, err := xlstm.New(cfg)
	check(err)
	reader, err := model.Compile(xlstm.ProgramConfig{Batch: 1, Steps: 3, Carry: true})
	check(err)
	defer reader.Close()

	state, err := model.NewState(1)
	check(err)
	check(reader.Run(xlstm.Input{Tokens: []int{1, 2, 3}, State: state}))
	check(reader.Run(xlstm.Input{Tokens: []int{4, 5, 6}, State: state.Clone()}))
	check(reader.Run(xlstm.Input{Tokens: []int{7, 8, 9}, State: state.Clone()}))
	for _, part := range state.Tensors() {
		fmt.Println(part.Name, part.Value.Shape())
	}
	// Output:
	// block_0.conv (1, 4, 256)
	// block_0.mlstm_c (1, 4, 64, 64)
	// block_0.mlstm_n (1, 4, 64)
	// block_0.mlstm_m (1, 4)
}
