package main

import (
	"fmt"

	neon "github.com/gorgonia-xlstm/xlstm/internal/_neon"
)

// neonCopier writes a kernel that copies rows of a known number of elements,
// srcRow apart, to where they follow one another.
func neonCopier(f *neon.File, e neonElement, cols int) {
	k := newNEONKernel(f, e, fmt.Sprintf("copyNEON%d", cols), "func(rows int, src *%[1]s, srcRow int, dst *%[1]s)")
	rows, src, srcRow, dst := k.arg("rows"), k.arg("src"), k.stride("srcRow"), k.arg("dst")
	bytes := cols * e.size
	var vectors []int
	for v := range bytes / 16 {
		vectors = append(vectors, v)
	}
	k.Label("next")
	k.loadVectors(src, 0, vectors...)
	if bytes%16 != 0 { // the rest is half a register
		k.Go("FMOVD %d(%v), F31", bytes-8, src)
	}
	k.storeVectors(dst, 0, vectors...)
	if bytes%16 != 0 {
		k.Go("FMOVD F31, %d(%v)", bytes-8, dst)
	}
	k.Go("ADD %v, %v, %v", srcRow, src, src)
	k.Go("ADD $%d, %v, %v", bytes, dst, dst)
	k.Go("SUBS $1, %v, %v", rows, rows)
	k.Go("BNE next")
	k.Go("RET")
}

// neonTransposer writes a kernel that copies a strip of a matrix, 32 bytes of
// elements high, turning its rows into columns. It moves on by a register of columns,
// steps times.
func neonTransposer(f *neon.File, e neonElement) {
	k := newNEONKernel(f, e, "transposeNEON", "func(steps int, src *%[1]s, srcRow int, dst *%[1]s, dstRow int)")
	steps := k.arg("steps")
	src := k.rows("src", k.stride("srcRow"), 32/e.size)
	dst, dstRow := k.arg("dst"), k.stride("dstRow")
	lanes := 16 / e.size

	k.Label("next")
	for i, row := range src {
		k.Go("FMOVQ (%v), F%d", row, i)
		k.Go("ADD $16, %v, %v", row, row)
	}
	for half := range 2 {
		k.transpose(half*lanes, 16+half*lanes, 24)
	}
	for j := range lanes {
		k.storeVectors(dst, 0, 16+j, 16+lanes+j)
		k.Go("ADD %v, %v, %v", dstRow, dst, dst)
	}
	k.Go("SUBS $1, %v, %v", steps, steps)
	k.Go("BNE next")
	k.Go("RET")
}

// transpose transposes the square matrix whose rows are in registers from on; the
// result is in those from to on.
func (k *neonKernel) transpose(from, to, temp int) {
	pair := func(op, of string, to, a, b int) {
		k.Vec("%s v%d.%s, v%d.%s, v%d.%s", op, to, of, a, of, b, of)
	}
	if k.size == 8 {
		pair("trn1", "2d", to, from, from+1)
		pair("trn2", "2d", to+1, from, from+1)
		return
	}
	for i := range 2 { // of two rows each, the even columns and the odd ones
		pair("trn1", "4s", temp+2*i, from+2*i, from+2*i+1)
		pair("trn2", "4s", temp+2*i+1, from+2*i, from+2*i+1)
	}
	for i := range 2 {
		pair("trn1", "2d", to+i, temp+i, temp+2+i)
		pair("trn2", "2d", to+2+i, temp+i, temp+2+i)
	}
}
