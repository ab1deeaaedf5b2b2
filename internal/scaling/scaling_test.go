package scaling_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/scaling"
)

var update = flag.Bool("update", false, "write the tables of docs/scaling.md anew")

const (
	page      = "../../docs/scaling.md"
	beginMark = "<!-- computed: go test ./internal/scaling -update -->\n"
	endMark   = "<!-- end -->\n"
	latency   = 10e-6
)

// node is a node whose step has been measured.
type node struct {
	name    string
	compute float64 // seconds per step
	tokens  int     // of a step, per node
	cfg     xlstm.Config
	gpu     bool
}

// bucket returns the bytes of gradients that are added up at once.
func (n node) bucket(gradients float64) float64 {
	const least, most = 4 << 20, 32 << 20
	if !n.gpu {
		return least
	}
	return min(max(gradients/8, least), most)
}

func small(width, blocks int) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength, cfg.SLSTMAt = 65, width, blocks, 256, xlstm.Blocks(1)
	return cfg
}

func large(width, blocks, heads int) xlstm.Config {
	cfg := xlstm.DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 50304, width, blocks, heads
	return cfg
}

func nodes() []node {
	return []node{
		{"A, 16 CPU cores", 32e-3, 4096, small(128, 4), false},
		{"A, one H200, TF32", 1.16e-3, 4096, small(128, 4), true},
		{"B, one H200, TF32", 3.85e-3, 4096, small(384, 6), true},
		{"407 M, one H200, bf16", 90.3e-3, 8 * 2048, large(1024, 24, 4), true},
	}
}

func params(t *testing.T, cfg xlstm.Config) float64 {
	t.Helper()
	cost, err := cfg.Cost(xlstm.CostOptions{Batch: 1, Steps: 64})
	if err != nil {
		t.Fatal(err)
	}
	return float64(cost.Total().Params)
}

// efficiencies is the table of efficiencies and of what is enough for 90 %.
func efficiencies(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| node and step | gradients | link | 8 nodes | 64 nodes | 512 nodes | tokens for 90 % on 64 |\n|---|---|---|---|---|---|---|\n")
	for _, n := range nodes() {
		bytes := 4 * params(t, n.cfg)
		for _, gigabits := range []float64{10, 25, 100, 400} {
			j := scaling.Job{Compute: n.compute, Gradients: bytes, Bandwidth: gigabits * 1e9 / 8, Latency: latency, Bucket: n.bucket(bytes)}
			fmt.Fprintf(&b, "| %s, %.3g ms | %.1f MB | %g Gb/s |", n.name, 1e3*n.compute, bytes/1e6, gigabits)
			for _, size := range []int{8, 64, 512} {
				after, during := j.Efficiency(size)
				fmt.Fprintf(&b, " %.0f %%, %.0f %% |", 100*after, 100*during)
			}
			fmt.Fprintf(&b, " %s |\n", rounded(float64(n.tokens)*j.Enough(64, 0.9)/n.compute))
		}
	}
	return b.String()
}

// rounded writes a number of tokens with two digits.
func rounded(x float64) string {
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return fmt.Sprintf("%.0f", math.Round(x/unit)*unit)
}

// memory is the table of the 7B model's memory on a card.
func memory(t *testing.T) string {
	cfg := large(4096, 32, 8)
	cost, err := cfg.Cost(xlstm.CostOptions{Batch: 1, Steps: 2048})
	if err != nil {
		t.Fatal(err)
	}
	whole := cost.TrainingMemory()
	var b strings.Builder
	fmt.Fprintf(&b, "| cards | parameters | gradients | moments, whole | moments, sharded | with 1 × 2048 tokens: whole | sharded |\n|---|---|---|---|---|---|---|\n")
	gb := func(x int64) string { return fmt.Sprintf("%.1f GB", float64(x)/1e9) }
	for _, cost.Shards = range []int{1, 8, 64, 512} {
		m := cost.TrainingMemory()
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |\n", cost.Shards, gb(m.Params), gb(m.Gradients), gb(whole.Moments), gb(m.Moments), gb(whole.Total()), gb(m.Total()))
	}
	return b.String()
}

func TestTheTablesAreComputed(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for _, table := range []string{efficiencies(t), memory(t)} {
		before, rest, found := strings.Cut(got, beginMark)
		_, after, ended := strings.Cut(rest, endMark)
		if !found || !ended {
			t.Fatalf("%s has no place for a table", page)
		}
		got = before + strings.ToUpper(beginMark) + table + strings.ToUpper(endMark) + after
	}
	got = strings.ReplaceAll(strings.ReplaceAll(got, strings.ToUpper(beginMark), beginMark), strings.ToUpper(endMark), endMark)
	if got == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what is computed now; run go test ./internal/scaling -update", page)
	}
	if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestEfficiency against cases that are done in the head.
func TestEfficiency(t *testing.T) {
	j := scaling.Job{Compute: 1, Gradients: 1e9, Bandwidth: 2e9, Bucket: 1e7} // two nodes: half a second
	for n, want := range map[int][2]float64{1: {1, 1}, 2: {2. / 3, 1 / 1.005}} {
		after, during := j.Efficiency(n)
		if math.Abs(after-want[0]) > 1e-12 || math.Abs(during-want[1]) > 1e-12 {
			t.Errorf("%d nodes: %g and %g, want %g", n, after, during, want)
		}
	}
	j.Bandwidth = 1e9 // one second: a third of a second is not covered
	if _, during := j.Efficiency(2); math.Abs(during-0.75) > 1e-12 {
		t.Errorf("a slow link: %g, want 0.75", during)
	}
	for _, want := range []float64{0.5, 0.9, 0.99} {
		j.Compute = j.Enough(64, want)
		if _, during := j.Efficiency(64); math.Abs(during-want) > 1e-9 {
			t.Errorf("what is enough for %g gives %g", want, during)
		}
	}
	j.Bandwidth, j.Latency = math.Inf(1), 1e-3 // 100 buckets of 2·3 messages
	if got := j.AllReduce(8); math.Abs(got-0.6) > 1e-12 {
		t.Errorf("latencies take %g s, want 0.6", got)
	}
}
