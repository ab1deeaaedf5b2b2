package xlstm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// BenchmarkOperations times the operations of a training step one by one, each for the
// whole batch even if a Trainer runs it in parts, in milliseconds per step: those of
// the same name and, for linear maps, the same widths together. -cpu compares numbers
// of cores.
func BenchmarkOperations(b *testing.B) {
	for _, m := range []struct {
		name          string
		width, blocks int
		slstm         BlockList
		batch, steps  int
	}{
		{"A", 128, 4, Blocks(1), 16, 256},
		{"B", 384, 6, Blocks(1), 16, 256},
		{"C1", 256, 4, Blocks(), 4, 1024},
		{"C4", 256, 4, Blocks(), 1, 4096},
		{"D", 256, 4, AllBlocks(), 16, 256},
	} {
		b.Run(m.name, func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength, cfg.SLSTMAt = 65, m.width, m.blocks, m.steps, m.slstm
			timeCPUOperations(b, cfg, m.batch, m.steps)
		})
	}
	for _, m := range []struct {
		name          string
		width, hidden int
	}{{"LSTM-A", 128, 256}, {"LSTM-B", 384, 512}} {
		b.Run(m.name, func(b *testing.B) {
			cfg := DefaultLSTMConfig()
			cfg.VocabSize, cfg.EmbeddingDim, cfg.LSTM.HiddenSize = 65, m.width, m.hidden
			timeCPUOperations(b, cfg, 16, 256)
		})
	}
}

func timeCPUOperations(b *testing.B, cfg Config, batch, steps int) {
	model, err := New(cfg, WithSeed(1))
	if err != nil {
		b.Fatal(err)
	}
	solver, err := optim.NewAdamW(optim.AdamWConfig{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := model.Compile(ProgramConfig{Batch: batch, Steps: steps, Grad: true, FwdConfig: FwdConfig{Training: true}, dropLogits: true})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	in := Input{Tokens: make([]int, batch*steps), Targets: make([]int, batch*steps)}
	for i := range in.Tokens {
		in.Tokens[i], in.Targets[i] = i*i%cfg.VocabSize, (i+1)*(i+1)%cfg.VocabSize
	}
	if err := p.Run(in); err != nil {
		b.Fatal(err)
	}
	times := make(map[string]time.Duration)
	for b.Loop() {
		if err := p.machine.(*nodes.Sequence).RunTimed(func(op ops.Op, took time.Duration) { times[operationName(op)] += took }); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := solver.Step(p.ValueGrads()); err != nil {
			b.Fatal(err)
		}
		times["AdamW"] += time.Since(began)
	}
	for _, name := range slices.SortedFunc(maps.Keys(times), func(x, y string) int { return cmp.Compare(times[y], times[x]) }) {
		b.ReportMetric(1e3*times[name].Seconds()/float64(b.N), strings.ReplaceAll(name, " ", "-")+"-ms")
	}
}

// operationName is the name of an operation, with the widths of a linear map.
func operationName(op ops.Op) string {
	switch op := op.(type) {
	case ops.Linear:
		return fmt.Sprintf("%s%d→%v", op.Name(), op.In, op.Outs)
	case ops.LinearGrad:
		return fmt.Sprintf("%s%d→%v", op.Name(), op.In, op.Outs)
	}
	return op.Name()
}
