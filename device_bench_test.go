package xlstm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// deviceSizes are models and batches of docs/gpu.md.
var deviceSizes = []struct {
	name        string
	dim, blocks int
}{{"A", 128, 4}, {"B", 384, 6}}

func benchProgram(b *testing.B, dim, blocks int) (*Program, Input) {
	b.Helper()
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 64, dim, blocks, Blocks(1)
	m, err := New(cfg, WithDtype(tensor.Float32), WithDevice(testDevice))
	if err != nil {
		b.Fatal(err)
	}
	p := compileProgram(b, m, ProgramConfig{Batch: 16, Steps: 256, Grad: true})
	return p, Input{Tokens: testutil.Tokens(1, 16*256, 64), Targets: testutil.Tokens(2, 16*256, 64)}
}

// BenchmarkDevice runs forward and backward passes on the device of the tests,
// and reports how much of the time each kind of operation takes when all run
// one by one:
//
//	XLSTM_DEVICE=cuda go test -tags nvidia -run - -bench Device .
func BenchmarkDevice(b *testing.B) {
	if testDevice == nil {
		b.Skip("XLSTM_DEVICE names no device")
	}
	for _, size := range deviceSizes {
		p, in := benchProgram(b, size.dim, size.blocks)
		b.Run(size.name, func(b *testing.B) {
			for range b.N {
				runInput(b, p, in)
				if _, err := p.Loss(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/operations", func(b *testing.B) { timeOperations(b, p) })
	}
}

// timeOperations times every operation of a program alone.
func timeOperations(b *testing.B, p *Program) {
	spent := make(map[string]time.Duration)
	for range b.N {
		last := time.Now()
		err := p.remote.EachStep(func(n *gorgonia.Node, _ []nodes.Buffer) error {
			if err := testDevice.Sync(); err != nil {
				return err
			}
			now := time.Now()
			spent[strings.ReplaceAll(fmt.Sprint(n.Op()), " ", "")] += now.Sub(last)
			last = now
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, d := range spent {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), "µs/"+name)
	}
}
