package plan

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// embeddedPlan returns a plan of an embedding, a linear map of it and the
// derivatives of both, what it is given and what it keeps. With twice, something
// else reads the embedded rows.
func embeddedPlan(t *testing.T, twice bool) (p *Plan, given map[ID]device.Buffer, kept []ID) {
	t.Helper()
	const rows, v, in, out = 12, 3, 5, 4
	p, given = &Plan{}, make(map[ID]device.Buffer)
	add := adder(t, p)
	floats := func(shape ...int) ID {
		x := make([]float32, ops.Shape(shape).Size())
		for i := range x {
			x[i] = float32((i*7+len(given)*3)%11)/5 - 1
		}
		return give(t, p, given, ops.Float32, shape, x)
	}
	numbers := make([]int, rows)
	for i := range numbers {
		numbers[i] = i * i % v
	}
	ids := give(t, p, given, ops.Int, ops.Shape{rows}, numbers)
	table, w, dy := floats(v, in), floats(out, in), floats(rows, out)
	lin := ops.Linear{Rows: rows, In: in, Outs: []int{out}}
	x := add(ops.Embedding{N: rows, V: v, D: in}, ids, table)[0]
	y := add(lin, x, w)[0]
	up := add(ops.Activate{Fn: ops.Tanh, Shape: ops.Shape{rows, out}}, y)[0]
	up = add(ops.Add{Shape: ops.Shape{rows, out}}, up, dy)[0]
	kept = append(kept, y)
	if twice {
		kept = append(kept, add(ops.Activate{Fn: ops.Tanh, Shape: ops.Shape{rows, in}}, x)[0])
	}
	d := add(ops.LinearGrad{Linear: lin, Has: []bool{true}}, x, w, up)
	kept = append(kept, d[1], add(ops.EmbeddingGrad{N: rows, V: v, D: in}, ids, d[0])[0])
	p.Keep(kept...)
	return p, given, kept
}

// give adds an input of a value to a plan.
func give[E float32 | int](t *testing.T, p *Plan, given map[ID]device.Buffer, dt ops.Dtype, shape ops.Shape, x []E) ID {
	t.Helper()
	b, err := cpu.Of(x)
	if err != nil {
		t.Fatal(err)
	}
	id := p.Input(dt, shape)
	given[id] = b
	return id
}

// TestMapsOfEmbeddingsFuse: a linear map of an embedding and its derivative are
// computed from the table, unless something else reads the embedded rows.
func TestMapsOfEmbeddingsFuse(t *testing.T) {
	for twice, steps := range map[bool]int{false: 4, true: 7} {
		plain, given, kept := embeddedPlan(t, twice)
		want, _ := outcome(t, plain, cpu.Device{}, given, kept)
		p, given, kept := embeddedPlan(t, twice)
		got, fused := outcome(t, p, cpu.Fusing{}, given, kept)
		for k := range want {
			for i, x := range want[k] {
				if d := got[k][i] - x; !(d < 1e-5 && d > -1e-5) {
					t.Errorf("read twice %v: element %d of result %d is %v, want %v", twice, i, k, got[k][i], x)
				}
			}
		}
		if len(fused) != steps {
			t.Errorf("read twice %v: %d steps, want %d", twice, len(fused), steps)
		}
	}
}
