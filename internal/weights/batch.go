package weights

import (
	"sync"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Batch is several vectors as they are multiplied with packed matrices in Int8 or
// Int4. Each is rounded as a [Vector] is. The zero Batch is ready for Set, and keeps
// its memory for the next Set. There must be kernels for it, see [Batches].
//
// The vectors are cut into strips, as many as possible of the longest that there is a
// kernel for first. A strip has, for each group,
//
//	32 bytes for each vector: its integers
//	an int32 and a float32 for each vector: what the sum of its products has to be
//	    corrected by, because the integers of the matrix are made positive, and the
//	    scale
type Batch struct {
	format ops.Format
	n, in  int
	strips []byte
}

const (
	sumsBytes = 8 // of a group of a vector: the correction and the scale
	slotBytes = ops.Group + sumsBytes
	// stripMost is a multiple of the length of every strip but the last ones.
	stripMost = 16
)

// Batches reports whether there are kernels for a Batch of the format.
func Batches(f ops.Format) bool { return f.Scaled() && tiled != nil }

// Set makes b the n rows of x, of in numbers each, for matrices of the format.
func (b *Batch) Set(f ops.Format, n, in int, x []float32) {
	b.format, b.n, b.in = f, n, in
	x = first(x, n*in)
	size := in / ops.Group * slotBytes // of a vector
	b.strips = roomFor(b.strips, n*size)
	if size == 0 {
		return
	}
	if n <= stripMost {
		b.round(0, n, x)
		return
	}
	cores.Run((n+stripMost-1)/stripMost, func(i int) { b.round(i*stripMost, min(n, (i+1)*stripMost), x) })
}

// round rounds vectors lo to hi, which are whole strips.
func (b *Batch) round(lo, hi int, x []float32) {
	groups, kernels := b.in/ops.Group, tiled.of(b.format)
	for h := 0; lo < hi; lo += h {
		h = kernels.next(hi - lo).vectors
		strip := b.strip(lo, h)
		for t := range h {
			tiled.roundRow(groups, &x[(lo+t)*b.in], &strip[t*ops.Group], &strip[h*ops.Group+t*sumsBytes], h*slotBytes, -layoutOf(b.format).offset)
		}
	}
}

// strip returns the strip of so many vectors that begins with the given one.
func (b *Batch) strip(from, vectors int) []byte {
	size := b.in / ops.Group * slotBytes
	return b.strips[from*size:][:vectors*size]
}

// interleaved is the rows of a matrix in a tile.
type interleaved struct{ integers, scales []byte }

var tileRoom = sync.Pool{New: func() any { return new(interleaved) }}

// set interleaves the rows of m, at most those of a tile.
func (i *interleaved) set(m Matrix) {
	const most = 32 // groups that a kernel writes at a time
	kernels, rows, data, scales := tiled.of(m.Format), m.Rows(), m.rowBytes(), m.scaleBytes()
	groups := (m.In/ops.Group + most - 1) / most * most
	i.integers = roomFor(i.integers, groups*ops.Group*kernels.parts*tiled.rows)
	i.scales = roomFor(i.scales, groups*4*tiled.rows)
	kernels.interleave(rows, data, &first(m.Data, rows*data)[0], data, &i.integers[0])
	tiled.interleaveScales(rows, scales, &first(m.Scales, rows*scales)[0], scales, &i.scales[0])
}

// roomFor returns n bytes, those of b if there are as many.
func roomFor(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// Products computes Y = X·Mᵀ for the vectors in x: the product of vector t with row r
// of M is y[t·ld+r]. It panics if the sizes, or the formats, do not agree. It starts
// no goroutines.
func (m Matrix) Products(x *Batch, y []float32, ld int) {
	rows, groups := m.Rows(), m.In/ops.Group
	if x.format != m.Format || x.in != m.In {
		panic("weights: vectors of another length, or for another format")
	}
	if x.n == 0 || rows == 0 || groups == 0 {
		return
	}
	if ld < rows {
		panic("weights: rows of products overlap")
	}
	y = first(y, (x.n-1)*ld+rows)
	tile := tileRoom.Get().(*interleaved)
	defer tileRoom.Put(tile)
	kernels := tiled.of(m.Format)
	for r := 0; r < rows; r += tiled.rows {
		part := m.Cut(r, min(rows, r+tiled.rows))
		tile.set(part)
		for t := 0; t < x.n; {
			k := kernels.next(x.n - t)
			k.multiply(groups, part.Rows(), &x.strip(t, k.vectors)[0], &tile.integers[0], &tile.scales[0], &y[t*ld+r], ld)
			t += k.vectors
		}
	}
}
