package xlstm_test

import (
	"fmt"
	"os"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// A complete training program: a vocabulary, batches, training, evaluation, a
// model saved, loaded and sampled.
func ExampleTrainer() {
	text := ""
	for i := range 200 {
		text += fmt.Sprintf("%d green bottles hanging on the wall.\n", 100-i%100)
	}
	tok, err := data.NewChars(text, 1)
	check(err)
	train, held, err := data.Split(tok.Encode(text), 0.1, 33)
	check(err)

	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = tok.Size(), 32, 2, xlstm.Blocks(1)
	model, err := xlstm.New(cfg, xlstm.WithSeed(7))
	check(err)
	const steps, batch, length = 120, 4, 32
	solver, err := optim.NewAdamW(optim.AdamWConfig{
		LR: optim.WarmupCosine(1e-2, 1e-3, 10, steps), WeightDecay: 0.1, Decays: optim.OfficialDecay(false), ClipNorm: 1,
	})
	check(err)
	trainer, err := model.NewTrainer(solver, xlstm.TrainerConfig{Batch: batch, Steps: length})
	check(err)
	defer trainer.Close()
	batches, err := data.NewRandomWindows(train, batch, length, 7)
	check(err)
	for range steps {
		_, err := trainer.Step(batches.Next)
		check(err)
	}

	eval, err := model.Compile(xlstm.ProgramConfig{Batch: batch, Steps: length, Loss: true})
	check(err)
	defer eval.Close()
	windows, err := data.NewWindows(held, batch, length, 0)
	check(err)
	loss, targets, err := eval.MeanLoss(windows.All())
	check(err)
	fmt.Println("learned:", loss < 0.5, "on", targets, "characters")

	dir, err := os.MkdirTemp("", "bottles")
	check(err)
	defer os.RemoveAll(dir)
	check(model.Save(dir, xlstm.SaveConfig{}))
	loaded, err := xlstm.Load(dir)
	check(err)
	g, err := loaded.NewGenerator()
	check(err, g.Read(tok.Encode("7 green bottles")...))
	defer g.Close()
	greedy, err := xlstm.NewSampler(xlstm.SamplerConfig{})
	check(err)
	var out []int
	for range 21 {
		t, err := g.Next(greedy)
		check(err)
		out = append(out, t)
	}
	fmt.Println(tok.Decode(out))
	// Output:
	// learned: true on 757 characters
	//  hanging on the wall.
}
