//go:build linux

package xlstm

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
)

// loadOnly is set for the process that loads the model of the folder it names, and
// generates with it.
const loadOnly = "XLSTM_LOAD_ONLY"

// TestBigModelIsLoadedInOneCopy makes a model of 1 GB, saves it in a few files,
// loads it in a process of its own, reads and writes some tokens there, and
// reports how much memory the one and the other took at most.
// It takes a while, 4 GB of memory and 2 GB of disk, and runs only if asked:
//
//	XLSTM_BIG_MODEL=1 go test -v -run BigModel .
func TestBigModelIsLoadedInOneCopy(t *testing.T) {
	if dir := os.Getenv(loadOnly); dir != "" {
		loadAndGenerate(t, dir)
		return
	}
	if os.Getenv("XLSTM_BIG_MODEL") == "" {
		t.Skip("XLSTM_BIG_MODEL is not set")
	}
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 40000, 2048, 2, 8
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cost := costOf(t, cfg, CostOptions{Batch: 1, Steps: 1})
	for _, as := range []safetensors.Encoding{safetensors.F32, safetensors.BF16} {
		dir := savedAs(t, m, SaveConfig{Encoding: as, MaxShardSize: 400e6})
		child := exec.Command(os.Args[0], "-test.run=^TestBigModelIsLoadedInOneCopy$")
		child.Env = append(os.Environ(), loadOnly+"="+dir)
		out, err := child.CombinedOutput()
		var peak, generating int64
		if _, scanned := fmt.Sscanf(string(out), "peak %d %d", &peak, &generating); err != nil || scanned != nil {
			t.Fatalf("%v, %v: %s", err, scanned, out)
		}
		size := 4 * int64(m.NumParams())
		t.Logf("%s: %d bytes of parameters, at most %d bytes of memory (%.2f times), %d in generating, which the cost says takes %d",
			as, size, peak, float64(peak)/float64(size), generating, size+cost.Generation)
		if peak > size+size/4 {
			t.Errorf("%s: loading %d bytes took %d", as, size, peak)
		}
	}
}

// loadAndGenerate prints the peak of memory after the one and after the other.
func loadAndGenerate(t *testing.T, dir string) {
	m := loaded(t, dir)
	fmt.Print("peak ", peakMemory(t))
	g, err := m.NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s, err := NewSampler(SamplerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	// Once all of the generator's programs.
	if err := g.Read(testutil.Tokens(1, 256+64+8+1, m.Config().VocabSize)...); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Next(s); err != nil {
		t.Fatal(err)
	}
	fmt.Println("", peakMemory(t))
}

// peakMemory returns the most bytes of memory that this program has had since it
// was started. (A child's resource usage counts its parent's memory too.)
func peakMemory(t *testing.T) (bytes int64) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if n, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 && err == nil {
			return 1024 * bytes
		}
	}
	t.Fatal("the peak is not in /proc/self/status")
	return 0
}
