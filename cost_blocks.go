package xlstm

import (
	"slices"

	"github.com/pkg/errors"
)

// How the cost of a model of any depth is known from few blocks: those of a kind
// are alike.

// maxPlanned is the number of blocks up to which a cost plans all of them.
const maxPlanned = 8

// runOfBlocks are blocks of one kind that follow each other.
type runOfBlocks struct {
	slstm  bool
	blocks int
}

// runsOfBlocks returns all blocks, in their order.
func (c Config) runsOfBlocks() (runs []runOfBlocks) {
	for i, slstm := range c.slstmBlocks() {
		if i == 0 || runs[len(runs)-1].slstm != slstm {
			runs = append(runs, runOfBlocks{slstm: slstm})
		}
		runs[len(runs)-1].blocks++
	}
	return runs
}

// kinds returns the kind of every block.
func (c Config) kinds() (kinds []string) {
	start := 0
	for _, r := range c.runsOfBlocks() {
		kinds = append(kinds, slices.Repeat([]string{c.block(start).Kind()}, r.blocks)...)
		start += r.blocks
	}
	return kinds
}

// shortened returns the configuration with few blocks, in which the same kinds
// begin, end and follow each other, and how many sLSTM blocks (true) and others it
// lacks.
func (c Config) shortened() (few Config, left map[bool]int) {
	left = map[bool]int{}
	if c.NumBlocks <= maxPlanned {
		return c, left
	}
	runs := c.runsOfBlocks()
	longest := map[bool]int{}
	for _, r := range runs {
		longest[r.slstm] = max(longest[r.slstm], r.blocks)
		left[r.slstm] += r.blocks
	}
	keep := len(runs)
	for keep > maxPlanned/2 {
		keep -= 2 // so that it ends with the same kind
	}
	few = c
	few.NumBlocks, few.SLSTMAt = 0, BlockList{}
	for _, r := range runs[:keep] {
		for range min(2, longest[r.slstm]) {
			if r.slstm {
				few.SLSTMAt.Indices = append(few.SLSTMAt.Indices, few.NumBlocks)
			}
			few.NumBlocks++
			left[r.slstm]--
		}
	}
	return few, left
}

// carriedOver returns bytes of the configuration with so many more blocks of each
// kind, every one of which adds the same.
func (c Config) carriedOver(more map[bool]int, bytes func(m *Model) (int64, error)) (int64, error) {
	total, err := c.outlined(bytes)
	for slstm, n := range more {
		if n == 0 || err != nil {
			continue
		}
		var size [2]int64
		for k := range size {
			alike := c
			alike.NumBlocks, alike.SLSTMAt = 2+k, BlockList{All: slstm}
			if size[k], err = alike.outlined(bytes); err != nil {
				return 0, err
			}
		}
		total += int64(n) * (size[1] - size[0])
	}
	return total, err
}

// outlined returns bytes of the outline of a model.
func (c Config) outlined(bytes func(m *Model) (int64, error)) (int64, error) {
	m, err := c.outline()
	if err != nil {
		return 0, err
	}
	return bytes(m)
}

// countable checks that no number of a cost is beyond an int64, as those of absurd
// configurations would be. parts are those of few blocks, for a single token.
func (c Config) countable(parts []PartCost, opts CostOptions) error {
	const most = 1 << 62
	var bytes, adds, state, widest float64
	for _, p := range parts {
		bytes += 16 * float64(c.NumBlocks) * float64(p.Params+p.State)
		state = max(state, float64(p.State))
		for _, t := range p.Tensors {
			widest = max(widest, float64(slices.Max(t.Shape)))
		}
		n := 3 * p.Forward * float64(opts.Steps)
		if p.Name == "cell" {
			n *= float64(min(opts.Chunk, opts.Steps))
		}
		adds = max(adds, n)
	}
	// A block has some hundred results of at most the largest width a token.
	tokens := float64(opts.Batch) * float64(opts.Steps)
	results := 1 << 10 * float64(c.NumBlocks) * (tokens*widest + float64(opts.Batch)*state)
	if bytes < most && adds < most && results < most && tokens < 1<<31 {
		return nil
	}
	return errors.Errorf("xlstm: a model of %d blocks of width %d and a vocabulary of %d, on %d sequences of %d tokens, is beyond all that can be counted; choose smaller numbers",
		c.NumBlocks, c.EmbeddingDim, c.VocabSize, opts.Batch, opts.Steps)
}
