//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "math"

// halvesBlock are the rows of a block, and the slots in which their weights come.
type halvesBlock struct {
	shares  []seqShare
	rows    []halvesRow
	at      []uint32 // of each slot, its rows
	lengths []uint32 // of each slot, 0 behind the last one
}

// deal gives each block as many rows of each product as any other, or one less.
func (h *halves) deal(s *sequence, blocks int) {
	h.blocks = make([]halvesBlock, blocks)
	h.weights = ^address(0)
	for _, c := range h.cells {
		h.fits = h.fits && int(c.heads*c.dhv)/seqColumns <= blocks
	}
	for _, p := range h.products {
		for _, w := range p.rows {
			if h.weights = min(h.weights, w.at); p.pairs {
				h.weights = min(h.weights, w.other)
			}
		}
	}
	exchanged := h.exchanged()
	for b := range h.blocks {
		for k, p := range h.products {
			from := len(h.blocks[b].lengths)
			h.give(&h.blocks[b], p, p.of(b, blocks))
			for slot := range h.blocks[b].lengths[from:] {
				if k >= exchanged {
					h.blocks[b].lengths[from+slot] |= halvesHurry
				}
			}
		}
	}
}

// exchanged returns how many products have results that blocks exchange, or come before
// such a product.
func (h *halves) exchanged() int {
	for k := len(h.products); k > 0; k-- {
		for _, w := range h.products[k-1].rows {
			if w.row.word >= 0 {
				return k
			}
		}
	}
	return 0
}

// of returns the rows of a product that a block has, in the stage of the product.
func (p halvesProduct) of(b, blocks int) []halvesWeights {
	rows := p.rows[b*len(p.rows)/blocks : (b+1)*len(p.rows)/blocks]
	rows = rows[min(len(rows), int(p.from)):]
	return rows[:min(len(rows), p.limit())]
}

// limit returns how many rows of a block a stage has at most, pairs counted once: it does
// not need more slots than there are.
func (p halvesProduct) limit() int {
	pieces := (p.in + halvesWide - 1) / halvesWide
	rows := min(halvesMost, halvesRows*(halvesDepth/pieces))
	if p.pairs {
		rows /= 2
	}
	return rows
}

// give gives a block rows, eight to a unit, whose slots follow each other.
func (h *halves) give(b *halvesBlock, p halvesProduct, rows []halvesWeights) {
	b.shares = append(b.shares, seqShare{int32(len(b.rows)), int32(len(rows))})
	perUnit := halvesRows
	if p.pairs {
		perUnit /= 2
	}
	var units [][]address
	for k, w := range rows {
		b.rows = append(b.rows, w.row)
		if k%perUnit == 0 {
			units = append(units, make([]address, halvesRows))
		}
		unit := units[len(units)-1]
		if unit[k%perUnit] = w.at; p.pairs {
			unit[k%perUnit+perUnit] = w.other
		}
	}
	for _, unit := range units {
		for from := 0; from < p.in; from += halvesWide {
			h.slot(b, unit, from, min(halvesWide, p.in-from))
		}
	}
}

// slot appends n numbers of the rows of a unit, those from number `from` on.
func (h *halves) slot(b *halvesBlock, unit []address, from, n int) {
	b.lengths = append(b.lengths, uint32(2*n))
	for _, at := range unit {
		k := uint32(halvesEmpty)
		if at != 0 {
			first := (at - h.weights + address(2*from)) / 16
			h.fits = h.fits && first < math.MaxUint32
			k = uint32(first)
		}
		b.at = append(b.at, k)
	}
}

// flat returns the rows and slots of all blocks one after the other, as many for each.
func (h *halves) flat() (f halvesBlock) {
	rows, slots := 0, 0 // one row more, which threads without any read
	for _, b := range h.blocks {
		rows, slots = max(rows, len(b.rows)+1), max(slots, len(b.lengths))
	}
	for _, b := range h.blocks {
		f.shares = append(f.shares, b.shares...)
		f.rows = append(append(f.rows, b.rows...), make([]halvesRow, rows-len(b.rows))...)
		f.at = append(append(f.at, b.at...), make([]uint32, (slots-len(b.lengths))*halvesRows)...)
		f.lengths = append(append(f.lengths, b.lengths...), make([]uint32, slots-len(b.lengths))...)
	}
	return f
}
