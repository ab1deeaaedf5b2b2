//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// dealt are the pieces of weights that each block reads, in order.
type dealt struct {
	products        []seqProduct
	blocks          []blockPieces
	weights, scales address // from which on pieces are counted
	scaled          bool
}

// blockPieces are the pieces of a block.
type blockPieces struct {
	shares       []seqShare
	at, scalesAt []uint32
	lengths      []int32 // of pieces, in 16 bytes
	places       []seqPlace
}

// flatPieces are the pieces of all blocks, `most` for each.
type flatPieces struct {
	blockPieces
	most int
}

// deal gives the pieces of all products to blocks, and reports whether it could: the
// units of a product one after the other to the next block, so that all blocks have as
// many in the end.
func (s *sequence) deal(blocks int) bool {
	d := &s.dealt
	d.blocks = make([]blockPieces, blocks)
	d.weights, d.scales = ^address(0), ^address(0)
	for _, g := range s.groups {
		for _, m := range g.maps {
			for _, w := range m.all() {
				d.weights = min(d.weights, w.at)
				if w.format == seqBytes {
					d.scales, d.scaled = min(d.scales, w.scales), true
				}
			}
		}
	}
	next, fits := 0, len(s.groups) > 0
	for _, g := range s.groups {
		p := g.product
		p.batch, p.inverse = seqBatch/p.unit*p.unit, (1<<16+p.warps-1)/p.warps
		fits = fits && p.unit <= seqBatch
		for b := range d.blocks {
			d.blocks[b].shares = append(d.blocks[b].shares, seqShare{first: int32(len(d.blocks[b].at))})
		}
		for _, m := range g.maps {
			for row := 0; row < m.rows; row += int(p.rows) {
				b := &d.blocks[next%blocks]
				next++
				for k, w := range m.all() {
					fits = d.give(b, p, w, row, m.index, k == 0) && fits
				}
			}
		}
		d.products = append(d.products, p)
	}
	return fits
}

// all returns the weights of a map: its own, and those that they are the gates of.
func (m seqRows) all() []seqWeights {
	if m.gated == nil {
		return []seqWeights{m.seqWeights}
	}
	return []seqWeights{m.seqWeights, *m.gated}
}

// give gives a block the pieces of the rows of a unit from row on, first or not, and
// reports whether they can be told from the first address.
func (d *dealt) give(b *blockPieces, p seqProduct, w seqWeights, row int, mapped int32, first bool) bool {
	fits := true
	for pass := range int(p.passes) {
		at := int64(w.at-d.weights)/16 + int64(row)*int64(p.pieces) + int64(pass)*seqSpan
		scales := int64(0)
		if w.format == seqBytes {
			scales = int64(w.scales-d.scales)/4 + (int64(row)*int64(w.in)/ops.Group+int64(pass)*seqSpan*int64(w.pieceNumbers())/ops.Group)/2
		}
		length := min(p.rows, int32(w.rows-row)) * p.pieces
		if p.passes > 1 {
			length = min(seqSpan, p.pieces-int32(pass)*seqSpan)
		}
		fits = fits && at <= math.MaxUint32 && scales <= math.MaxUint32
		place := seqPlace{mapped, int32(row)}
		if !first || pass > 0 {
			place.mapped = -1
		}
		b.at, b.scalesAt = append(b.at, uint32(at)), append(b.scalesAt, uint32(scales))
		b.lengths, b.places = append(b.lengths, length), append(b.places, place)
		b.shares[len(b.shares)-1].count++
	}
	return fits
}

// most returns the number of pieces of the block that has the most.
func (d *dealt) most() (n int) {
	for _, b := range d.blocks {
		n = max(n, len(b.at))
	}
	return n
}

// flat returns the pieces of all blocks one after the other.
func (d *dealt) flat() (f flatPieces) {
	f.most = d.most()
	for _, b := range d.blocks {
		more := f.most - len(b.at)
		f.shares = append(f.shares, b.shares...)
		f.at = append(append(f.at, b.at...), make([]uint32, more)...)
		f.scalesAt = append(append(f.scalesAt, b.scalesAt...), make([]uint32, more)...)
		f.lengths = append(append(f.lengths, b.lengths...), make([]int32, more)...)
		f.places = append(append(f.places, b.places...), make([]seqPlace, more)...)
	}
	return f
}
