package cpu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/opstest"
)

// TestEveryOperationRuns runs all examples in both element types: every element is
// written, the same in every run, and float32 is near float64.
func TestEveryOperationRuns(t *testing.T) {
	for i, e := range opstest.Examples() {
		t.Run(fmt.Sprintf("%d %s", i, e.Op.Name()), func(t *testing.T) {
			exact := run(t, e, ops.Float64)
			rough, again := run(t, e, ops.Float32), run(t, e, ops.Float32)
			for name, want := range exact {
				top := 0.01
				for _, x := range want {
					top = max(top, math.Abs(x))
				}
				for k, x := range rough[name] {
					if !(math.Abs(x-want[k]) <= 1e-4*top) {
						t.Errorf("element %d of %s is %v in float32, %v in float64", k, name, x, want[k])
					}
				}
				if !slices.Equal(rough[name], again[name]) {
					t.Errorf("%s is another in the second run", name)
				}
			}
		})
	}
}

func run(t *testing.T, e opstest.Example, dt ops.Dtype) map[string][]float64 {
	t.Helper()
	got, err := e.Run(Device{}, dt, 1)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// unknown is an operation that no device has.
type unknown struct{ ops.Add }

func (unknown) Name() string { return "unknown" }

func TestBindReportsWhatItCannotBind(t *testing.T) {
	shape := ops.Shape{2, 3}
	floats := func(n int) device.Buffer { return of(make([]float32, n)) }
	add := ops.Add{Shape: shape}
	for name, c := range map[string]struct {
		op      ops.Op
		out, in []device.Buffer
		want    string
	}{
		"too few inputs":  {add, []device.Buffer{floats(6)}, []device.Buffer{floats(6)}, "2 inputs"},
		"another length":  {add, []device.Buffer{floats(6)}, []device.Buffer{floats(6), floats(5)}, "5 elements"},
		"another output":  {add, []device.Buffer{floats(7)}, []device.Buffer{floats(6), floats(6)}, "output y"},
		"two types":       {add, []device.Buffer{floats(6)}, []device.Buffer{floats(6), of(make([]float64, 6))}, "float64"},
		"floats for ints": {ops.CrossEntropy{N: 2, V: 3}, []device.Buffer{floats(1)}, []device.Buffer{floats(6), floats(2)}, "targets"},
		"a view":          {ops.Fork{N: 2, Shape: shape}, []device.Buffer{floats(6)}, []device.Buffer{floats(6)}, "nothing"},
		"what it lacks":   {unknown{add}, []device.Buffer{floats(6)}, []device.Buffer{floats(6), floats(6)}, "unknown"},
	} {
		_, err := Device{}.Bind(c.op, c.out, c.in, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if lacks := errors.Is(err, device.ErrUnsupported); lacks != (name == "what it lacks") {
			t.Errorf("%s: unsupported is %v", name, lacks)
		}
	}
}

func TestRebindMovesAnInput(t *testing.T) {
	x, y := Input(ops.Float32, 2), of(make([]float32, 2))
	launch, err := Device{}.Bind(ops.Activate{Fn: ops.ReLU, Shape: ops.Shape{2}}, []device.Buffer{y}, []device.Buffer{x}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]float32{{1, -1}, {-2, 2}} {
		if err := Rebind(x, data); err != nil {
			t.Fatal(err)
		}
		if err := launch(); err != nil {
			t.Fatal(err)
		}
		if want := []float32{max(data[0], 0), max(data[1], 0)}; !slices.Equal(y.data, want) {
			t.Errorf("%v, want %v", y.data, want)
		}
	}
	for _, bad := range []any{[]float32{1}, []float64{1, 2}, "ab"} {
		if err := Rebind(x, bad); err == nil {
			t.Errorf("a buffer of two float32 lies in %v", bad)
		}
	}
}

func TestTransfersReportWhatDoesNotFit(t *testing.T) {
	b, err := Device{}.Alloc(ops.Int, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Device{}).Upload(b.Slice(1, 2), []int{7, 8}); err != nil {
		t.Fatal(err)
	}
	got := make([]int, 3)
	if err := (Device{}).Download(got, b); err != nil || !slices.Equal(got, []int{0, 7, 8}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []any{[]int{1}, []float32{1, 2, 3}, []string{"a", "b", "c"}} {
		if (Device{}).Upload(b, bad) == nil || (Device{}).Download(bad, b) == nil {
			t.Errorf("three ints and %v change places", bad)
		}
	}
}
