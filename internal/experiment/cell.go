package experiment

import (
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// A Cell is a kind of model that an experiment compares: the blocks of a
// language model of a given size.
type Cell struct {
	Name  string // as a flag has it
	Title string
	// configure sets the blocks of a model whose size is set.
	configure func(cfg *xlstm.Config)
}

// The names of the cells.
const (
	SLSTM = "slstm"
	MLSTM = "mlstm"
	Mixed = "mixed"
)

// Cells returns all cells.
func Cells() []Cell {
	return []Cell{
		{SLSTM, "sLSTM", func(cfg *xlstm.Config) { cfg.SLSTMAt = xlstm.AllBlocks() }},
		{MLSTM, "mLSTM", func(cfg *xlstm.Config) { cfg.SLSTMAt = xlstm.Blocks() }},
		{Mixed, "mLSTM and sLSTM", func(cfg *xlstm.Config) { cfg.SLSTMAt = everySecond(cfg.NumBlocks) }},
	}
}

// everySecond lists every second block, from the second on.
func everySecond(blocks int) xlstm.BlockList {
	list := xlstm.Blocks()
	for i := 1; i < blocks; i += 2 {
		list.Indices = append(list.Indices, i)
	}
	return list
}

// CellNames returns the names of all cells.
func CellNames() (names []string) {
	for _, c := range Cells() {
		names = append(names, c.Name)
	}
	return names
}

// cellNamed returns the cell of that name.
func cellNamed(name string) (Cell, error) {
	i := slices.IndexFunc(Cells(), func(c Cell) bool { return c.Name == name })
	if i < 0 {
		return Cell{}, errors.Errorf("there is no cell %q; there are %s", name, strings.Join(CellNames(), ", "))
	}
	return Cells()[i], nil
}

// size is the size of a model.
type size struct {
	vocab, dim, blocks, heads int
	conv                      bool // whether sLSTM blocks have a convolution
}

// model returns the configuration of a model of the cell.
func (c Cell) model(s size) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = s.vocab, s.dim, s.blocks
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = s.heads, s.heads
	if !s.conv {
		cfg.SLSTMBlock.SLSTM.Conv1dKernelSize = 0
	}
	c.configure(&cfg)
	return cfg
}
