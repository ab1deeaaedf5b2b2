package plan

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// halver is a device that takes all operands of products in bfloat16, the output of
// activations, and the second input of sums.
type halver struct{ cpu.Device }

func (halver) Half(op ops.Op) device.Half {
	switch op.(type) {
	case ops.Mul:
		return device.Half{In: []bool{true, true}, Out: []bool{true}}
	case ops.Activate:
		return device.Half{Out: []bool{true}}
	case ops.Add:
		return device.Half{In: []bool{false, true}}
	}
	return device.Half{}
}

func (halver) AsHalf(b device.Buffer, n int) device.Buffer { return b }

// TestValuesAreHalvedWhereAllAgree: a value is stored in bfloat16 where its writer and
// all its readers take it so, and only there.
func TestValuesAreHalvedWhereAllAgree(t *testing.T) {
	var p Plan
	add := func(op ops.Op, in ...ID) ID { return adder(t, &p)(op, in...)[0] }
	mul, tanh, sum := ops.Mul{Shape: shape}, ops.Activate{Fn: ops.Tanh, Shape: shape}, ops.Add{Shape: shape}
	w, x := p.Input(ops.Float32, shape), p.Input(ops.Float32, shape)
	p.Values[w].Copied = true
	a := add(tanh, x)   // read by products alone
	b := add(mul, a, w) // also by an activation
	c := add(mul, b, w) // as the second input of a sum
	d := add(tanh, b)
	e := add(sum, d, c) // of a sum, which writes float32
	f := add(mul, e, a) // kept
	g := add(mul, f, a) // given
	p.Keep(f)
	l := p.LayOut(halver{}, g)
	for id, want := range map[ID]ops.Dtype{a: ops.BFloat16, b: ops.Float32, c: ops.BFloat16, d: ops.Float32, e: ops.Float32, f: ops.Float32, g: ops.Float32, x: ops.Float32, w: ops.Float32} {
		if got := l.Plan.Values[id].Dtype; got != want {
			t.Errorf("value %d is in %v, want %v", id, got, want)
		}
	}
	copy, ok := l.Copies[w]
	if !ok || len(l.Copies) != 1 || l.Plan.Values[copy].Dtype != ops.BFloat16 || l.Plan.Steps[1].In[1] != copy {
		t.Errorf("copies %v, of which step 1 reads %d", l.Copies, l.Plan.Steps[1].In[1])
	}
	if p.Values[a].Dtype != ops.Float32 || p.Steps[1].In[1] != w {
		t.Error("the plan itself has changed")
	}
	// a and c: 15 elements in bfloat16 take 8 of float32, aligned to 16. f takes the
	// place of one of the others.
	if shared, kept := l.Bytes(); shared != 4*3*16 || kept != 4*16 {
		t.Errorf("%d bytes shared, %d kept", shared, kept)
	}
}
