package weights

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

// tileTable is the kernels for products of several vectors with sixteen rows of a
// matrix at a time. An interleave kernel writes rows, of so many bytes and stride
// bytes apart, column by column: the integers of both formats as positive bytes, in
// registers of four of each row, and scales as float32. A roundRow kernel rounds a
// vector and puts it into a strip, as Batch has it, and a multiply kernel multiplies a
// strip of as many vectors as its name says.
type tileTable struct {
	interleaveInt8, interleaveInt4, interleaveScales       func(rows, bytes int, src *byte, stride int, dst *byte)
	roundRow                                               func(groups int, x *float32, integers, sums *byte, stride, factor int)
	multiply16, multiply8, multiply4, multiply2, multiply1 multiplyKernel
}

// multiplyKernel computes y [height, rows], with rows ld numbers apart.
type multiplyKernel func(groups, rows int, strip, w, scales *byte, y *float32, ld int)
