package weights

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// table is the kernels for one instruction set. Groups are consecutive, and so are
// rows of so many groups. A vector of integers is in units, as Vector has them.
type table struct {
	dotsBF16               func(rows, groups int, w *byte, x, y *float32)
	dotsInt8, dotsInt4     func(rows, groups int, w, scales, units *byte, y *float32)
	unpackBF16             func(groups int, w *byte, dst *float32)
	unpackInt8, unpackInt4 func(groups int, w, scales *byte, dst *float32)
}

// roundingTable is the kernels that round a group of a vector and put it into a
// unit. They give the bits of the portable code.
type roundingTable struct {
	int8, int4 func(x *float32, places, sums *byte)
}

// tileTable is the kernels of one instruction set for products of several vectors with
// integers. A tile is as many rows of the matrix as a register has lanes, times a strip
// of vectors, as [Batch] has it.
type tileTable struct {
	rows int // of the matrix in a tile
	// roundRow rounds a vector and puts it into a strip, whose groups are stride bytes
	// apart. A correction is the sum of the integers of a group times the factor.
	roundRow         func(groups int, x *float32, integers, sums *byte, stride, factor int)
	interleaveScales interleaveKernel // as float32
	int8, int4       tileFormat
}

// tileFormat is the kernels for one format.
type tileFormat struct {
	parts      int // bytes that an integer of the matrix takes when it is interleaved
	interleave interleaveKernel
	strips     []stripKernel // for the longest strips first, down to those of one vector
}

// An interleaveKernel writes the rows of a tile, of so many bytes and stride bytes
// apart, column by column. Of rows that are not there the last one takes the place. It
// writes whole registers of each row, and for int4 and scales twice as much.
type interleaveKernel func(rows, bytes int, src *byte, stride int, dst *byte)

// stripKernel multiplies strips of so many vectors.
type stripKernel struct {
	vectors  int
	multiply func(groups, rows int, strip, w, scales *byte, y *float32, ld int)
}

// of returns the kernels for a format.
func (t *tileTable) of(f ops.Format) *tileFormat {
	if f == ops.Int8 {
		return &t.int8
	}
	return &t.int4
}

// next returns the kernel for the next strip, if so many vectors are left.
func (f *tileFormat) next(left int) stripKernel {
	for _, k := range f.strips {
		if k.vectors <= left {
			return k
		}
	}
	return f.strips[len(f.strips)-1]
}
