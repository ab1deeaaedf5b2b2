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
// The vectors are cut into strips of 16, 8, 4, 2 and 1, as many as possible of
// the longest first. A strip has, for each group,
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
	tileRows  = 16 // of the matrix
	sumsBytes = 8  // of a group of a vector: the correction and the scale
	slotBytes = ops.Group + sumsBytes
)

// Batches reports whether there are kernels for a Batch of the format.
func Batches(f ops.Format) bool { return f.Scaled() && tiled != nil }

// height returns the length of the next strip, if so many vectors are left.
func height(left int) int {
	h := 16
	for h > left {
		h /= 2
	}
	return h
}

// multiply returns the kernel for strips of a length.
func (t *tileTable) multiply(height int) multiplyKernel {
	switch height {
	case 16:
		return t.multiply16
	case 8:
		return t.multiply8
	case 4:
		return t.multiply4
	case 2:
		return t.multiply2
	}
	return t.multiply1
}

// Set makes b the n rows of x, of in numbers each, for matrices of the format.
func (b *Batch) Set(f ops.Format, n, in int, x []float32) {
	b.format, b.n, b.in = f, n, in
	x = first(x, n*in)
	size := in / ops.Group * slotBytes // of a vector
	if cap(b.strips) < n*size {
		b.strips = make([]byte, n*size)
	}
	b.strips = b.strips[:n*size]
	if size == 0 {
		return
	}
	if n <= 16 {
		b.round(0, n, x)
		return
	}
	cores.Run((n+15)/16, func(i int) { b.round(16*i, min(n, 16*i+16), x) })
}

// round rounds vectors lo to hi, which are whole strips.
func (b *Batch) round(lo, hi int, x []float32) {
	groups := b.in / ops.Group
	for h := 0; lo < hi; lo += h {
		h = height(hi - lo)
		strip := b.strip(lo, h)
		for t := range h {
			tiled.roundRow(groups, &x[(lo+t)*b.in], &strip[t*ops.Group], &strip[h*ops.Group+t*sumsBytes], h*slotBytes, -layoutOf(b.format).offset)
		}
	}
}

// strip returns the strip of the given length that begins with a vector.
func (b *Batch) strip(from, height int) []byte {
	size := b.in / ops.Group * slotBytes
	return b.strips[from*size:][:height*size]
}

// interleaved is the memory for sixteen rows of a matrix.
type interleaved struct{ integers, scales []byte }

var tileRoom = sync.Pool{New: func() any { return new(interleaved) }}

// room makes room for rows of so many groups, and for what kernels write more.
func (i *interleaved) room(groups int) {
	const most = 32 // groups that are written at a time
	padded := (groups + most - 1) / most * most
	if cap(i.integers) < padded*tileRows*ops.Group {
		i.integers, i.scales = make([]byte, padded*tileRows*ops.Group), make([]byte, padded*tileRows*4)
	}
	i.integers, i.scales = i.integers[:padded*tileRows*ops.Group], i.scales[:padded*tileRows*4]
}

// set interleaves all rows of m, at most sixteen.
func (i *interleaved) set(m Matrix) {
	i.room(m.In / ops.Group)
	run := tiled.interleaveInt8
	if m.Format == ops.Int4 {
		run = tiled.interleaveInt4
	}
	rows, data, scales := m.Rows(), m.rowBytes(), m.scaleBytes()
	run(rows, data, &first(m.Data, rows*data)[0], data, &i.integers[0])
	tiled.interleaveScales(rows, scales, &first(m.Scales, rows*scales)[0], scales, &i.scales[0])
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
	for r := 0; r < rows; r += tileRows {
		part := m.Cut(r, min(rows, r+tileRows))
		tile.set(part)
		for t, h := 0, 0; t < x.n; t += h {
			h = height(x.n - t)
			tiled.multiply(h)(groups, part.Rows(), &x.strip(t, h)[0], &tile.integers[0], &tile.scales[0], &y[t*ld+r], ld)
		}
	}
}
