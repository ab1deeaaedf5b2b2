package plan

import (
	"reflect"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// joiner is a halver whose products read both operands as columns of a matrix, which
// activations can write, and whose gradients of gates are written as one, the second
// before the first.
type joiner struct {
	halver
	halves *[]device.Half // of the operations, as their workspace is asked for
}

func (joiner) Joins(op ops.Op, half device.Half) (device.Joint, bool) {
	_, ok := op.(ops.Mul)
	return device.Joint{In: []int{0, 1}, Columns: []int{0, 8}, Rows: 64, LD: 32}, ok && half.Reads(0) && half.Reads(1)
}

func (joiner) WritesColumns(op ops.Op, _ device.Half, k int) bool {
	_, ok := op.(ops.Activate)
	return ok && k == 0
}

func (joiner) Rows(op ops.Op) []int {
	if _, ok := op.(ops.Mul); ok {
		return []int{1, 0}
	}
	return nil
}

func (joiner) Writes(op ops.Op) []int {
	if _, ok := op.(ops.GatedGrad); ok {
		return []int{1, 0}
	}
	return nil
}

func (joiner) AsColumns(b device.Buffer, _ device.Joint, _, _ int) device.Buffer { return b }

func (d joiner) Workspace(_ ops.Op, _ ops.Dtype, half device.Half) int {
	*d.halves = append(*d.halves, half)
	return 0
}

// joined lays out x = tanh(in)·silu(in) and, of it, gradients of a gate: with another
// reader of the first, if it is read twice.
func joined(t *testing.T, shape ops.Shape, twice bool) (l *Layout, a, b ID, grads []ID, halves []device.Half) {
	var p Plan
	add := adder(t, &p)
	in := p.Input(ops.Float32, shape)
	a = add(ops.Activate{Fn: ops.Tanh, Shape: shape}, in)[0]
	b = add(ops.Activate{Fn: ops.SiLU, Shape: shape}, in)[0]
	x := add(ops.Mul{Shape: shape}, a, b)[0]
	if twice {
		add(ops.Mul{Shape: shape}, a, x)
	}
	grads = add(ops.GatedGrad{Fn: ops.SiLU, Shape: shape}, in, in, x)
	p.Keep(grads...)
	l = p.LayOut(joiner{halves: &halves})
	return l, a, b, grads, halves
}

// TestColumnsAreOneMatrix: operands that one operation alone reads lie in one matrix, from
// the first that is written to their reader; others lie for themselves.
func TestColumnsAreOneMatrix(t *testing.T) {
	shape := ops.Shape{64, 8}
	l, a, b, _, halves := joined(t, shape, false)
	if l.Offset[a] != l.Offset[b] || l.columns[b].k != 1 || !halves[2].Joined || halves[0].Joined {
		t.Errorf("columns at %d and %d, %+v", l.Offset[a], l.Offset[b], halves)
	}
	// The matrix takes 64·32/2 elements, in the memory of the gradients, and the product 512.
	if shared, kept := l.Bytes(); shared+kept != 4*(1024+512) || kept != 4*2*512 {
		t.Errorf("%d bytes shared, %d kept", shared, kept)
	}
	l, a, b, _, halves = joined(t, shape, true)
	if l.Offset[a] == l.Offset[b] || len(l.columns) > 0 || halves[2].Joined {
		t.Errorf("columns that two operations read: %+v", l.columns)
	}
}

// TestResultsFollowOneAnother: results that a device writes as one have one place, in its
// order, if each ends where another may begin.
func TestResultsFollowOneAnother(t *testing.T) {
	l, _, _, grads, halves := joined(t, ops.Shape{64, 8}, false)
	if l.Offset[grads[0]] != l.Offset[grads[1]]+512 || !halves[3].Consecutive || halves[2].Consecutive {
		t.Errorf("results at %d and %d", l.Offset[grads[0]], l.Offset[grads[1]])
	}
	l, _, _, _, halves = joined(t, ops.Shape{3, 5}, false)
	if l.consecutive[3] != nil || halves[3].Consecutive {
		t.Error("results that end between two places follow one another")
	}
}

// TestRows: copies that a device reads as one matrix are listed in its order, once, and
// only if all of them are copies.
func TestRows(t *testing.T) {
	for name, copied := range map[string][]bool{"both": {true, true}, "one": {true, false}} {
		var p Plan
		add, shape := adder(t, &p), ops.Shape{64, 8}
		a, b := p.Input(ops.Float32, shape), p.Input(ops.Float32, shape)
		p.Values[a].Copied, p.Values[b].Copied = copied[0], copied[1]
		p.Keep(add(ops.Mul{Shape: shape}, a, b)...)
		p.Keep(add(ops.Mul{Shape: shape}, a, b)...)
		l := p.LayOut(joiner{halves: new([]device.Half)})
		var want [][]ID
		if copied[1] {
			want = [][]ID{{l.Copies[b], l.Copies[a]}}
		}
		if !reflect.DeepEqual(l.Rows, want) {
			t.Errorf("%s: %v, want %v", name, l.Rows, want)
		}
	}
}
