package xlstm

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
)

// bench has a seat for each of several texts, which are rows of programs that read
// one token for each.
type bench struct {
	size  int         // texts that it is for
	parts []benchPart // of as many rows each; none before it is used
	seats []int       // the text in each seat, −1 for none, part by part
}

// benchPart is a program, with the state and the next tokens of its rows.
type benchPart struct {
	program *Program
	rows    *State
	ids     []int
}

// A small model is computed in parts of at most partRows rows, each on one core,
// which seldom wait for each other, instead of as one on all cores, which would do
// so at every operation. Every part reads all weights, which should come from a
// cache then.
const (
	partRows     = 8
	smallWeights = 8 << 20 // bytes
)

// furnish makes the states and programs of a bench. All parts have the same number
// of rows, so that it makes no difference to a text where it is seated.
func (m *Model) furnish(n *bench) error {
	count := 1
	if m.home == nil && m.weightBytes() <= smallWeights {
		count = (n.size + partRows - 1) / partRows
	}
	rows := (n.size + count - 1) / count
	var parts []benchPart
	for range count {
		state, err := m.NewState(rows)
		if err != nil {
			return err
		}
		p, err := m.compile(ProgramConfig{Batch: rows, Steps: 1, Carry: true}, state)
		if err != nil {
			return err
		}
		parts = append(parts, benchPart{p, state, make([]int, rows)})
	}
	n.parts, n.seats = parts, slices.Repeat([]int{-1}, count*rows)
	return nil
}

// weightBytes returns the size of the model's weights as they are held, without
// the scales of packed ones.
func (m *Model) weightBytes() (n int) {
	n = m.store.Size() * int(m.Dtype().Size())
	for _, p := range m.store.Packed() {
		n += len(p.Data.Data().([]byte))
	}
	return n
}

// seat returns the part and the row of a seat.
func (n *bench) seat(seat int) (p *benchPart, row int) {
	rows := len(n.parts[0].ids)
	return &n.parts[seat/rows], seat % rows
}

// run reads the tokens of all parts in which a text sits.
func (n *bench) run() error {
	rows, errs := len(n.parts[0].ids), make([]error, len(n.parts))
	cores.Run(len(n.parts), func(k int) {
		if p := n.parts[k]; slices.Max(n.seats[k*rows:(k+1)*rows]) >= 0 {
			errs[k] = p.program.Run(Input{Tokens: p.ids, State: p.rows})
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// close releases the programs.
func (n *bench) close() (err error) {
	for _, p := range n.parts {
		if failed := p.program.Close(); err == nil {
			err = failed
		}
	}
	return err
}
