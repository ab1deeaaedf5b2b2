package pytorch

import (
	"math"

	"github.com/pkg/errors"
)

// Tensor is a tensor in a file.
type Tensor struct {
	// Name is its key in the state_dict.
	Name string
	// Type is F64, F32, F16 or BF16, or for other types PyTorch's name of the
	// storage.
	Type string
	// Shape has no negative axis; it is empty for a scalar.
	Shape []int
	// Begin and End delimit the bytes of the tensor in the file, in row-major
	// order and little-endian.
	Begin, End int64

	strides []int
}

// storage is a stretch of numbers in a file.
type storage struct {
	class      global
	begin, end int64
}

// types are the storages of floats, and the bytes that a number takes.
var types = map[global]struct {
	name  string
	width int64
}{
	"torch.DoubleStorage":   {"F64", 8},
	"torch.FloatStorage":    {"F32", 4},
	"torch.HalfStorage":     {"F16", 2},
	"torch.BFloat16Storage": {"BF16", 2},
}

// newTensor makes a tensor of the arguments of torch._utils._rebuild_tensor_v2:
// storage, offset in it, size, stride and what is of no interest here. Whether it
// can be read is seen when it is asked for.
func newTensor(args tuple) (*Tensor, error) {
	if len(args) < 4 {
		return nil, errors.New("a tensor is not made of storage, offset, size and stride")
	}
	s, isStorage := args[0].(*storage)
	offset, isInt := args[1].(int)
	shape, isShape := ints(args[2])
	strides, isStride := ints(args[3])
	if !isStorage || !isInt || !isShape || !isStride || offset < 0 || len(shape) != len(strides) {
		return nil, errors.New("a tensor is not made of storage, offset, size and stride")
	}
	kind, known := types[s.class]
	if !known { // integers and such, which nothing is read from
		return &Tensor{Type: string(s.class), Shape: shape}, nil
	}
	n := int64(1)
	for _, axis := range shape {
		if axis > 0 && n > math.MaxInt64/8/int64(axis) {
			return nil, errors.Errorf("a tensor has the shape %v", shape)
		}
		n *= int64(axis)
	}
	t := &Tensor{Type: kind.name, Shape: shape, strides: strides}
	if all := (s.end - s.begin) / kind.width; int64(offset) > all || n > all-int64(offset) {
		return nil, errors.Errorf("a tensor of shape %v lies beyond the end of its storage", shape)
	}
	t.Begin = s.begin + int64(offset)*kind.width
	t.End = t.Begin + n*kind.width
	return t, nil
}

// ints returns a tuple of numbers that are not negative.
func ints(v any) (out []int, ok bool) {
	t, ok := v.(tuple)
	for _, item := range t {
		n, isInt := item.(int)
		if ok = ok && isInt && n >= 0; !ok {
			return nil, false
		}
		out = append(out, n)
	}
	return out, ok
}

// inRows reports whether the numbers lie row after row without gaps.
func (t *Tensor) inRows() bool {
	want := 1
	for i := len(t.strides) - 1; i >= 0; i-- {
		if t.Shape[i] != 1 && t.strides[i] != want {
			return false
		}
		want *= t.Shape[i]
	}
	return true
}
