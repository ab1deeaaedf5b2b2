package xlstm

import (
	"maps"
	"slices"

	"github.com/pkg/errors"
)

// How the cost of a model of any depth is known from few blocks: those of a kind
// are alike.

// maxPlanned is the number of blocks up to which a cost plans all of them.
const maxPlanned = 8

// runOfBlocks are blocks of one kind that follow each other.
type runOfBlocks struct {
	kind   string
	cell   cell // in the paper's architecture
	blocks int
}

// runsOfBlocks returns all blocks, in their order.
func (c Config) runsOfBlocks() (runs []runOfBlocks) {
	cells := make([]cell, c.NumBlocks)
	if c.form() == paperForm {
		cells = c.cells()
	}
	kinds := map[cell]string{}
	runs = make([]runOfBlocks, 0, len(cells))
	for i, cell := range cells {
		// The layers of a plain LSTM are alike but for the first, which may read
		// another width.
		if kinds[cell] == "" || i == 1 {
			kinds[cell] = c.block(i).Kind()
		}
		if i == 0 || runs[len(runs)-1].kind != kinds[cell] {
			runs = append(runs, runOfBlocks{kind: kinds[cell], cell: cell})
		}
		runs[len(runs)-1].blocks++
	}
	return runs
}

// kinds returns the kind of every block.
func (c Config) kinds() []string {
	kinds := make([]string, 0, c.NumBlocks)
	for _, r := range c.runsOfBlocks() {
		for range r.blocks {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}

// shortened returns the configuration with few blocks, in which the same kinds
// begin, end and follow each other, and the blocks that it lacks, as a run for each
// kind.
func (c Config) shortened() (few Config, left []runOfBlocks) {
	if c.NumBlocks <= maxPlanned {
		return c, nil
	}
	runs := c.runsOfBlocks()
	longest, lacks := map[string]int{}, map[string]runOfBlocks{}
	for _, r := range runs {
		longest[r.kind] = max(longest[r.kind], r.blocks)
		r.blocks += lacks[r.kind].blocks
		lacks[r.kind] = r
	}
	var cells []cell
	for _, r := range fewRuns(runs) {
		all := lacks[r.kind]
		for range min(2, longest[r.kind]) {
			cells = append(cells, r.cell)
			all.blocks--
		}
		lacks[r.kind] = all
	}
	for _, kind := range slices.Sorted(maps.Keys(lacks)) {
		left = append(left, lacks[kind])
	}
	return c.withCells(cells), left
}

// fewRuns leaves runs out while there are more than half of maxPlanned: those from
// one run to another of its kind, so that the same kinds follow each other, and
// only where all kinds remain.
func fewRuns(runs []runOfBlocks) []runOfBlocks {
	for from := 0; from < len(runs) && len(runs) > maxPlanned/2; from++ {
		if to := farthest(runs, from); to > from {
			runs = slices.Concat(runs[:from], runs[to:])
			from = -1
		}
	}
	return runs
}

// farthest returns the last run of the kind of runs[from] that may follow what is
// before from, or from if there is none.
func farthest(runs []runOfBlocks, from int) int {
	kinds, rest := map[string]bool{}, map[string]bool{}
	for i, r := range runs {
		kinds[r.kind] = true
		if i < from {
			rest[r.kind] = true
		}
	}
	for to := len(runs) - 1; to > from; to-- {
		rest[runs[to].kind] = true
		if left := from + len(runs) - to; runs[to].kind == runs[from].kind && len(rest) == len(kinds) && left >= maxPlanned/2-1 {
			return to
		}
	}
	return from
}

// carriedOver returns bytes of the configuration with so many more blocks of each
// kind, every one of which adds the same.
func (c Config) carriedOver(more []runOfBlocks, bytes func(m *Model) (int64, error)) (int64, error) {
	total, err := c.outlined(bytes)
	for _, r := range more {
		if r.blocks == 0 || err != nil {
			continue
		}
		var size [2]int64
		for k := range size {
			if size[k], err = c.withCells(slices.Repeat([]cell{r.cell}, 2+k)).outlined(bytes); err != nil {
				return 0, err
			}
		}
		total += int64(r.blocks) * (size[1] - size[0])
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
