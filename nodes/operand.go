package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// elements returns the elements of a value as a slice, in row-major order: its
// memory, unless the value is a scalar or a tensor that lies otherwise.
func elements(v gorgonia.Value) any {
	t, _ := v.(*tensor.Dense)
	switch x := v.Data().(type) {
	case []float32:
		return rowMajor(t, x)
	case []float64:
		return rowMajor(t, x)
	case []int:
		return rowMajor(t, x)
	case []byte:
		return rowMajor(t, x)
	case float32:
		return []float32{x}
	case float64:
		return []float64{x}
	case int:
		return []int{x}
	default:
		return x
	}
}

// rowMajor returns the elements of t in row-major order, where data is what t
// holds: the same, unless t is a view that leaves some out, or lies otherwise.
func rowMajor[E any](t *tensor.Dense, data []E) []E {
	if t == nil || !t.RequiresIterator() && !t.DataOrder().IsColMajor() {
		return data
	}
	shape, strides := t.Shape(), t.Strides()
	out := make([]E, 0, shape.TotalSize())
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(shape) {
			out = append(out, data[at])
			return
		}
		for i := range shape[axis] {
			walk(axis+1, at+i*strides[axis])
		}
	}
	walk(0, 0)
	return out
}

// tensorOver returns a tensor in the memory of a buffer, nil for a single number.
func tensorOver(b device.Buffer, shape ops.Shape) *tensor.Dense {
	if len(shape) == 0 {
		return nil
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(cpu.Elements(b)))
}

// number returns the single number in a buffer.
func number(b device.Buffer) gorgonia.Value {
	if x, ok := cpu.Elements(b).([]float32); ok {
		return gorgonia.NewF32(x[0])
	}
	return gorgonia.NewF64(cpu.Elements(b).([]float64)[0])
}

// valueOver returns a value in the memory of a buffer.
func valueOver(b device.Buffer, shape ops.Shape) gorgonia.Value {
	if t := tensorOver(b, shape); t != nil {
		return t
	}
	if x, ok := cpu.Elements(b).([]float32); ok {
		return (*gorgonia.F32)(&x[0])
	}
	return (*gorgonia.F64)(&cpu.Elements(b).([]float64)[0])
}

// nothing is the value of a node whose value means nothing.
func nothing(dt ops.Dtype) gorgonia.Value {
	if dt == ops.Float32 {
		return gorgonia.NewF32(0)
	}
	return gorgonia.NewF64(0)
}
