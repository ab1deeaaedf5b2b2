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
	"github.com/gorgonia-xlstm/xlstm/data"
)

// BenchmarkClients measures the tokens a second that 1, 8 and 64 clients get
// together, each of which asks for one stream of 100 tokens after the other: from
// a model of the size of the small preset, and from one whose weights fit no
// cache of most processors.
func BenchmarkClients(b *testing.B) {
	for _, m := range []struct {
		name                 string
		width, blocks, vocab int
	}{{"small", 128, 4, 256}, {"wide", 1024, 6, 256}} {
		b.Run(m.name, func(b *testing.B) { benchmarkModel(b, m.width, m.blocks, m.vocab) })
	}
}

func benchmarkModel(b *testing.B, width, blocks, vocab int) {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = vocab, width, blocks, xlstm.Blocks(1)
	model, err := xlstm.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	lm, err := xlstm.NewLM(model, data.Bytes{})
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

// measureClients takes b.N streams of 100 tokens.
func measureClients(b *testing.B, url string, client *http.Client, clients int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				body := fmt.Sprintf(`{"model":"xlstm","prompt":"The first words of a text, of which %d","max_tokens":100,"seed":%d,"stream":true}`, i, i)
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
