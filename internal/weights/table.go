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
