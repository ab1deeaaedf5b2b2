//go:build !purego

package xlstm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/processor"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"golang.org/x/sys/cpu"
)

// outcome is what a short training run came to, on some processor.
type outcome struct {
	Family string    // of processors that give the same bits
	Losses []float64 // of each step, then of the tokens that the trained model reads
	Digest string    // of all weights and all log-probabilities, to the bit
}

const askForOutcome = "XLSTM_TEST_OUTCOME"

// TestProcessorsGiveTheSameBits: a run of training and reading is the same to the
// bit with the kernels for AVX-512 and for AVX2, and the same but for rounding
// without either. Processes that have parts of the processor switched off are
// compared with this one, which may run with emulation while those do not.
func TestProcessorsGiveTheSameBits(t *testing.T) {
	if os.Getenv(askForOutcome) != "" {
		text, err := json.Marshal(shortRun(t))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s%s\n", askForOutcome, text)
		return
	}
	here := shortRun(t)
	t.Logf("%s: digest %s, losses %v", here.Family, here.Digest, here.Losses)
	for _, off := range []string{"", "cpu.avx512f=off", "cpu.fma=off,cpu.avx2=off,cpu.avx512f=off"} {
		there := outcomeWith(t, off)
		if there.Family == here.Family && there.Digest != here.Digest {
			t.Errorf("GODEBUG=%s: other bits than here, both with %s: losses %v and %v", off, here.Family, there.Losses, here.Losses)
		}
		for i, want := range here.Losses {
			if got := there.Losses[i]; !(math.Abs(got-want) <= 1e-4*math.Abs(want)) {
				t.Errorf("GODEBUG=%s: loss %d is %v, and %v here", off, i, got, want)
			}
		}
	}
}

// outcomeWith is the outcome of another process with the given GODEBUG.
func outcomeWith(t *testing.T, debug string) (o outcome) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "GODEBUG="+debug, askForOutcome+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("GODEBUG=%s: %v\n%s", debug, err, out)
	}
	_, text, found := strings.Cut(string(out), askForOutcome)
	if !found {
		t.Fatalf("GODEBUG=%s: no outcome in\n%s", debug, out)
	}
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&o); err != nil {
		t.Fatalf("GODEBUG=%s: %v", debug, err)
	}
	return o
}

// shortRun trains a model of both kinds of block, and lets it read a text.
func shortRun(t *testing.T) outcome {
	t.Helper()
	const batch, steps, vocabulary = 3, 37, 23
	check := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = vocabulary, 64, 2, xlstm.Blocks(1)
	model, err := xlstm.New(cfg)
	check(err)
	train, err := model.Compile(xlstm.ProgramConfig{Batch: batch, Steps: steps, Grad: true})
	check(err)
	solver, err := optim.NewAdamW(optim.AdamWConfig{LR: optim.Constant(1e-3)})
	check(err)
	r := rand.New(rand.NewPCG(1, 2))
	tokens := func(n int) []int {
		x := make([]int, n)
		for i := range x {
			x[i] = r.IntN(vocabulary)
		}
		return x
	}
	o := outcome{Family: family()}
	digest := sha256.New()
	for range 8 {
		check(train.Run(xlstm.Input{Tokens: tokens(batch * steps), Targets: tokens(batch * steps)}))
		loss, err := train.Loss()
		check(err)
		o.Losses = append(o.Losses, loss)
		check(solver.Step(train.ValueGrads()))
	}
	for _, p := range model.Params() {
		check(writeBits(digest, p.Value.Data()))
	}
	reader, err := model.NewGenerator()
	check(err)
	read, err := reader.LogProbs(tokens(19)...)
	check(err)
	o.Losses = append(o.Losses, read[1:]...)
	check(writeBits(digest, read[1:]), reader.Close(), train.Close())
	o.Digest = fmt.Sprintf("%x", digest.Sum(nil)[:16])
	return o
}

func writeBits(to io.Writer, x any) error { return binary.Write(to, binary.LittleEndian, x) }

// family names the processors that give the same bits as the current one. Without
// AVX2, math.Exp still rounds once less where there is FMA.
func family() string {
	switch {
	case processor.AVX2():
		return "amd64 with AVX2"
	case cpu.X86.HasAVX && cpu.X86.HasFMA:
		return "amd64 with FMA, without AVX2"
	}
	return runtime.GOARCH + " without FMA"
}
