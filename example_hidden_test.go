package xlstm_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Sequences are classified by another head on the hidden states: which of the
// tokens 0 and 1 came last, whatever number of 2s came after it? The target of
// every token but a sequence's last is ignored.
func ExampleModel_Fwd_classify() {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 3, 32, 1, xlstm.AllBlocks()
	model, err := xlstm.New(cfg)
	check(err)

	const batch, steps, classes = 32, 8, 2
	g := gorgonia.NewGraph()
	ids := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(batch*steps), gorgonia.WithName("ids"))
	class := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(batch*steps), gorgonia.WithName("class"))
	out, err := model.Fwd(g, xlstm.GraphInput{Batch: batch, Tokens: ids}, xlstm.FwdConfig{WithoutHead: true})
	check(err)
	store, err := layers.NewStore(tensor.Float32, 1)
	check(err)
	scope := layers.NewScope(g, store, batch)
	head, err := layers.NewLinear(scope.Sub("classifier"), cfg.EmbeddingDim, classes, true, layers.Small(cfg.EmbeddingDim))
	check(err)
	scores, err := head.Fwd(out.Hidden) // (batch·steps, classes)
	check(err)
	loss, err := nodes.CrossEntropy(scores, class)
	check(err)
	learned := append(out.Model(), scope.Learnables()...)
	_, err = gorgonia.Grad(loss, learned...)
	check(err, nodes.Check(g))

	machine := gorgonia.NewTapeMachine(g)
	defer machine.Close()
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(5e-3)})
	check(err)
	rng := rand.New(rand.NewPCG(1, 2))
	right := 0
	for step := range 110 {
		tokens, targets := make([]int, batch*steps), make([]int, batch*steps)
		for i := range tokens {
			tokens[i], targets[i] = rng.IntN(3), nodes.Ignored
		}
		for b := range batch {
			last := 0
			for _, t := range tokens[b*steps : (b+1)*steps] {
				if t < 2 {
					last = t
				}
			}
			targets[(b+1)*steps-1] = last
		}
		machine.Reset()
		check(gorgonia.Let(ids, tensor.New(tensor.WithBacking(tokens))), gorgonia.Let(class, tensor.New(tensor.WithBacking(targets))))
		check(machine.RunAll(), solver.Step(gorgonia.NodesToValueGrads(learned)))
		if step < 100 {
			continue
		}
		got := scores.Value().Data().([]float32)
		for i, want := range targets {
			if want != nodes.Ignored && (got[2*i+1] > got[2*i]) == (want == 1) {
				right++
			}
		}
	}
	fmt.Printf("%d of 320 right\n", right)
	// Output: 320 of 320 right
}
