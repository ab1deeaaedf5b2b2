//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// halvesProduct are rows of one input, those of a stage.
type halvesProduct struct {
	rows  []halvesWeights
	from  int32 // the first row of a block that is of the stage
	pairs bool
	in    int
}

// halvesWeights are a row of weights, the other one of its pair, and where the result
// goes.
type halvesWeights struct {
	at, other address
	row       halvesRow
}

// index returns the first of the words of a value of n numbers, a multiple of four.
func (h *halves) index(words address, n int32) int32 {
	at, there := h.indices[words]
	if !there {
		at = h.words
		h.indices[words] = at
		h.words += (n + 3) / 4 * 4
	}
	return at
}

// add appends the stages of an instruction.
func (h *halves) add(s *sequence, in seqInstruction) {
	switch in.kind {
	case seqEmbed:
		h.fits = h.embed.in == 0 && in.format != seqBytes && in.n%halvesOfWarp == 0 && in.n <= halvesWarps*halvesOfWarp
		h.embed, h.residual = in, in.to
	case seqRow:
		h.row(in)
	case seqAwait:
		h.next, h.input = halvesStage{cell: -1, n: in.n, input: halvesPlain, words: h.index(in.words, in.n), gate: -1}, in.to
	case seqProducts:
		h.product(s, s.groups[in.index])
	case seqCell:
		h.cell(s.cells[in.index])
	case seqFlush: // comes with the norm of the result
	default:
		h.fits = false
	}
}

// row makes a ROW the input of the product that follows.
func (h *halves) row(in seqInstruction) {
	st := halvesStage{cell: -1, n: in.n, gate: -1, groups: in.groups, centered: in.centered, residual: in.residual, eps: in.eps, weight: in.in}
	switch {
	case in.words == 0 && in.more < 0 && in.gate < 0 && in.gateWords == 0 && h.input < 0 && in.from == h.residual:
		st.input = halvesEmbedded
	case in.words == 0 && in.more < 0 && in.gate < 0 && in.gateWords == 0 && h.next.input == halvesAdded && h.next.groups == 0 && in.from == h.residual:
		st.input, st.words = halvesAdded, h.next.words // the norm of a sum that has been made
	case in.words != 0 && in.more >= 0 && in.more == h.residual && in.gate < 0 && in.gateWords == 0:
		st.input, st.words = halvesAdded, h.index(in.words, in.n)
		if h.residual = in.sum; in.groups == 0 {
			h.residual = in.to
		}
	case in.words != 0 && in.more < 0 && in.sum < 0 && in.gate < 0 && in.gateWords != 0 && in.function == activations[ops.Sigmoid] && h.ofCell(in.words):
		st.input, st.words, st.gate = halvesNormed, h.index(in.words, in.n), h.index(in.gateWords, in.n)
	default:
		h.fits = false
	}
	if h.fits = h.fits && in.n == h.embed.n; in.groups > 0 {
		st.share = float32(in.groups) / float32(in.n)
		st.warps, st.late = in.n/in.groups/halvesOfWarp, int32(flag(in.groups == 1 && in.centered == 0))
		h.fits = h.fits && in.in != 0 && in.n == st.warps*in.groups*halvesOfWarp && (in.groups == 1 || st.warps&(st.warps-1) == 0)
	}
	h.next, h.input = st, in.to
}

// ofCell reports whether words are the result of the stage before.
func (h *halves) ofCell(words address) bool {
	last := len(h.stages) - 1
	return last >= 0 && h.stages[last].cell >= 0 && h.cells[h.stages[last].cell].h == h.index(words, 0)
}

// product appends a product. A stage has no more rows than MOST in a block, others
// follow in stages of the same input.
func (h *halves) product(s *sequence, g seqGroup) {
	p := halvesProduct{pairs: g.maps[0].gated != nil, in: int(g.product.n)}
	h.fits = h.fits && g.product.format == seqHalves && p.in%32 == 0 && g.product.x == h.input && int32(p.in) == h.next.n && (h.next.input != halvesNormed && h.next.input != halvesAdded || h.next.groups > 0)
	for _, m := range g.maps {
		to := s.maps[m.index]
		row := halvesRow{word: -1, cap: to.cap}
		if p.pairs {
			h.fits = h.fits && to.gate == activations[ops.SiLU] && to.out == 0
		}
		first := int32(-1)
		if to.words != 0 {
			first = h.index(to.words, to.rows)
		}
		for r := range to.rows {
			w := halvesWeights{at: m.at + address(r)*address(m.rowBytes()), row: row}
			if first >= 0 {
				w.row.word = first + r
			}
			w.row.bias, w.row.to = after(to.bias, r), after(to.out, r)
			if p.pairs {
				w.other, w.row.to = m.gated.at+address(r)*address(m.rowBytes()), after(to.more, r)
			}
			p.rows = append(p.rows, w)
		}
	}
	limit, blocks := p.limit(), int(s.d.processors)
	if h.fits = h.fits && limit > 0; !h.fits {
		return
	}
	for from := 0; from*blocks < len(p.rows); from += limit {
		p.from = int32(from)
		st := h.next
		st.pairs = int32(flag(p.pairs))
		h.stages, h.products = append(h.stages, st), append(h.products, p)
		h.next.input = halvesSame
	}
}

// after returns the address of float32 number r, or 0 for none.
func after(at address, r int32) address {
	if at == 0 {
		return 0
	}
	return at + 4*address(r)
}

// cell appends a cell, of which a block has the columns of one head.
func (h *halves) cell(c seqCellArgs) {
	st := halvesStage{cell: int32(len(h.cells)), gate: -1}
	h.fits = h.fits && c.dqk%4 == 0 && c.dqk <= halvesKeys && c.dhv%seqColumns == 0 && len(h.stages) > 0
	h.cells = append(h.cells, halvesCell{
		q: h.index(c.q, c.heads*c.dqk), k: h.index(c.k, c.heads*c.dqk), v: h.index(c.v, c.heads*c.dhv),
		i: h.index(c.i, c.heads), f: h.index(c.f, c.heads), h: h.index(c.h, c.heads*c.dhv),
		heads: c.heads, dqk: c.dqk, dhv: c.dhv, scaleQ: c.scaleQ, scaleK: c.scaleK, eps: c.eps,
		c: c.c, keys: c.keys, m: c.m, toC: c.toC, toKeys: c.toKeys, toM: c.toM, begin: float32(c.begin),
	})
	h.stages = append(h.stages, st)
}
