package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// What looks numbers up by ids that come from outside checks them in every run.

func checkIDs(v int, ids []int) error {
	for i, id := range ids {
		if id < 0 || id >= v {
			return errors.Errorf("id %d at position %d is outside the vocabulary of %d", id, i, v)
		}
	}
	return nil
}

func checkTargets(v int, targets []int) error {
	for i, t := range targets {
		if t < ops.Ignored || t >= v {
			return errors.Errorf("target %d at position %d is outside the vocabulary of %d", t, i, v)
		}
	}
	return nil
}

func embedding[F kernels.Float](op ops.Embedding, a *operands) device.Launch {
	ids, w, y := ints(a, true), in[F](a), out[F](a)
	return func() error {
		if err := checkIDs(op.V, ids.data); err != nil {
			return err
		}
		kernels.Embedding(op.D, ids.data, w.data, y.data)
		return nil
	}
}

func embeddingGrad[F kernels.Float](op ops.EmbeddingGrad, a *operands) device.Launch {
	ids, dy, dw := ints(a, true), in[F](a), out[F](a)
	return func() error {
		if err := checkIDs(op.V, ids.data); err != nil {
			return err
		}
		kernels.EmbeddingGrad(op.D, ids.data, dy.data, dw.data)
		return nil
	}
}

// embeddedLinearFits reports whether the table has so few rows that it takes less time to
// map it than what is looked up.
func embeddedLinearFits(op ops.EmbeddedLinear) bool {
	return len(op.Outs) == 1 && !op.Bias && 2*op.V <= op.Rows
}

func embeddedLinear[F kernels.Float](op ops.EmbeddedLinear, a *operands) device.Launch {
	ids, e, w, y := ints(a, true), in[F](a), in[F](a), out[F](a)
	return func() error {
		if err := checkIDs(op.V, ids.data); err != nil {
			return err
		}
		kernels.EmbeddedLinear(op.V, op.In, op.Outs[0], ids.data, e.data, w.data, y.data)
		return nil
	}
}

func embeddedLinearGrad[F kernels.Float](op ops.EmbeddedLinearGrad, a *operands) device.Launch {
	ids, e, w, dy := ints(a, true), in[F](a), in[F](a), in[F](a)
	de, dw := out[F](a), out[F](a)
	return func() error {
		if err := checkIDs(op.V, ids.data); err != nil {
			return err
		}
		kernels.EmbeddedLinearGrad(op.V, op.In, op.Outs[0], ids.data, e.data, w.data, dy.data, de.data, dw.data)
		return nil
	}
}

func crossEntropy[F kernels.Float](op ops.CrossEntropy, a *operands) device.Launch {
	logits, targets, loss := in[F](a), ints(a, true), out[F](a)
	return func() error {
		if err := checkTargets(op.V, targets.data); err != nil {
			return err
		}
		loss.data[0] = F(kernels.CrossEntropy(op.V, logits.data, targets.data))
		return nil
	}
}

func crossEntropyGrad[F kernels.Float](op ops.CrossEntropyGrad, a *operands) device.Launch {
	logits, targets, dloss, dlogits := in[F](a), ints(a, true), in[F](a), out[F](a)
	return func() error {
		if err := checkTargets(op.V, targets.data); err != nil {
			return err
		}
		kernels.CrossEntropyGrad(op.V, logits.data, targets.data, float64(dloss.data[0]), dlogits.data)
		return nil
	}
}
