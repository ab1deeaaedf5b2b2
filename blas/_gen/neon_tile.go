package main

import (
	"fmt"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonShape is the columns of a tile. Where only the first n exist, the last registers
// of a row lie so that they end with column n, over some that others hold too: both
// then compute the same, and nothing beyond the row is touched.
type neonShape struct {
	name string
	ways []neonColumns // the widest first, for the narrower n
}

// neonColumns is a row of a tile in registers, and how they are loaded.
type neonColumns struct {
	label  string
	move   string // of as many bytes as a register is used for
	bytes  int
	at     []neonPlace
	bounds []int // of the places beside the first: the last one that each may have, in bytes
}

// neonPlace is where a register is: bytes behind the row, or behind what is found
// from n.
type neonPlace struct{ base, disp int }

var (
	neonFull = neonShape{"Full", []neonColumns{{"", "FMOVQ", 16, fourPlaces, nil}}}
	neonWide = neonShape{"Wide", []neonColumns{
		{"", "FMOVQ", 16, []neonPlace{{0, 0}, {0, 16}, {1, 0}, {2, 0}}, []int{32, 48}},
	}}
	neonNarrow = neonShape{"Narrow", []neonColumns{
		{"", "FMOVQ", 16, []neonPlace{{0, 0}, {1, 0}}, []int{16}},
		{"Two", "FMOVD", 8, []neonPlace{{0, 0}, {1, 0}}, []int{8}},
		{"One", "FMOVS", 4, []neonPlace{{0, 0}}, nil},
	}}

	// neonRow is for A with one row, where only width gives the processor enough to do
	// at a time.
	neonRow = neonShape{"Row", []neonColumns{{"", "FMOVQ", 16, places(16), nil}}}

	fourPlaces = places(4)
)

// places are n registers one after the other.
func places(n int) (all []neonPlace) {
	for v := range n {
		all = append(all, neonPlace{0, 16 * v})
	}
	return all
}

// neonTileKernel is a tile while it is written.
type neonTileKernel struct {
	*neonKernel
	neonColumns
	height  int
	offsets []neon.Reg // of the places that are found from n
	temp    neon.Reg
}

// neonTile writes a kernel for
//
//	C[rows×n] = alpha · A[rows×k] · B[k×n] + beta · C
//
// as tile does.
func neonTile(f *neon.File, e neonElement, rows int, s neonShape) {
	k := newNEONKernel(f, e, fmt.Sprintf("gemmNEON%s%d", s.name, rows),
		"func(k int, a *%[1]s, aRow, aCol int, b *%[1]s, bRow int, c *%[1]s, cRow, n int, alpha, beta %[1]s)")
	n := neon.Reg(0)
	if len(s.ways) > 1 || len(s.ways[0].bounds) > 0 {
		n = k.stride("n")
	}
	for i, way := range s.ways {
		if way.bytes < e.size {
			continue
		}
		if i > 0 {
			k.Label(way.label)
		}
		if i+1 < len(s.ways) && s.ways[i+1].bytes >= e.size {
			k.Go("CMP $%d, %v", way.bytes, n)
			k.Go("BLT %s", s.ways[i+1].label)
		}
		w := &neonTileKernel{neonKernel: &neonKernel{k.Func, k.Registers, e}, neonColumns: way, height: rows}
		w.temp = w.New()
		w.findPlaces(n)
		w.clear(rows * len(way.at))
		w.loop()
		w.finish()
		w.Go("RET")
	}
}

// findPlaces computes where the registers are that end with column n, or before
// it where they need not.
func (w *neonTileKernel) findPlaces(n neon.Reg) {
	for _, bound := range w.bounds {
		at := w.New()
		w.Go("SUB $%d, %v, %v", w.bytes, n, at)
		w.Go("MOVD $%d, %v", bound, w.temp)
		w.Go("CMP %v, %v", w.temp, at)
		w.Go("CSEL LT, %v, %v, %v", at, w.temp, at)
		w.offsets = append(w.offsets, at)
	}
}

// acc is the register with the sums of row i.
func (w *neonTileKernel) acc(i, v int) int { return i*len(w.at) + v }

// loop adds the k products to the sums, one after the other.
func (w *neonTileKernel) loop() {
	k, aRow, aCol, bRow := w.arg("k"), w.stride("aRow"), w.stride("aCol"), w.stride("bRow")
	a, b, aAt := w.rows("a", aRow, w.height), []neon.Reg{w.arg("b")}, w.New()
	for _, offset := range w.offsets {
		r := w.New()
		w.Go("ADD %v, %v, %v", offset, b[0], r)
		b = append(b, r)
	}
	w.Go("MOVD $0, %v", aAt)

	next := "next" + w.label
	w.Label(next)
	// The registers that the sums leave are B's, and A's in turn.
	free := w.height * len(w.at)
	perB := min(len(w.at), (32-free-1)&^1)
	w.loadA(a[0], aAt, w.registerOfA(free, perB, 0))
	for from := 0; from < len(w.at); from += perB {
		to := min(from+perB, len(w.at))
		w.loadColumns(b, from, to, free)
		for i := range w.height {
			x := w.registerOfA(free, perB, i)
			if i > 0 {
				w.loadA(a[i], aAt, x)
			}
			for v := from; v < to; v++ {
				w.fma(w.acc(i, v), free+v-from, x)
			}
		}
	}
	w.Go("ADD %v, %v, %v", aCol, aAt, aAt)
	for _, r := range b {
		w.Go("ADD %v, %v, %v", bRow, r, r)
	}
	w.Go("SUBS $1, %v, %v", k, k)
	w.Go("BNE %s", next)
}

// registerOfA is one of those that are left, for row i.
func (w *neonTileKernel) registerOfA(free, perB, i int) int {
	first := free + perB
	return first + i%(32-first)
}

func (w *neonTileKernel) loadA(row, at neon.Reg, to int) {
	w.Go("%s (%v)(%v), F%d", w.neonElement.move, row, at, to)
}

// loadColumns loads registers from to to of a row, two at a time where they follow
// one another.
func (w *neonTileKernel) loadColumns(row []neon.Reg, from, to, first int) {
	for v := from; v < to; v++ {
		p, x := w.at[v], first+v-from
		if w.followed(v, to) {
			w.loadVectors(row[p.base], p.disp, x, x+1)
			v++
		} else {
			w.Go("%s %d(%v), F%d", w.neonColumns.move, p.disp, row[p.base], x)
		}
	}
}

// followed reports whether the register of column v and the next are in one
// piece.
func (w *neonTileKernel) followed(v, to int) bool {
	return w.bytes == 16 && v+1 < to && w.at[v].base == w.at[v+1].base
}

// finish writes the tile of C; where beta is zero it does not read it. All is read
// before anything is written, since registers may overlap.
func (w *neonTileKernel) finish() {
	alpha := 31
	w.alpha(alpha)
	for i := range w.height {
		for v := range w.at {
			w.scale(w.acc(i, v), alpha)
		}
	}
	c, cRow, first := w.arg("c"), w.stride("cRow"), w.New()
	w.Go("MOVD %v, %v", c, first)
	write, beta, old := "write"+w.label, 31, 30
	w.beta(beta, write)
	w.eachPlace(first, cRow, func(i, v int, at string) {
		w.Go("%s %s, F%d", w.neonColumns.move, at, old)
		w.fma(w.acc(i, v), old, beta)
	})
	w.Label(write)
	w.eachPlace(c, cRow, func(i, v int, at string) { w.Go("%s F%d, %s", w.neonColumns.move, w.acc(i, v), at) })
}

// eachPlace runs along the rows of C. It consumes the address of the first.
func (w *neonTileKernel) eachPlace(row, stride neon.Reg, do func(i, v int, at string)) {
	for i := range w.height {
		for v, p := range w.at {
			base := row
			if p.base > 0 {
				w.Go("ADD %v, %v, %v", w.offsets[p.base-1], row, w.temp)
				base = w.temp
			}
			do(i, v, fmt.Sprintf("%d(%v)", p.disp, base))
		}
		if i+1 < w.height {
			w.Go("ADD %v, %v, %v", stride, row, row)
		}
	}
}
