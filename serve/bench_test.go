package serve

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
)

// BenchmarkClients measures the tokens a second that 1, 8 and 64 clients get
// together, each of which asks for one stream of 100 tokens after the other: from
// models of the sizes of presets, from one whose weights fit no cache of most
// processors, and from two of the xLSTM-7B architecture with a vocabulary of
// subwords.
func BenchmarkClients(b *testing.B) {
	for _, m := range []struct {
		name                 string
		width, blocks, vocab int
		large                bool
	}{
		{"small", 128, 4, 256, false}, {"medium", 384, 8, 1024, false}, {"wide", 1024, 6, 256, false},
		{"large50M", 512, 8, 32000, true}, {"large160M", 768, 12, 50304, true},
	} {
		b.Run(m.name, func(b *testing.B) { benchmarkModel(b, benchmarkConfig(m.width, m.blocks, m.vocab, m.large)) })
	}
}

func benchmarkConfig(width, blocks, vocab int, large bool) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	if large {
		cfg = xlstm.DefaultLargeConfig()
		cfg.Large.NumHeads = 4
	} else {
		cfg.SLSTMAt = xlstm.Blocks(1)
	}
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = vocab, width, blocks
	return cfg
}

// letters is a vocabulary of any size, in which a text has as many tokens as
// letters.
type letters int

func (n letters) Size() int { return int(n) }

func (n letters) Encode(text string) (ids []int) {
	for _, c := range []byte(text) {
		ids = append(ids, int(c)%int(n))
	}
	return ids
}

func (n letters) Decode(ids []int) string {
	text := make([]byte, len(ids))
	for i, id := range ids {
		text[i] = 'a' + byte(id%26)
	}
	return string(text)
}

func benchmarkModel(b *testing.B, cfg xlstm.Config) {
	model, err := xlstm.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	lm, err := xlstm.NewLM(model, letters(cfg.VocabSize))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []Config{{Rows: 16}, {Rows: 64}, {Rows: 16, Exact: true}} {
		b.Run(fmt.Sprintf("rows=%d/exact=%v", c.Rows, c.Exact), func(b *testing.B) { benchmarkServer(b, lm, c) })
	}
}

func benchmarkServer(b *testing.B, lm *xlstm.LM, cfg Config) {
	s, err := New(lm, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	h := httptest.NewServer(s)
	defer h.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { measureClients(b, h.URL, client, clients) })
	}
}

// measureClients takes b.N streams of 100 tokens. The temperature gives a model
// whose weights are random the entropy that a trained one has at temperature 1.
func measureClients(b *testing.B, url string, client *http.Client, clients int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				body := fmt.Sprintf(`{"model":"xlstm","prompt":"The first words of a text, of which %d","max_tokens":100,"temperature":0.2,"seed":%d,"stream":true}`, i, i)
				r, err := client.Post(url+"/v1/completions", "application/json", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				raw, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || !strings.Contains(string(raw), "[DONE]") {
					b.Errorf("%v: %.200s", err, raw)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "tokens/s")
}
