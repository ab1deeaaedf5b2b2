package xlstm

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkDraw draws tokens from logits that are spread like those of a trained
// model, with the settings that are the defaults of OpenAI's protocol and of the
// sample command.
func BenchmarkDraw(b *testing.B) {
	for _, vocab := range []int{256, 50304} {
		logits := make([]float64, vocab)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range logits {
			logits[i] = float64(float32(3.5 * r.NormFloat64()))
		}
		for _, cfg := range []SamplerConfig{{Temperature: 1}, {Temperature: 0.8, TopP: 0.95}, {Temperature: 1, TopK: 40}} {
			b.Run(fmt.Sprintf("%d tokens/temperature %v, top p %v, top k %v", vocab, cfg.Temperature, cfg.TopP, cfg.TopK), func(b *testing.B) {
				s, err := NewSampler(cfg)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := s.Sample(logits); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
