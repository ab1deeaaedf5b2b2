//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// TestJoints counts the products and copies of derivatives of maps, without a card: the
// projections of a cell are one joint, the halves of a feed-forward layer, unless their
// gradients lie beside one another, are none. Rows of one weight and its gradient need not be
// copied, nor those of several that follow one another.
func TestJoints(t *testing.T) {
	for _, c := range []struct {
		outs             [][]int
		apart            int // the space between two operands
		products, copies int
	}{
		{[][]int{{512}, {512}, {1024}, {1024}}, 256, 2, 8}, {[][]int{{512}, {512}, {1024}, {4}, {4}, {1024}}, 256, 2, 8},
		{[][]int{{512}, {512}, {1024}, {1024}}, 0, 2, 0}, {[][]int{{512}, {512}, {1024}, {4}, {4}, {1024}}, 0, 2, 8},
		{[][]int{{512}, {512}, {1024}, {1024}, {4}, {4}}, 0, 2, 0}, {[][]int{{512}, {512}, {1024}, {1024}, {4}}, 0, 2, 8},
		{[][]int{{512, 512, 1024, 1024}}, 256, 2, 0}, {[][]int{{2752}, {2752}}, 256, 4, 0}, {[][]int{{1024}}, 256, 2, 0}, {[][]int{{100}, {512}, {512}}, 0, 4, 4},
	} {
		op := ops.LinearsGrad{}
		for _, outs := range c.outs {
			has := make([]bool, len(outs))
			for o := range has {
				has[o] = true
			}
			op.Maps, op.Has = append(op.Maps, ops.Linear{Rows: 2048, In: 1024, Outs: outs}), append(op.Has, has)
		}
		products, copies := 0, 0
		for _, task := range boundWithoutKernels(t, op, c.apart) {
			if task.product {
				products++
			} else {
				copies++
			}
		}
		if products != c.products || copies != c.copies {
			t.Errorf("%v, %d bytes apart: %d products and %d copies; want %d and %d", c.outs, c.apart, products, copies, c.products, c.copies)
		}
	}
}

// boundWithoutKernels returns the tasks of an operation except the kernels, on a card
// that has none, with operands that are so many bytes apart.
func boundWithoutKernels(t *testing.T, op ops.Op, apart int) []task {
	t.Helper()
	d := ForPlans(BF16)
	half := d.Half(op)
	b := &binder{d: d, dt: ops.Float32, in: countingOperands(op.Inputs(), ops.Float32, half.In), out: countingOperands(op.Outputs(), ops.Float32, half.Out)}
	next := address(1 << 20)
	for _, list := range [][]buffer{b.in, b.out} {
		for k := range list {
			list[k].at = next
			b.spans = append(b.spans, span{next, next + address(4*list[k].n), true})
			next += address(list[k].n*list[k].dt.Size() + apart)
		}
	}
	b.work = buffer{at: next}
	none := &module{loaded: make(chan struct{}), err: errors.New("there are no kernels")}
	close(none.loaded)
	d.modules.all = map[string]*module{"join.f32": none, "narrow.f32": none}
	if err := b.bind(op); err != nil && errors.Cause(err) != none.err {
		t.Fatal(err)
	}
	return b.tasks
}
