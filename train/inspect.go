package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// inspectCommand shows what a model costs: of a run, of a model's folder, or of
// the settings that flags give.
func inspectCommand(_ context.Context, args []string, c console) error {
	f := newFlags("inspect", "Show a model's size, memory and cost: of a run, of a model's folder or file of weights, or of the settings given.", c,
		"inspect runs/small", "inspect -preset medium", "inspect -model config.json -vocab 50304 -batch 1 -length 4096",
		"inspect runs/small -device cuda -precision bf16 -card 80")
	var model modelSource
	model.register(f)
	batch := f.Int("batch", 0, "sequences in a batch (default: the run's or the preset's, or 8)")
	length := f.Int("length", 0, "tokens in a sequence (default: the run's or the preset's, or 256)")
	shards := f.Int("shards", 1, "ranks over which AdamW's moments are divided (train -shard-optimizer); the batch is that of one")
	card := f.Float64("card", 0, "memory of the device in GiB: say which batch fits (0: do not)")
	var on onDevice
	on.register(f)
	folder, err := parseFolder(f, args)
	if err != nil {
		return err
	}
	s, err := model.load(f, folder)
	if err != nil {
		return err
	}
	opts := xlstm.CostOptions{Batch: cmp.Or(*batch, s.Batch, 8), Steps: cmp.Or(*length, s.Length, 256), Shards: *shards}
	if *shards < 1 {
		return errors.Errorf("-shards is %d; it is a number of ranks, at least 1", *shards)
	}
	if opts.Device, err = on.plan(); err != nil {
		return err
	}
	if err := printInspect(c.out, s.Model, opts); err != nil || *card == 0 {
		return err
	}
	return printFit(c.out, s.Model, opts, *card)
}

// printFit writes which batch a device of so many GiB can be trained with.
func printFit(out io.Writer, cfg xlstm.Config, opts xlstm.CostOptions, gib float64) error {
	if !(gib > 0 && gib < 1<<20) {
		return errors.Errorf("-card is %v; it is the memory of a device in GiB, such as 80", gib)
	}
	batch, err := cfg.LargestBatch(opts, int64(gib*(1<<30)))
	if err != nil {
		return err
	}
	if batch == 0 {
		_, err = fmt.Fprintf(out, "\nA device of %v GiB cannot train on a single sequence of %s tokens.\n", gib, numbers.Commas(opts.Steps))
		return err
	}
	_, err = fmt.Fprintf(out, "\nA device of %v GiB can train on %s × %s tokens.\n", gib, numbers.Commas(batch), numbers.Commas(opts.Steps))
	return err
}

// printInspect writes what a model is made of and what it costs: its parts, its
// memory and its arithmetic, in training, in evaluation and in generation.
func printInspect(out io.Writer, cfg xlstm.Config, opts xlstm.CostOptions) error {
	cost, err := cfg.Cost(opts)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	what := "xLSTM"
	if cfg.LSTM != nil {
		what = "LSTM"
	}
	fmt.Fprintf(&page, "An %s of %s for a vocabulary of %s: %s parameters.\n\n", what, run.Size(cfg), numbers.Commas(cfg.VocabSize), numbers.Commas(cost.Total().Params))
	width, terminal := columns(out)
	if !terminal {
		width = math.MaxInt
	}
	printParts(&page, cost, width)
	printMemory(&page, cost)
	printArithmetic(&page, cost)
	_, err = page.WriteTo(out)
	return errors.Wrap(err, "writing what the model costs")
}

// printParts writes the table of parts. Blocks of a kind are alike, so that they
// stand together. Where the lines would be wider than width they go without
// shapes, and then without multiply-adds.
func printParts(page *bytes.Buffer, cost xlstm.Cost, width int) {
	total := cost.Total()
	line := func(name, params, share, adds, shapes string) {
		text := fmt.Sprintf("%-26s %15s %8s", name, params, share)
		if width > 70 {
			text += fmt.Sprintf(" %15s", adds)
		}
		if width >= 110 {
			text += "   " + shapes
		}
		fmt.Fprintln(page, strings.TrimRight(text, " "))
	}
	row := func(name string, times int, p xlstm.PartCost, shapes string) {
		params, adds := int64(times)*p.Params, int64(float64(times)*p.Forward+0.5)
		line(name, numbers.Commas(params), numbers.Percent(float64(params)/float64(total.Params)), numbers.Commas(adds), shapes)
	}
	line("part", "parameters", "share", "multiply-adds", "shapes")
	block := -1
	for _, p := range cost.Parts {
		if p.Block < 0 {
			row(p.Name, 1, p, shapes(p))
			continue
		}
		if p.Block != block {
			block = p.Block
			row(p.Kind+" blocks", p.Times, cost.OfBlock(block), "in "+ranges(cost.Alike(block)))
		}
		row("  "+p.Name, p.Times, p, shapes(p))
	}
	row("total", 1, total, "")
	fmt.Fprintln(page, "\nParameters and multiply-adds of blocks are summed up, shapes are those of one.\nMultiply-adds are those of a forward pass, per token.")
}

// shapes lists the shapes of a part's parameters.
func shapes(p xlstm.PartCost) string {
	var list []string
	for _, t := range p.Tensors {
		var axes []string
		for _, n := range t.Shape {
			axes = append(axes, strconv.Itoa(n))
		}
		list = append(list, strings.Join(axes, "×"))
	}
	return strings.Join(list, ", ")
}

func printMemory(page *bytes.Buffer, cost xlstm.Cost) {
	row := func(name string, bytes int64) {
		fmt.Fprintf(page, "  %-24s %15s\n", name, numbers.Human(float64(bytes), "B"))
	}
	m := cost.TrainingMemory()
	where := "in float32"
	if cost.Device != nil {
		where = "on " + cost.Device.Name()
	}
	fmt.Fprintf(page, "\nMemory to train on %d × %d tokens, %s:\n", cost.Batch, cost.Steps, where)
	row("parameters", m.Params)
	if m.Copies > 0 {
		row("copies in bfloat16", m.Copies)
	}
	row("gradients", m.Gradients)
	if cost.Shards > 1 {
		row(fmt.Sprintf("AdamW's moments, 1/%d", cost.Shards), m.Moments)
	} else {
		row("AdamW's moments", m.Moments)
	}
	row("activations", m.Activations)
	row("total", m.Total())
	fmt.Fprint(page, "\nMemory to generate:\n")
	row("parameters", m.Params)
	row("graphs", cost.Generation)
	row("total", m.Params+cost.Generation)
	fmt.Fprintf(page, "\nThe state of a text, however long, is %s bytes (%s).\n", numbers.Commas(cost.StateBytes()), numbers.Human(float64(cost.StateBytes()), "B"))
}

func printArithmetic(page *bytes.Buffer, cost xlstm.Cost) {
	row := func(name string, flops float64) {
		fmt.Fprintf(page, "  %-24s %15s\n", name, numbers.Human(flops, "FLOP"))
	}
	fmt.Fprint(page, "\nArithmetic per token:\n")
	row("training", cost.TrainingFLOPs())
	row("evaluation", cost.EvaluationFLOPs())
	row("generation", cost.DecodeFLOPs())
	tokens := cost.Batch * cost.Steps
	fmt.Fprintf(page, "\nA training step of %s tokens is %s.\n", numbers.Commas(tokens), numbers.Human(cost.TrainingFLOPs()*float64(tokens), "FLOP"))
}

// maxRanges is how many ranges of blocks are listed.
const maxRanges = 12

// ranges writes ascending block indices in short, such as 0, 1, 3–5.
func ranges(blocks []int) string {
	var list []string
	for i := 0; i < len(blocks); {
		if len(list) == maxRanges {
			return strings.Join(append(list, "…"), ", ")
		}
		j := i
		for j+1 < len(blocks) && blocks[j+1] == blocks[j]+1 {
			j++
		}
		if first := strconv.Itoa(blocks[i]); j < i+2 {
			list = append(list, first)
			i++
		} else {
			list = append(list, first+"–"+strconv.Itoa(blocks[j]))
			i = j + 1
		}
	}
	return strings.Join(list, ", ")
}
