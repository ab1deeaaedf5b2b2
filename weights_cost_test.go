package xlstm_test

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestLargestChangeOfALogit reports, for each of the models named and each format of
// the weights, how far a logit is from that in float32 at most, while the model reads
// the first tokens of a text, and how large a logit is at most. It runs only if asked:
//
//	XLSTM_MODELS="runs/a runs/b" XLSTM_TEXT=docs/training.md go test -v -run LargestChange .
func TestLargestChangeOfALogit(t *testing.T) {
	if os.Getenv("XLSTM_MODELS") == "" {
		t.Skip("XLSTM_MODELS is not set")
	}
	text := string(testutil.Must(os.ReadFile(os.Getenv("XLSTM_TEXT"))))
	const tokens = 2048
	for path := range strings.FieldsSeq(os.Getenv("XLSTM_MODELS")) {
		lm := testutil.Must(xlstm.Open(path))
		ids := data.IDs(lm.Tokenizer().Encode(text))
		if len(ids) < tokens {
			t.Fatalf("%s has %d tokens, want %d", os.Getenv("XLSTM_TEXT"), len(ids), tokens)
		}
		want := logits(t, lm.Model(), ids[:tokens])
		top := 0.0
		for _, x := range want {
			top = max(top, math.Abs(float64(x)))
		}
		for _, format := range []xlstm.WeightFormat{xlstm.WeightsBF16, xlstm.WeightsInt8, xlstm.WeightsInt4} {
			got := logits(t, testutil.Must(lm.Model().Packed(format)), ids[:tokens])
			most, sum := 0.0, 0.0
			for i := range want {
				d := math.Abs(float64(got[i] - want[i]))
				most, sum = max(most, d), sum+d*d
			}
			t.Logf("%s in %s: a logit is %.3g away at most, %.2g on average (root mean square); the largest is %.3g", path, format, most, math.Sqrt(sum/float64(len(want))), top)
		}
	}
}

// logits returns those of a model that reads tokens at once.
func logits(t *testing.T, m *xlstm.Model, tokens []int) []float32 {
	t.Helper()
	p := testutil.Must(m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: len(tokens)}))
	defer p.Close()
	if err := p.Run(xlstm.Input{Tokens: tokens}); err != nil {
		t.Fatal(err)
	}
	return testutil.Must(p.Logits()).Float32s()
}
