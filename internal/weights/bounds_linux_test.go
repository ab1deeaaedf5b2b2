package weights

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestNothingBeyondTheSlices: with everything right before or right after a page
// that must not be touched, no kernel reads or writes beyond it.
func TestNothingBeyondTheSlices(t *testing.T) {
	bytes, floats := testutil.NewFences[byte](t, 77), testutil.NewFences[float32](t, 12345)
	eachCase(func(m Matrix, _, x []float32) {
		for _, atEnd := range []bool{true, false} {
			fenced := m
			fenced.Data = bytes.Copy(0, m.Data, atEnd)
			if m.Format.Scaled() {
				fenced.Scales = bytes.Copy(1, m.Scales, atEnd)
			}
			x, y, row := floats.Copy(0, x, atEnd), floats.Copy(1, make([]float32, m.Rows()), atEnd), floats.Copy(2, x, atEnd)
			v := vectorOf(m, x)
			if m.Format.Scaled() {
				v.units = bytes.Copy(2, v.units, atEnd)
				v.units = v.units[:len(v.units):len(v.units)]
				v.Set(m.Format, x) // again, in that memory
			}
			using(func(string) {
				fenced.Dots(v, y)
				fenced.Unpack(0, row)
				fenced.Unpack(m.Rows()-1, row)
			})
			if !bytes.Intact(0) || m.Format.Scaled() && !bytes.Intact(1) || m.Format.Scaled() && !bytes.Intact(2) || !floats.Intact(0) || !floats.Intact(1) || !floats.Intact(2) {
				t.Fatalf("%v: something was written beside its slice", m.Format)
			}
		}
	})
}

// TestNothingBeyondTheSlicesOfABatch: the same for products with several vectors.
func TestNothingBeyondTheSlicesOfABatch(t *testing.T) {
	bytes, floats := testutil.NewFences[byte](t, 77), testutil.NewFences[float32](t, 12345)
	eachBatch(t, func(set string, m Matrix, n int, x []float32) {
		for _, atEnd := range []bool{true, false} {
			fenced := m
			fenced.Data, fenced.Scales = bytes.Copy(0, m.Data, atEnd), bytes.Copy(1, m.Scales, atEnd)
			b, x, y := batchOf(m, n, x), floats.Copy(0, x, atEnd), floats.Copy(1, make([]float32, n*m.Rows()), atEnd)
			b.strips = bytes.Copy(2, b.strips, atEnd)
			b.strips = b.strips[:len(b.strips):len(b.strips)]
			b.Set(m.Format, n, m.In, x) // again, in that memory
			fenced.Products(b, y, m.Rows())
			if !bytes.Intact(0) || !bytes.Intact(1) || !bytes.Intact(2) || !floats.Intact(0) || !floats.Intact(1) {
				t.Fatalf("%s: something was written beside its slice", set)
			}
		}
	})
}
