package nodes

import (
	"fmt"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// wantShape reports an input whose shape is not as it must be. An axis of −1 may
// have any length.
func wantShape(opName, name string, n *gorgonia.Node, want ...int) error {
	if n == nil {
		return errors.Errorf("nodes: %s needs %s", opName, name)
	}
	got := n.Shape()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = want[i] < 0 || got[i] == want[i]
	}
	if !ok {
		return errors.Errorf("nodes: %s: %s has shape %v, want %v (−1: any)%s", opName, name, got, tensor.Shape(want), rowsHint(name, got, want))
	}
	return nil
}

// rowsHint says what to do with an input that would fit if its first two axes, of
// sequences and of steps, were one.
func rowsHint(name string, got tensor.Shape, want []int) string {
	if len(got) != len(want)+1 || len(got) < 2 || isParameter(name) {
		return ""
	}
	rows := append(tensor.Shape{got[0] * got[1]}, got[2:]...)
	for i := range want {
		if want[i] >= 0 && want[i] != rows[i] {
			return ""
		}
	}
	return fmt.Sprintf("; rows are B·T, step t of sequence b being row b·T+t: gorgonia.Reshape it to %v", rows)
}

// isParameter tells weights, whose axes have other meanings.
func isParameter(name string) bool { return slices.Contains([]string{"w", "wi", "wf", "r"}, name) }

// wantRows reports a number of rows that is no multiple of the batch.
func wantRows(opName string, x *gorgonia.Node, batch int) error {
	if x == nil || len(x.Shape()) == 0 {
		return errors.Errorf("nodes: %s needs rows", opName)
	}
	if rows := x.Shape()[0]; batch < 1 || rows%batch != 0 {
		return errors.Errorf("nodes: %s: %d rows are not a multiple of a batch of %d", opName, rows, batch)
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// wantInts reports an input that does not hold integers.
func wantInts(opName, name string, n *gorgonia.Node) error {
	if n == nil {
		return errors.Errorf("nodes: %s needs %s", opName, name)
	}
	if n.Dtype() != tensor.Int {
		return errors.Errorf("nodes: %s takes %s of dtype int, got %v", opName, name, n.Dtype())
	}
	return nil
}

// wantHeads reports a matrix whose width the heads do not divide.
func wantHeads(opName string, x *gorgonia.Node, heads int) error {
	if x == nil {
		return errors.Errorf("nodes: %s needs a matrix", opName)
	}
	if err := wantShape(opName, "input", x, -1, -1); err != nil {
		return err
	}
	if width := x.Shape()[1]; heads < 1 || width%heads != 0 {
		return errors.Errorf("nodes: %s: width %d is not a multiple of %d heads", opName, width, heads)
	}
	return nil
}

// sameShape reports nodes that are not all of one shape.
func sameShape(opName string, ns ...*gorgonia.Node) error {
	for i, n := range ns {
		if n == nil {
			return errors.Errorf("nodes: input %d of %s is nil", i, opName)
		}
		if !n.Shape().Eq(ns[0].Shape()) {
			return errors.Errorf("nodes: %s: shapes %v and %v differ", opName, ns[0].Shape(), n.Shape())
		}
	}
	return nil
}
