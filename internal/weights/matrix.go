package weights

import (
	"encoding/binary"
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Matrix is a packed matrix of In columns. Data and Scales have the sizes that
// Format gives them; Scales is empty in BF16.
type Matrix struct {
	Format       ops.Format
	In           int
	Data, Scales []byte
}

// Rows returns the number of rows.
func (m Matrix) Rows() int { return len(m.Data) / m.rowBytes() }

func (m Matrix) rowBytes() int { return m.Format.RowBytes(m.In) }

func (m Matrix) scaleBytes() int { return m.Format.ScaleBytes(m.In) }

// Cut returns rows lo to hi. It panics if they do not exist.
func (m Matrix) Cut(lo, hi int) Matrix {
	m.Data = m.Data[lo*m.rowBytes() : hi*m.rowBytes() : len(m.Data)]
	m.Scales = m.Scales[lo*m.scaleBytes() : hi*m.scaleBytes() : len(m.Scales)]
	return m
}

// first returns the first n elements of x, whose length must be at least n:
// capacity beyond the length does not count.
func first[E any](x []E, n int) []E { return x[:n:len(x)] }

// scale returns the scale of group g of all groups of the matrix.
func (m Matrix) scale(g int) float32 { return bf16(m.Scales[m.Format.ScaleBytes(g*ops.Group):]) }

// bf16 returns the number that b begins with.
func bf16(b []byte) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
}

// toBF16 rounds to the nearest bf16, of two to the even one.
func toBF16(x float32) uint16 {
	bits := math.Float32bits(x)
	if bits&0x7fffffff > 0x7f800000 { // not a number, and not to be rounded to one
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 1<<15 - 1 + bits>>16&1) >> 16)
}

// Dots computes y = M·x: y has an element for each row of M. It panics if the
// sizes, or the formats, do not agree.
func (m Matrix) Dots(x *Vector, y []float32) {
	rows, groups := m.Rows(), m.In/ops.Group
	if x.format != m.Format || x.n != m.In {
		panic("weights: a vector of another length, or for another format")
	}
	if rows == 0 || groups == 0 {
		return
	}
	y = first(y, rows)
	if best == nil {
		for r := range y {
			y[r] = m.dot(r, x)
		}
		return
	}
	switch m.Format {
	case ops.BF16:
		best.dotsBF16(rows, groups, &m.Data[0], &x.floats[0], &y[0])
	case ops.Int8:
		best.dotsInt8(rows, groups, &m.Data[0], &first(m.Scales, rows*m.scaleBytes())[0], &x.units[0], &y[0])
	case ops.Int4:
		best.dotsInt4(rows, groups, &m.Data[0], &first(m.Scales, rows*m.scaleBytes())[0], &x.units[0], &y[0])
	}
}

// dot returns the scalar product of a row with x.
func (m Matrix) dot(r int, x *Vector) (sum float32) {
	groups := m.In / ops.Group
	for g := range groups {
		if m.Format == ops.BF16 {
			var w [ops.Group]float32
			m.unpackGroup(r*groups+g, &w)
			for i, v := range w {
				sum += v * x.floats[g*ops.Group+i]
			}
			continue
		}
		q, scale := x.group(g)
		sum += m.scale(r*groups+g) * scale * float32(m.product(r*groups+g, q))
	}
	return sum
}

// product returns the sum of the products of the integers of group g of all groups of
// the matrix with q.
func (m Matrix) product(g int, q [ops.Group]int8) (sum int32) {
	bytes := m.Format.RowBytes(ops.Group)
	for i, b := range m.Data[g*bytes:][:bytes] {
		if m.Format == ops.Int8 {
			sum += int32(int8(b)) * int32(q[i])
		} else {
			sum += int32(int8(b<<4)>>4)*int32(q[i]) + int32(int8(b)>>4)*int32(q[i+ops.Group/2])
		}
	}
	return sum
}

// Unpack writes the numbers of row r to dst, of length In.
func (m Matrix) Unpack(r int, dst []float32) {
	groups := m.In / ops.Group
	row, dst := m.Cut(r, r+1), first(dst, m.In)
	if best == nil || groups == 0 {
		for g := range groups {
			row.unpackGroup(g, (*[ops.Group]float32)(dst[g*ops.Group:]))
		}
		return
	}
	switch m.Format {
	case ops.BF16:
		best.unpackBF16(groups, &row.Data[0], &dst[0])
	case ops.Int8:
		best.unpackInt8(groups, &row.Data[0], &row.Scales[0], &dst[0])
	case ops.Int4:
		best.unpackInt4(groups, &row.Data[0], &row.Scales[0], &dst[0])
	}
}

// unpackGroup writes the numbers of group g of all groups of the matrix.
func (m Matrix) unpackGroup(g int, dst *[ops.Group]float32) {
	bytes := m.Format.RowBytes(ops.Group)
	data := m.Data[g*bytes:][:bytes]
	switch m.Format {
	case ops.BF16:
		for i := range dst {
			dst[i] = bf16(data[2*i:])
		}
	case ops.Int8:
		s := m.scale(g)
		for i, q := range data {
			dst[i] = s * float32(int8(q))
		}
	case ops.Int4:
		s := m.scale(g)
		for i, q := range data {
			dst[i] = s * float32(int8(q<<4)>>4)
			dst[i+ops.Group/2] = s * float32(int8(q)>>4)
		}
	}
}
