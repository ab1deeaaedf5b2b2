package experiment

import (
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// A Cell is a kind of model that an experiment compares.
type Cell struct {
	Name  string // as a flag has it
	Title string
	// model returns the configuration of a model of a size.
	model func(s size) xlstm.Config
}

// The names of the cells.
const (
	SLSTM     = "slstm"
	MLSTM     = "mlstm"
	Mixed     = "mixed"
	LSTM      = "lstm"
	LSTMBlock = "lstmblock"
	// Simplified is the cell that articles present as xLSTM; see
	// layers.Simplified.
	Simplified = "simplified"
)

// size is the size of a model.
type size struct {
	vocab, dim, blocks, heads int
	conv                      bool // whether sLSTM blocks have a convolution
}

// Cells returns all cells.
func Cells() []Cell {
	return []Cell{
		{SLSTM, "sLSTM", func(s size) xlstm.Config { return s.blocksOf(func(c *xlstm.Config) { c.SLSTMAt = xlstm.AllBlocks() }) }},
		{MLSTM, "mLSTM", func(s size) xlstm.Config { return s.blocksOf(func(*xlstm.Config) {}) }},
		{Mixed, "mixed", func(s size) xlstm.Config {
			return s.blocksOf(func(c *xlstm.Config) { c.SLSTMAt = everySecond(s.blocks) })
		}},
		{LSTM, "LSTM", size.plainLSTM},
		{LSTMBlock, "LSTM block", func(s size) xlstm.Config { return s.blocksOf(func(c *xlstm.Config) { c.LSTMAt = xlstm.AllBlocks() }) }},
		{Simplified, "simplified", func(s size) xlstm.Config {
			return s.blocksOf(func(c *xlstm.Config) { c.SimplifiedAt = xlstm.AllBlocks() })
		}},
	}
}

// blocksOf returns a model of residual blocks: mLSTM blocks, except where place
// places others.
func (s size) blocksOf(place func(cfg *xlstm.Config)) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = s.vocab, s.dim, s.blocks
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = s.heads, s.heads
	if !s.conv {
		cfg.SLSTMBlock.SLSTM.Conv1dKernelSize = 0
	}
	place(&cfg)
	return cfg
}

// plainLSTM returns a classic LSTM with a layer for each block, as wide as the
// embedding.
func (s size) plainLSTM() xlstm.Config {
	cfg := xlstm.DefaultLSTMConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.LSTM.HiddenSize = s.vocab, s.dim, s.blocks, s.dim
	return cfg
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
