package plan

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// splitter is a rounder that can split sums with twins, and whose sums can read such
// streams if reads is set.
type splitter struct {
	rounder
	reads bool
}

func (s splitter) Splits(op ops.Op) (in int, out bool) {
	twin, out := op.(ops.Twin)
	if out {
		op = twin.Op
	}
	if _, sum := op.(ops.AddNorm); !sum || !s.reads {
		return -1, out
	}
	return 0, out
}

func (splitter) AsSplit(b, _ device.Buffer) device.Buffer { return b }

// TestStreamsAreSplitFromTheirTwins: of a sum that has a twin, only the rests are stored,
// and the twin as long as the sum is needed, if whatever reads the sum can read both.
func TestStreamsAreSplitFromTheirTwins(t *testing.T) {
	const rows, width = 64, 3
	flat := ops.Shape{rows, width}
	norm := ops.Norm{N: rows, Width: width, Groups: 1, Eps: 1e-6}
	var p Plan
	add := func(op ops.Op, in ...ID) ID { return adder(t, &p)(op, in...)[0] }
	x, b := p.Input(ops.Float32, flat), p.Input(ops.Float32, flat)
	first := add(ops.Add{Shape: flat}, x, b)
	y := add(norm, first)
	early := add(ops.Activate{Fn: ops.Tanh, Shape: flat}, first)
	second := add(ops.Add{Shape: flat}, first, y)
	p.Keep(early, second, add(norm, second))
	for _, reads := range []bool{true, false} {
		l := p.LayOut(splitter{reads: reads})
		s := l.Plan.Steps[0]
		sum, twin := s.Out[0], s.Out[len(s.Out)-1]
		if _, ok := s.Op.(ops.Twin); !ok || l.Plan.Values[twin].Dtype != ops.BFloat16 {
			t.Fatalf("the first step is %s", ops.Key(s.Op))
		}
		got, split := l.twins[sum]
		size, last := rows*width/2, 2
		if !reads {
			size, last = rows*width, 1
		}
		if split != reads || split && got != twin {
			t.Errorf("twins %v; the sum is %d, its twin %d", l.twins, sum, twin)
		}
		if n := l.elements(sum); n != size || l.Plan.Values[twin].Last != last {
			t.Errorf("the sum takes %d numbers, the twin is needed up to step %d; want %d and %d", n, l.Plan.Values[twin].Last, size, last)
		}
	}
	if !slices.Equal(p.Steps[0].Out, []ID{first}) {
		t.Error("the plan itself has changed")
	}
}
