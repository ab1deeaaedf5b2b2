//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// joint is several blocks of maps of one input as one map: the gradients of their
// results beside one another, and the rows of their weights below one another. The
// gradient of the input is then one product instead of one for each block, each of
// which reads what the one before it has written, and the gradients of narrow weights,
// which fill few of a card's processors, are one too. The columns of maps that narrow.cu
// takes are the last eight of a joint.
type joint struct {
	blocks []jointBlock
	width  int     // of all blocks and the eight columns, 0 for no joint
	ld     int     // the elements of a row of dy: whole lines of the cache
	narrow bool    // whether there are the eight columns
	dy, w  factor  // [rows,ld] and [width,in]
	dw     address // [width,in]
}

// few is the column of the first of the eight.
func (j joint) few() int { return j.width - narrowColumns }

type jointBlock struct {
	k      int // the map's number
	block  ops.LinearBlock
	column int // its first in the joint
}

// jointParts is MOST of join.cu.
const jointParts = 8

// joinArgs and joinPart are the structs Join and Part of join.cu.
type (
	joinArgs struct {
		rows, eights int64
		parts        [jointParts]joinPart
	}
	joinPart struct {
		x          address
		eights, at int64
	}
)

func (j joint) has(k int, o ops.LinearBlock) bool {
	for _, b := range j.blocks {
		if b.k == k && b.block == o {
			return true
		}
	}
	return false
}

// jointOf returns the joint of all blocks that have a gradient, if these lie beside one
// another or copying them moves no more memory than adding up their products does.
func (c *linearBack) jointOf() (j joint) {
	if !c.halves() {
		return joint{}
	}
	for k, m := range c.op.Maps {
		for _, o := range m.Blocks() {
			if c.narrow[k] || !c.op.Has[k][o.Out] || o.Width%8 != 0 {
				continue
			}
			j.blocks = append(j.blocks, jointBlock{k, o, j.width})
			j.width += o.Width
		}
	}
	if n := len(j.blocks); n < 2 || n > jointParts || !c.joined && j.width > (n-1)*c.op.Maps[0].In {
		return joint{}
	}
	if j.narrow = slices.Contains(c.narrow, true); j.narrow {
		j.width += narrowColumns
	}
	const line = 64
	j.ld = ceil(j.width, line) * line
	return j
}

// join enqueues the copies of a joint, if there is one.
func (c *linearBack) join() {
	in, j := c.op.Maps[0].In, c.jointOf()
	if c.joint = j; j.width == 0 {
		return
	}
	var copies []func()
	w, there := c.jointFactor()
	if !there {
		w = c.take(2 * j.width * in)
		for _, b := range j.blocks {
			from, to := c.w[b.k].row(c.binder, b.block.Row, in, false).at, w+address(2*b.column*in)
			copies = append(copies, func() { c.copyBytes(to, from, 2*b.block.Width*in) })
		}
	}
	dy := c.jointRows()
	if !c.joined {
		copies = append(copies, func() { c.copyRows(dy) })
	}
	if j.narrow {
		copies = append(copies, func() { c.narrowJoin(c.few, dy, j.ld, j.few(), w+address(2*j.few()*in), there) })
	}
	c.atOnce(copies...)
	c.joint.dy, c.joint.w, c.joint.dw = factor{dy, true}, factor{w, true}, c.jointResult()
}

// jointFactor returns the memory of a joint's weights if those of the maps, in bfloat16,
// follow one another in its order.
func (c *linearBack) jointFactor() (w address, there bool) {
	in, order := c.op.Maps[0].In, c.inOrder()
	if order == nil || c.counting {
		return 0, false
	}
	w = c.weightRefs[order[0]].at
	end := w
	for _, k := range order {
		if !c.weightRefs[k].half || c.weightRefs[k].at != end {
			return 0, false
		}
		end += address(2 * total(c.op.Maps[k].Outs) * in)
	}
	c.spans = append(c.spans, span{w, end, false})
	return w, true
}

// jointResult returns the memory of the gradient of a joint's weights: that of the
// results if each begins where the one before it ends, or workspace.
func (c *linearBack) jointResult() address {
	n := c.joint.width * c.op.Maps[0].In
	order := c.inOrder()
	for i, k := range order {
		if i > 0 && c.dw[k] != c.at(c.dw[order[i-1]], total(c.op.Maps[order[i-1]].Outs)*c.op.Maps[k].In) {
			return c.float(n)
		}
	}
	if order == nil {
		return c.float(n)
	}
	first := c.dw[order[0]]
	c.spans = append(c.spans, span{first, c.at(first, n), true})
	return first
}

// inOrder returns the maps in the order in which the rows of their weights are those of the
// joint's, if these are all: nil if rows are missing or there are others.
func (c *linearBack) inOrder() []int {
	var wide, few []int
	blocks, columns := 0, 0
	for k, m := range c.op.Maps {
		if c.narrow[k] {
			few, columns = append(few, k), columns+total(m.Outs)
		} else {
			wide, blocks = append(wide, k), blocks+len(m.Outs)
		}
	}
	if c.joint.width == 0 || blocks != len(c.joint.blocks) || c.joint.narrow && columns != narrowColumns {
		return nil
	}
	return append(wide, few...)
}

// jointRows returns the memory of a joint's dy: that of the operands if they lie there,
// which the narrow columns are then written to, or workspace.
func (c *linearBack) jointRows() address {
	j, bytes := c.joint, 2*c.op.Maps[0].Rows*c.joint.ld
	if !c.joined {
		return c.take(bytes)
	}
	first := j.blocks[0]
	dy := c.ups[first.k][first.block.Out].at
	c.spans = append(c.spans, span{dy, dy + address(bytes), true})
	return dy
}

// copyRows enqueues the copying of the gradients of the results to a joint's dy.
func (c *linearBack) copyRows(dy address) {
	const threads, lines = 64, 4
	j, rows := c.joint, c.op.Maps[0].Rows
	args := joinArgs{rows: int64(rows), eights: int64(j.ld / 8)}
	for n, b := range j.blocks {
		args.parts[n] = joinPart{c.ups[b.k][b.block.Out].at, int64(b.block.Width / 8), int64(b.column / 8)}
	}
	c.kernel("join", "join", grid{x: min(ceil(rows, lines), 16*int(c.d.processors)), y: len(j.blocks), threads: threads, rows: lines}, byValue(args), dy)
}

// jointInputs enqueues the gradient of the input through the joint, added to
// started times what is there.
func (c *linearBack) jointInputs(started float64) {
	j, m := c.joint, c.op.Maps[0]
	c.multiply(product{m: m.Rows, n: m.In, k: j.width, a: j.dy.row(c.binder, 0, j.ld, false), b: j.w.row(c.binder, 0, m.In, false),
		c: operand{at: c.dx.at, ld: m.In}, beta: started, half: true, halfOut: c.dx.half})
}

// jointWeights enqueues the gradient of the joint's weights, and divide what copies it
// to those of the maps, unless it lies there.
func (c *linearBack) jointWeights() {
	j, m := c.joint, c.op.Maps[0]
	c.multiply(product{m: j.width, n: m.In, k: m.Rows, a: j.dy.row(c.binder, 0, j.ld, true), b: c.x.row(c.binder, 0, m.In, false),
		c: operand{at: j.dw, ld: m.In}, half: true})
}

func (c *linearBack) divide() {
	in := c.op.Maps[0].In
	if b := c.joint.blocks; len(b) > 0 && c.dw[b[0].k] == c.joint.dw {
		return
	}
	var copies []func()
	for _, b := range c.joint.blocks {
		copies = append(copies, func() {
			c.copy(c.at(c.dw[b.k], b.block.Row*in), c.at(c.joint.dw, b.column*in), b.block.Width*in)
		})
	}
	if c.joint.narrow {
		copies = append(copies, func() { c.narrowDivide(c.few, c.at(c.joint.dw, c.joint.few()*in)) })
	}
	c.atOnce(copies...)
}
