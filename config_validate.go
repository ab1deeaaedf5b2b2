package xlstm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
)

// The largest values that make sense by far. Products of them do not overflow.
const (
	maxBlocks     = 1 << 14
	maxVocab      = 1 << 24
	maxWidth      = 1 << 20
	maxInnerWidth = 1 << 22
	maxKernel     = 1 << 16
)

// Validate returns an error that names the first invalid field, its value, and
// the allowed values.
func (c Config) Validate() error {
	check := checker(func(ok bool, field string, value any, want string) error {
		if ok {
			return nil
		}
		return errors.Errorf("%s is %v; it must be %s", field, value, want)
	})
	for _, err := range []error{
		check.within("vocab_size", c.VocabSize, 1, maxVocab),
		check.within("embedding_dim", c.EmbeddingDim, 1, maxWidth),
		check.within("num_blocks", c.NumBlocks, 1, maxBlocks),
		check(c.ContextLength >= -1, "context_length", c.ContextLength, "positive, or 0 or -1 for none"),
		check(c.Dropout >= 0 && c.Dropout < 1, "dropout", c.Dropout, "at least 0 and below 1"),
	} {
		if err != nil {
			return err
		}
	}
	switch c.form() {
	case lstmForm:
		return c.validateLSTM(check)
	case largeForm, huggingFaceForm:
		return c.validateLarge(check)
	}
	if err := c.validateLists(check); err != nil {
		return err
	}
	cells := c.cells()
	for _, l := range c.blockLists() {
		if i := slices.Index(cells, l.cell); i >= 0 && c.SLSTMBlock == nil {
			return errors.Errorf("slstm_block is null; it must describe the blocks that %s asks for", l.name)
		}
	}
	if slices.Contains(cells, slstmCell) {
		if err := c.validateSLSTM(check); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(cells, func(cell cell) bool { return cell != mlstmCell }) {
		if err := c.validateFeedForward(check); err != nil {
			return err
		}
	}
	if m := slices.Index(cells, mlstmCell); m >= 0 {
		return c.validateMLSTM(m, check)
	}
	return nil
}

// validateLists checks that every block is in one of the lists of blocks at most.
func (c Config) validateLists(check checker) error {
	in := make([]string, c.NumBlocks)
	for _, l := range c.blockLists() {
		if n := len(l.list.Indices); n > c.NumBlocks {
			return errors.Errorf("%s has %d entries; it must have each of the %d blocks once at most", l.name, n, c.NumBlocks)
		}
		for _, i := range l.list.Indices {
			if err := check(i >= 0 && i < c.NumBlocks, l.name, l.list.Indices, "a list of block indices below num_blocks"); err != nil {
				return err
			}
		}
		for _, i := range l.blocks(c.NumBlocks) {
			if in[i] != "" && in[i] != l.name {
				return errors.Errorf("block %d is in %s and in %s; it must be in one of them", i, in[i], l.name)
			}
			in[i] = l.name
		}
	}
	return nil
}

// validateMLSTM checks the description of the mLSTM blocks, of which block i is
// one.
func (c Config) validateMLSTM(i int, check checker) error {
	if c.MLSTMBlock == nil {
		return errors.Errorf("mlstm_block is null; it must describe the mLSTM blocks, since block %d is one", i)
	}
	l := c.MLSTMBlock.MLSTM
	if err := l.UpProjection.validate("mlstm_block.mlstm", c.EmbeddingDim, check); err != nil {
		return err
	}
	inner := l.dim(c.EmbeddingDim)
	return firstError(
		check.within("mlstm_block.mlstm.conv1d_kernel_size", l.Conv1dKernelSize, 1, maxKernel),
		check(l.NumHeads >= 1 && inner%max(1, l.NumHeads) == 0, "mlstm_block.mlstm.num_heads", l.NumHeads, "a divisor of the inner width"),
		check(l.QKVProjBlocksize >= 1 && inner%max(1, l.QKVProjBlocksize) == 0, "mlstm_block.mlstm.qkv_proj_blocksize", l.QKVProjBlocksize, "a divisor of the inner width"),
	)
}

func (c Config) validateSLSTM(check checker) error {
	l := c.SLSTMBlock.SLSTM
	clip := 1.0
	if l.GradientRecurrentClipval != nil {
		clip = *l.GradientRecurrentClipval
	}
	return firstError(
		check(l.NumHeads >= 1 && c.EmbeddingDim%max(1, l.NumHeads) == 0, "slstm_block.slstm.num_heads", l.NumHeads, "a divisor of embedding_dim"),
		check(l.Conv1dKernelSize >= 0 && l.Conv1dKernelSize <= maxKernel, "slstm_block.slstm.conv1d_kernel_size", l.Conv1dKernelSize, fmt.Sprintf("at least 1 and at most %d, or 0 for no convolution", maxKernel)),
		oneOf("slstm_block.slstm.bias_init", l.BiasInit, layers.PowerlawBlockdependent, layers.SmallInit, layers.ZerosInit, layers.StandardInit),
		oneOf("slstm_block.slstm.recurrent_weight_init", l.RecurrentWeightInit, layers.ZerosInit, layers.StandardInit),
		check(clip > 0, "slstm_block.slstm.gradient_recurrent_clipval", clip, "positive, or null for none"),
	)
}

// validateFeedForward checks the feed-forward layer of the sLSTM's block.
func (c Config) validateFeedForward(check checker) error {
	ffn := c.SLSTMBlock.FeedForward
	if ffn == nil {
		return nil
	}
	if err := ffn.UpProjection.validate("slstm_block.feedforward", c.EmbeddingDim, check); err != nil {
		return err
	}
	return oneOf("slstm_block.feedforward.act_fn", ffn.ActFn, nodes.ActivationNames()...)
}

func (u UpProjection) validate(where string, d int, check checker) error {
	if err := firstError(
		check(u.ProjFactor > 0 && u.ProjFactor*float64(d) <= maxInnerWidth, where+".proj_factor", u.ProjFactor, fmt.Sprintf("positive, and the width inside at most %d", maxInnerWidth)),
		check.within(where+".round_proj_up_to_multiple_of", u.RoundProjUpToMultipleOf, 1, maxInnerWidth),
	); err != nil {
		return err
	}
	return check(u.dim(d) >= 1, where+".proj_factor", u.ProjFactor, "large enough for a width of at least 1 after rounding down")
}

// checker is a check of one field, with what is allowed.
type checker func(ok bool, field string, value any, want string) error

// within checks a number that has a least and a largest value.
func (check checker) within(field string, value, least, most int) error {
	if value < least {
		return check(false, field, value, fmt.Sprintf("at least %d", least))
	}
	return check(value <= most, field, value, fmt.Sprintf("at most %d", most))
}

func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return errors.Errorf("%s is %q; it must be one of %s", field, value, strings.Join(allowed, ", "))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
