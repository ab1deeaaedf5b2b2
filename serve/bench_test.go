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
// together, each of which asks for one stream of 100 tokens after the other, from
// a model of the size of the small preset.
func BenchmarkClients(b *testing.B) {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 256, 128, 4, xlstm.Blocks(1)
	model, err := xlstm.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	lm, err := xlstm.NewLM(model, data.Bytes{})
	if err != nil {
		b.Fatal(err)
	}
	for _, rows := range []int{1, 16, 32} {
		s, err := New(lm, Config{Rows: rows})
		if err != nil {
			b.Fatal(err)
		}
		h := httptest.NewServer(s)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("rows=%d/clients=%d", rows, clients), func(b *testing.B) { measureClients(b, h.URL, client, clients) })
		}
		h.Close()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
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
