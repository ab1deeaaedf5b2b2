package xlstm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
)

// countdown returns a model that knows one text by heart.
func countdown() (*xlstm.Model, data.Tokenizer) {
	const text = "9 8 7 6 5 4 3 2 1 go. "
	tok, err := data.NewChars(text, 1)
	check(err)
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = tok.Size(), 32, 2, xlstm.Blocks(1)
	model, err := xlstm.New(cfg)
	check(err)
	ids := tok.Encode(text)
	steps := len(ids) - 1
	train, err := model.Compile(xlstm.ProgramConfig{Batch: 1, Steps: steps, Grad: true})
	check(err)
	defer train.Close()
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-2)})
	check(err)
	for range 60 {
		check(train.Run(xlstm.Input{Tokens: ids[:steps], Targets: ids[1:]}))
		check(solver.Step(train.ValueGrads()))
	}
	return model, tok
}

// TestWriteCountdown writes testdata/countdown, which examples open, if
// XLSTM_WRITE_TESTDATA is set.
func TestWriteCountdown(t *testing.T) {
	if os.Getenv("XLSTM_WRITE_TESTDATA") == "" {
		t.Skip("XLSTM_WRITE_TESTDATA is not set")
	}
	model, tok := countdown()
	const dir = "testdata/countdown"
	check(model.Save(dir, xlstm.SaveConfig{Encoding: safetensors.BF16}), data.WriteTokenizer(dir, tok))
}

// Prompts of different lengths, continued at once: when one ends, the next takes
// its place.
func ExampleBatchGenerator_Complete() {
	model, tok := countdown()
	b, err := model.NewBatchGenerator(2)
	check(err)
	defer b.Close()
	var requests []xlstm.Request
	for _, prompt := range []string{"9 8 7 6 5 ", "9", "9 8 7"} {
		requests = append(requests, xlstm.Request{Prompt: prompt, MaxTokens: 40, Stop: []string{" go"}})
	}
	done, err := b.Complete(context.Background(), tok, requests, nil)
	check(err)
	for i, c := range done {
		fmt.Printf("%q, then %q: %s\n", requests[i].Prompt, c.Text, c.End)
	}
	// Output:
	// "9 8 7 6 5 ", then "4 3 2 1": stop
	// "9", then " 8 7 6 5 4 3 2 1": stop
	// "9 8 7", then " 6 5 4 3 2 1": stop
}

// A text that is shown as it is written.
func ExampleGenerator_Complete() {
	model, tok := countdown()
	g, err := model.NewGenerator()
	check(err)
	defer g.Close()
	c, err := g.Complete(context.Background(), tok, xlstm.Request{Prompt: "9 8 7 ", MaxTokens: 5}, func(text string) error {
		fmt.Printf("%q ", text)
		return nil
	})
	check(err)
	fmt.Println(len(c.Tokens), c.End)
	// Output: "6" " " "5" " " "4" 5 length
}

// A text is read once, and continued later from its state.
func ExampleGenerator_SaveState() {
	model, tok := countdown()
	dir, err := os.MkdirTemp("", "state")
	check(err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "countdown.state")

	reader, err := model.NewGenerator()
	check(err, reader.Read(tok.Encode("9 8 7 6 5 4 3")...), reader.SaveState(path))
	defer reader.Close()

	g, err := model.NewGenerator()
	check(err, g.LoadState(path))
	defer g.Close()
	c, err := g.Complete(context.Background(), tok, xlstm.Request{MaxTokens: 40, Stop: []string{"."}}, nil)
	check(err)
	fmt.Printf("%q after %d tokens\n", c.Text, g.Tokens()-len(c.Tokens))
	// Output: " 2 1 go" after 13 tokens
}
