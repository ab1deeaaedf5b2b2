package testutil

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
)

// Must returns v. It panics if err is not nil.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Near reports the first element of got that differs from that of want by more
// than tol·(1 + |want|).
func Near(t testing.TB, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tol*(1+math.Abs(want[i]))) {
			t.Errorf("%s[%d] = %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}

// Convert returns the elements of x in type T, and nil for nil.
func Convert[T, F float32 | float64](x []F) []T {
	if x == nil {
		return nil
	}
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}

// Bits returns a text that is the same for two values if and only if their types,
// shapes and bits are. Data is a slice of numbers.
func Bits(shape []int, data any) string {
	var buf bytes.Buffer
	if err := binary.Write(&buf, binary.LittleEndian, data); err != nil {
		panic(err)
	}
	return fmt.Sprintf("%T %v %x", data, shape, buf.Bytes())
}

// Tokens returns n random token ids below vocab.
func Tokens(seed uint64, n, vocab int) []int {
	r := rand.New(rand.NewPCG(seed, 5))
	out := make([]int, n)
	for i := range out {
		out[i] = r.IntN(vocab)
	}
	return out
}

// Perturb adds normal noise of deviation 0.3 to the elements of data, a []float32
// or []float64, so that parameters differ from their initial values.
func Perturb(r *rand.Rand, data any) {
	x := floats.Of(data)
	v := x.Float64s()
	for i := range v {
		v[i] += 0.3 * r.NormFloat64()
	}
	x.Write(v)
}

// Names returns the names of the files in a folder, sorted.
func Names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
