//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// seqWeights are rows of weights of one format.
type seqWeights struct {
	at, scales address
	format     int32
	in, rows   int
}

// rowBytes returns the bytes of a row.
func (w seqWeights) rowBytes() int { return w.in * []int{4, 2, 1}[w.format] }

// pieceNumbers returns how many numbers 16 bytes hold.
func (w seqWeights) pieceNumbers() int { return []int{4, 8, 16}[w.format] }

// seqLinear is a map of a step: its weights, and where its result goes.
type seqLinear struct {
	seqWeights
	bias   address
	out    int
	paired bool       // it is a gate, or gated by another one
	gate   int        // the step that multiplies both
	gated  *seqLinear // by this one
}

// seqRows are the weights of a map of sequence.cuh, with those of the rows that its own
// are the gates of, if there are any.
type seqRows struct {
	seqWeights
	gated *seqWeights
	index int32 // of the map
}

// seqGroup is a product: maps of one vector with weights of one format.
type seqGroup struct {
	product seqProduct
	maps    []seqRows
}

// linears appends the products of step i and of the steps that follow it with the same
// vector.
func (s *sequence) linears(i int) {
	var maps []seqLinear
	x := s.steps[i].In[0]
	for j := i; j < len(s.steps) && !s.skipped[j] && slices.Index(s.steps[j].In, x) == 0; j++ {
		more := s.linearsOf(s.steps[j])
		if more == nil {
			break
		}
		maps = append(maps, more...)
		s.skipped[j] = true
	}
	at := s.vector(x)
	s.pair(i, maps)
	for len(maps) > 0 && !s.failed {
		first := maps[0]
		same := func(m seqLinear) bool {
			return m.format == first.format && m.in == first.in && m.paired == first.paired
		}
		var now []seqLinear
		for _, m := range maps {
			if same(m) {
				now = append(now, m)
			}
		}
		maps = slices.DeleteFunc(maps, same)
		s.product(i, at, now)
	}
}

// linearsOf returns the maps of a step, nil for steps of other kinds.
func (s *sequence) linearsOf(step device.Bound) (maps []seqLinear) {
	switch op := step.Op.(type) {
	case ops.Linear:
		return s.floatMaps(step, []ops.Linear{op})
	case ops.Linears:
		return s.floatMaps(step, op.Maps)
	case ops.PackedLinear:
		return s.packedMaps(step, op)
	}
	return nil
}

// floatMaps returns the maps of weights in float32 or of copies in bfloat16.
func (s *sequence) floatMaps(step device.Bound, of []ops.Linear) (maps []seqLinear) {
	operand := 1
	for _, m := range of {
		w := seqWeights{at: s.at(step, operand), in: m.In}
		if step.InBuffers[operand].Dtype() == ops.BFloat16 {
			w.format = seqHalves
		}
		s.failed = s.failed || m.Rows != 1
		operand++
		bias := address(0)
		if m.Bias {
			bias = s.floats(step, operand)
			operand++
		}
		maps = append(maps, w.blocks(m.Outs, bias, step.Out[len(maps):])...)
	}
	return maps
}

func (s *sequence) packedMaps(step device.Bound, op ops.PackedLinear) []seqLinear {
	w := seqWeights{at: s.at(step, 1), in: op.In, format: seqHalves}
	operand := 2
	switch op.Format {
	case ops.BF16:
	case ops.Int8:
		w.format, w.scales = seqBytes, s.at(step, 2)
		operand++
	default:
		s.failed = true
	}
	s.failed = s.failed || op.Rows != 1
	bias := address(0)
	if op.Bias {
		bias = s.floats(step, operand)
	}
	return w.blocks(op.Outs, bias, step.Out)
}

// blocks returns a map for each result, of consecutive rows.
func (w seqWeights) blocks(widths []int, bias address, out []int) (maps []seqLinear) {
	row := 0
	for k, width := range widths {
		m := seqLinear{seqWeights: w, out: out[k]}
		m.rows = width
		m.at += address(row * w.rowBytes())
		if w.format == seqBytes {
			m.scales += address(row * w.in / ops.Group * 2)
		}
		if bias != 0 {
			m.bias = bias + address(4*row)
		}
		maps = append(maps, m)
		row += width
	}
	return maps
}

// product appends an instruction for maps of the vector at x, of one format.
func (s *sequence) product(i int, x int32, maps []seqLinear) {
	w := maps[0].seqWeights
	g := seqGroup{product: seqProduct{x: x, n: int32(w.in), format: w.format}}
	p := &g.product
	if s.failed = s.failed || w.rowBytes()%16 != 0 || w.format == seqBytes && w.in%(2*ops.Group) != 0; s.failed {
		return
	}
	p.pieces = int32(w.rowBytes() / 16)
	p.warps = min(seqStripes, (p.pieces+31)/32)
	p.rows, p.passes = seqStripes/p.warps, (p.pieces+seqSpan-1)/seqSpan
	p.unit = p.passes
	for _, m := range maps {
		if m.paired && m.gated == nil {
			continue
		}
		rows := seqRows{seqWeights: m.seqWeights, index: int32(len(s.maps))}
		to := seqMap{bias: m.bias, rows: int32(m.rows), gate: -1}
		result := m.out
		if m.gated != nil {
			op := s.steps[m.gate].Op.(ops.Gated)
			rows.gated = &m.gated.seqWeights
			to.gate, to.more, result = activations[op.Fn], m.gated.bias, s.steps[m.gate].Out[0]
			p.unit = 2 * p.passes
			s.skipped[m.gate] = true
		} else if j, softCap, ok := s.capOf(i, m.out); ok {
			to.cap, result = float32(softCap.Cap), s.steps[j].Out[0]
			s.skipped[j] = true
		}
		if to.out = s.outAt(result); s.readAfter(result, i) {
			to.words = s.exchange(result)
		}
		s.maps, g.maps = append(s.maps, to), append(g.maps, rows)
	}
	s.emit(seqInstruction{kind: seqProducts, index: int32(len(s.groups))})
	s.flush()
	s.groups = append(s.groups, g)
}

// pair finds maps of step i whose results are only a gate and what it gates.
func (s *sequence) pair(i int, maps []seqLinear) {
	for k := range maps {
		m := &maps[k]
		j, ok := s.onlyReader(i, m.out)
		if !ok {
			continue
		}
		if _, ok = s.steps[j].Op.(ops.Gated); !ok || s.steps[j].In[0] != m.out {
			continue
		}
		for l := range maps {
			o := &maps[l]
			if reader, ok := s.onlyReader(i, o.out); !ok || reader != j || o == m || o.rows != m.rows || o.format != m.format || o.in != m.in {
				continue
			}
			m.paired, o.paired, m.gate = true, true, j
			gated := *o
			m.gated = &gated
		}
	}
}

// capOf returns the soft cap that alone reads a result of step i.
func (s *sequence) capOf(i, id int) (at int, op ops.SoftCap, ok bool) {
	if at, ok = s.onlyReader(i, id); !ok {
		return at, op, false
	}
	op, ok = s.steps[at].Op.(ops.SoftCap)
	return at, op, ok
}

// onlyReader returns the only step after i that reads a value which is not read
// outside.
func (s *sequence) onlyReader(i, id int) (at int, ok bool) {
	at = -1
	for j := i + 1; j < len(s.steps); j++ {
		if !slices.Contains(s.steps[j].In, id) {
			continue
		}
		if at >= 0 {
			return -1, false
		}
		at = j
	}
	return at, at >= 0 && s.outAt(id) == 0
}

// readAfter reports whether a step after i reads a value.
func (s *sequence) readAfter(id, i int) bool {
	return slices.ContainsFunc(s.steps[i+1:], func(x device.Bound) bool { return slices.Contains(x.In, id) })
}
