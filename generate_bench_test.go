package xlstm

import "testing"

// BenchmarkGenerate writes a text character by character, sampling included: A
// with a model of width 128 and 4 blocks, B with one of width 384 and 6 blocks,
// the second of them an sLSTM block in both.
func BenchmarkGenerate(b *testing.B) {
	for _, c := range []struct {
		name          string
		width, blocks int
	}{{"A", 128, 4}, {"B", 384, 6}} {
		b.Run(c.name, func(b *testing.B) { benchmarkGenerate(b, c.width, c.blocks) })
	}
}

func benchmarkGenerate(b *testing.B, width, blocks int) {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 65, width, blocks, Blocks(1)
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	g, err := m.NewGenerator()
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	s, err := NewSampler(SamplerConfig{Temperature: 1})
	if err != nil {
		b.Fatal(err)
	}
	if err := g.Read(1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Next(s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tok/s")
}
