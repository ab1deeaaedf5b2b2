package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Input is the input of a run of a Program that was compiled for B sequences of
// T tokens. All slices are batch-major.
type Input struct {
	// Tokens are B·T token ids.
	Tokens []int
	// Targets are B·T token ids, of which nodes.Ignored does not count. They
	// are required if the program computes a loss, and otherwise not read.
	Targets []int
	// Starts, of length B·T, are true at the positions of Tokens at which
	// documents begin. Results from such a position on do not depend on earlier
	// tokens or on a carried state, and no gradient flows back across it. Nil
	// means no positions. The program must have been compiled with WithResets.
	Starts []bool
	// State is the initial state of the run, which the state after the last
	// token replaces; nil means the start of a text. The program must have been
	// compiled with Carry.
	State *State
	// Dropout is the key of dropout.
	Dropout DropoutKey
}

// DropoutKey seeds dropout: the same key drops the same elements. Row is the
// number of the first row of a run that is a part of a larger batch, counted in
// tokens; 0 otherwise.
type DropoutKey struct{ Seed, Step, Row int }

// read checks an input and writes it to the graph's own.
func (p *Program) read(in Input) error {
	vocab := p.model.cfg.VocabSize
	if err := letIDs(p.ids, p.idsBuf, in.Tokens, 0, vocab); err != nil {
		return err
	}
	if p.targets != nil {
		if err := letIDs(p.targets, p.tgtBuf, in.Targets, nodes.Ignored, vocab); err != nil {
			return err
		}
	}
	if err := p.readStarts(in.Starts); err != nil || p.out.DropoutKey == nil {
		return err
	}
	key := p.keyBuf.Data().([]int)
	key[0], key[1], key[2] = in.Dropout.Seed, in.Dropout.Step, in.Dropout.Row
	return gorgonia.Let(p.out.DropoutKey, p.keyBuf)
}

// letIDs binds ids, each from least up to but not including vocab.
func letIDs(n *gorgonia.Node, buf *tensor.Dense, ids []int, least, vocab int) error {
	to := buf.Data().([]int)
	if err := checkIDs(n, ids, len(to), least, vocab); err != nil {
		return err
	}
	copy(to, ids)
	return gorgonia.Let(n, buf)
}

// checkIDs checks that there are n ids, each from least up to but not including
// vocab, for the given input or a part of them.
func checkIDs(input *gorgonia.Node, ids []int, n, least, vocab int) error {
	if len(ids) != n {
		return errors.Errorf("xlstm: %s holds %d token ids, the program was compiled for %d", input.Name(), len(ids), n)
	}
	for i, id := range ids {
		if id < least || id >= vocab {
			return errors.Errorf("xlstm: %s %d at position %d is outside the vocabulary of %d", singular(input), id, i, vocab)
		}
	}
	return nil
}

// singular names an element of the input n.
func singular(n *gorgonia.Node) string {
	if n.Name() == "targets" {
		return "target"
	}
	return "token"
}

// readStarts binds the resets to where documents begin.
func (p *Program) readStarts(starts []bool) error {
	switch {
	case p.resets == nil && starts != nil:
		return errors.New("xlstm: starts were given to a program that was compiled without WithResets")
	case p.resets == nil:
		return nil
	}
	to := p.resetBuf.Data().([]int)
	if err := checkStarts(starts, len(to)); err != nil {
		return err
	}
	clear(to)
	for i, start := range starts {
		if start {
			to[i] = 1
		}
	}
	return gorgonia.Let(p.resets, p.resetBuf)
}

// checkStarts checks that there are n starts, or none.
func checkStarts(starts []bool, n int) error {
	if starts != nil && len(starts) != n {
		return errors.Errorf("xlstm: starts for %d positions, the program was compiled for %d", len(starts), n)
	}
	return nil
}

// checkBatch checks a batch that the program reads in parts.
func (p *Program) checkBatch(b data.Batch) error {
	n, vocab := b.B*b.T, p.model.cfg.VocabSize
	if err := checkIDs(p.ids, b.Inputs, n, 0, vocab); err != nil {
		return err
	}
	if err := checkIDs(p.targets, b.Targets, n, nodes.Ignored, vocab); err != nil {
		return err
	}
	return checkStarts(b.Starts, n)
}
