package kernels

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
)

// packedFormats are all there are.
var packedFormats = []ops.Format{ops.BF16, ops.Int8, ops.Int4}

// packedMatrix packs rows of random numbers.
func packedMatrix(f ops.Format, rows, in int) weights.Matrix {
	x := random(rows*in, 1, 0)
	m := weights.Matrix{Format: f, In: in, Data: make([]byte, f.RowBytes(len(x))), Scales: make([]byte, f.ScaleBytes(len(x)))}
	weights.Pack(f, x, m.Data, m.Scales)
	return m
}

// askForPath makes the test below report whether this process multiplies several rows
// with integers.
const askForPath = "XLSTM_TEST_PATH"

// TestPackedLinearAgreesWithFloat64: for any number of rows, from one to more than a
// tile of any kind has, and widths that fill tiles or do not.
func TestPackedLinearAgreesWithFloat64(t *testing.T) {
	if os.Getenv(askForPath) != "" {
		fmt.Printf("%s=%v\n", askForPath, weights.Batches(ops.Int8))
	}
	for _, f := range packedFormats {
		for _, out := range []int{1, 40, 101} {
			for _, in := range []int{32, 96, 480} {
				w, b := packedMatrix(f, out, in), random(out, 1, 0)
				for _, n := range []int{1, 2, 3, 8, 16, 17, 70} {
					x, got, want := random(n*in, 1, 0), make([]float32, n*out), make([]float64, n*out)
					PackedLinear(n, x, w, b, got)
					PackedLinear(n, toFloat64(x), w, toFloat64(b), want)
					for i := range want {
						if math.Abs(float64(got[i])-want[i]) > 1e-6*float64(in) {
							t.Fatalf("%v: %d rows of %d numbers, %d wide: y[%d] is %v, want %v", f, n, in, out, i, got[i], want[i])
						}
					}
				}
			}
		}
	}
}

func toFloat64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// TestPackedLinearOnLesserProcessors: the test above also passes where parts of this
// processor are switched off. Several rows are multiplied with integers where there is
// AVX2, with VNNI or without.
func TestPackedLinearOnLesserProcessors(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("nothing can be switched off here")
	}
	here := pathWith(t, "")
	for off, want := range map[string]string{"cpu.avx512vnni=off": here, "cpu.avx512f=off": here, "cpu.avx2=off,cpu.avx512f=off": "false"} {
		if got := pathWith(t, off); got != want {
			t.Errorf("GODEBUG=%s: whether rows are multiplied with integers is %q, want %q", off, got, want)
		}
	}
}

// pathWith runs the test of PackedLinear in another process with the given GODEBUG, and
// returns whether it multiplies several rows with integers.
func pathWith(t *testing.T, debug string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPackedLinearAgreesWithFloat64$")
	cmd.Env = append(os.Environ(), "GODEBUG="+debug, askForPath+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("GODEBUG=%s: %v\n%s", debug, err, out)
	}
	_, path, _ := strings.Cut(string(out), askForPath+"=")
	path, _, _ = strings.Cut(path, "\n")
	return path
}

// BenchmarkPackedLinear multiplies rows of x with a matrix of a model of seven billion
// parameters, which comes from beyond the caches.
func BenchmarkPackedLinear(b *testing.B) {
	const in, out, copies = 4096, 4096, 8
	for _, f := range packedFormats {
		var all []weights.Matrix
		for range copies {
			all = append(all, packedMatrix(f, out, in))
		}
		for _, n := range []int{1, 2, 4, 8, 16, 64, 256} {
			x, y, i := random(n*in, 1, 0), make([]float32, n*out), 0
			b.Run(fmt.Sprintf("%v/%d", f, n), func(b *testing.B) {
				benchmarkKernel(b, func() benchWork {
					return benchWork{func() { PackedLinear(n, x, all[i%copies], nil, y); i++ }, n * in * out, products}
				})
			})
		}
	}
}
