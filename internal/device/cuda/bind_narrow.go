//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// narrowColumns and narrowRows are COLUMNS and ROWS of narrow.cu.
const narrowColumns, narrowRows = 8, 32

// narrowColumn and narrowArgs are the structs Column and Narrow of narrow.cu.
type (
	narrowColumn struct {
		w     address
		half  int64
		bias  address
		y     address
		yHalf int64
		ld    int64
		at    int64
		dw    address
	}
	narrowArgs struct {
		n, k, count int64
		c           [narrowColumns]narrowColumn
	}
)

// narrowMaps reports which maps of one input are taken by the kernels of narrow.cu:
// those of few columns, if there are no more of them than fit a pass.
func (b *binder) narrowMaps(maps []ops.Linear) (narrow []bool) {
	narrow = make([]bool, len(maps))
	columns, rows, in := 0, maps[0].Rows, maps[0].In
	const few = 256 // rows for which it does not pay
	if b.dt != ops.Float32 || rows < few || in%256 != 0 || in > 2048 {
		return narrow
	}
	for k, m := range maps {
		if width := total(m.Outs); columns+width <= narrowColumns {
			columns += width
			narrow[k] = true
		}
	}
	return narrow
}

// add appends the columns of a map with the weight w. ys are its results or their
// gradients, zero where there is none, and dw is the gradient of the weight.
func (s *narrowArgs) add(m ops.Linear, w ref, bias address, ys []ref, dw address) {
	s.n, s.k = int64(m.Rows), int64(m.In)
	size := 4
	if w.half {
		size = 2
	}
	for _, c := range m.Blocks() {
		for k := range c.Width {
			row := c.Row + k
			column := narrowColumn{w: w.at + address(row*m.In*size), half: int64(flag(w.half)), y: ys[c.Out].at, yHalf: int64(flag(ys[c.Out].half)), ld: int64(c.Width), at: int64(k)}
			if bias != 0 {
				column.bias = bias + address(4*row)
			}
			if dw != 0 {
				column.dw = dw + address(4*row*m.In)
			}
			s.c[s.count] = column
			s.count++
		}
	}
}

// narrow enqueues the maps of s.
func (b *binder) narrow(s narrowArgs, x ref) {
	if s.count > 0 {
		b.kernel("narrow", "narrow", grid{x: min(2*int(b.d.processors), ceil(int(s.n), narrowRows)), threads: 256, shared: int(4 * s.count * s.k)}, byValue(s), x.arg())
	}
}

// narrowBlock returns a block of threads that take eight columns of x each, and how many
// rows they take together.
func narrowBlock(s narrowArgs) (g grid, rows int) {
	threads := int(s.k / 8)
	rows = 256 / threads
	return grid{threads: threads, rows: rows}, rows
}

// narrowInputs enqueues the gradient of x through the maps of s: dx is written, not
// added to.
func (b *binder) narrowInputs(s narrowArgs, dx ref) {
	g, _ := narrowBlock(s)
	g.x = min(2*int(b.d.processors), ceil(int(s.n), narrowRows))
	b.kernel("narrow", "narrow_dx", g, byValue(s), dx.arg())
}

// narrowWeights enqueues the gradients of the weights of s.
func (b *binder) narrowWeights(s narrowArgs, x ref) {
	g, rows := narrowBlock(s)
	g.x = min(int(b.d.processors), ceil(int(s.n), narrowRows))
	part := b.float(g.x * rows * int(s.count*s.k))
	b.kernel("narrow", "narrow_dw", g, byValue(s), x.arg(), part)
	b.kernel("narrow", "narrow_sums", summing(int(s.count*s.k), g.x*rows), byValue(s), part, int64(g.x*rows))
}

// narrowJoin enqueues the copies of the columns of s to the last eight columns of a
// joint's dy, whose rows have ld elements, and, unless they are there, of their weights
// to the eight rows at w.
func (b *binder) narrowJoin(s narrowArgs, dy address, ld, column int, w address, there bool) {
	const threads = 128
	rows := max(int(s.n), narrowColumns*int(s.k/8))
	g := grid{x: min(ceil(rows, threads), 16*int(b.d.processors)), y: 2, threads: threads}
	if there {
		g.y = 1
	}
	b.kernel("narrow", "narrow_join", g, byValue(s), dy, int64(ld/8), int64(column/8), w)
}

// narrowDivide enqueues the copies of the gradients of the weights of s from the joint's.
func (b *binder) narrowDivide(s narrowArgs, dw address) {
	b.kernel("narrow", "narrow_sums", summing(int(s.count*s.k), 1), byValue(s), dw, int64(1))
}
