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
