package serve

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// counter is a number that grows.
type counter struct {
	mu sync.Mutex
	n  float64
}

func (c *counter) add(n float64) {
	c.mu.Lock()
	c.n += n
	c.mu.Unlock()
}

func (c *counter) value() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// bounds are those of the histograms, in seconds.
var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// histogram counts durations.
type histogram struct {
	mu      sync.Mutex
	buckets []uint64 // of the bounds, and one beyond
	sum     float64
}

func (h *histogram) observe(d time.Duration) {
	s := d.Seconds()
	i, _ := slices.BinarySearch(bounds, s)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.buckets == nil {
		h.buckets = make([]uint64, len(bounds)+1)
	}
	h.buckets[i]++
	h.sum += s
}

// answered is what requests are counted by.
type answered struct {
	path string
	code int
}

// counters are what a server counts.
type counters struct {
	promptTokens, cachedTokens, generatedTokens, stepSeconds counter
	duration, firstToken                                     histogram

	mu       sync.Mutex
	requests map[answered]uint64
}

func newCounters() *counters { return &counters{requests: make(map[answered]uint64)} }

func (c *counters) request(path string, code int, d time.Duration) {
	c.mu.Lock()
	c.requests[answered{path, code}]++
	c.mu.Unlock()
	c.duration.observe(d)
}

// metrics answers in the text format of Prometheus.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	c, e := s.count, s.engine
	metric(w, "xlstm_prompt_tokens_total", "counter", "Tokens of prompts that were read.", c.promptTokens.value())
	metric(w, "xlstm_cached_prompt_tokens_total", "counter", "Tokens of prompts that were in the cache.", c.cachedTokens.value())
	metric(w, "xlstm_generated_tokens_total", "counter", "Tokens that were generated.", c.generatedTokens.value())
	metric(w, "xlstm_step_seconds_total", "counter", "Time in which all texts advanced by a token.", c.stepSeconds.value())
	metric(w, "xlstm_rows", "gauge", "Texts that can be generated at once.", float64(len(e.rows)))
	metric(w, "xlstm_rows_active", "gauge", "Texts that are being generated.", float64(e.active.Load()))
	metric(w, "xlstm_queue_length", "gauge", "Texts that wait for a row.", float64(e.waiting()))
	metric(w, "xlstm_cache_bytes", "gauge", "Memory of the positions in the cache.", float64(e.cacheBytes.Load()))
	metric(w, "xlstm_cache_positions", "gauge", "Positions in the cache.", float64(e.cacheKept.Load()))
	c.writeRequests(w)
	c.duration.write(w, "xlstm_request_seconds", "Time from a request to the end of its answer.")
	c.firstToken.write(w, "xlstm_first_text_seconds", "Time from a request to the first text of its answer.")
}

func metric(w io.Writer, name, kind, help string, value float64) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", name, help, name, kind, name, value)
}

func (c *counters) writeRequests(w io.Writer) {
	const name = "xlstm_requests_total"
	fmt.Fprintf(w, "# HELP %s Requests by path and status.\n# TYPE %s counter\n", name, name)
	c.mu.Lock()
	requests := maps.Clone(c.requests)
	c.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(requests), func(a, b answered) int {
		if a.path != b.path && a.path < b.path || a.path == b.path && a.code < b.code {
			return -1
		}
		return 1
	})
	for _, k := range keys {
		fmt.Fprintf(w, "%s{path=%q,code=\"%d\"} %d\n", name, k.path, k.code, requests[k])
	}
}

func (h *histogram) write(w io.Writer, name, help string) {
	h.mu.Lock()
	buckets, sum := slices.Clone(h.buckets), h.sum
	h.mu.Unlock()
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name)
	total := uint64(0)
	for i := range len(bounds) + 1 {
		bound := "+Inf"
		if i < len(bounds) {
			bound = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		if buckets != nil {
			total += buckets[i]
		}
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, bound, total)
	}
	fmt.Fprintf(w, "%s_sum %v\n%s_count %d\n", name, sum, name, total)
}
