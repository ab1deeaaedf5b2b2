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
)

// size is the size of a model.
type size struct {
	vocab, dim, blocks, heads int
	conv                      bool // whether sLSTM blocks have a convolution
}

// Cells returns all cells.
func Cells() []Cell {
	return []Cell{
		{SLSTM, "sLSTM", func(s size) xlstm.Config { return s.blocksOf(xlstm.AllBlocks(), xlstm.Blocks()) }},
		{MLSTM, "mLSTM", func(s size) xlstm.Config { return s.blocksOf(xlstm.Blocks(), xlstm.Blocks()) }},
		{Mixed, "mLSTM and sLSTM", func(s size) xlstm.Config { return s.blocksOf(everySecond(s.blocks), xlstm.Blocks()) }},
		{LSTM, "LSTM", size.plainLSTM},
		{LSTMBlock, "LSTM in blocks", func(s size) xlstm.Config { return s.blocksOf(xlstm.Blocks(), xlstm.AllBlocks()) }},
	}
}

// blocksOf returns a model of residual blocks, those with an sLSTM and with a
// classic LSTM as listed and mLSTM blocks elsewhere.
func (s size) blocksOf(slstm, lstm xlstm.BlockList) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt, cfg.LSTMAt = s.vocab, s.dim, s.blocks, slstm, lstm
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = s.heads, s.heads
	if !s.conv {
		cfg.SLSTMBlock.SLSTM.Conv1dKernelSize = 0
	}
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
