// Package weights holds weight matrices in two bytes, one byte or half a byte
// for each number, and multiplies vectors with them.
//
// # Layout
//
// A matrix has rows of In numbers, one after the other, where In is a multiple
// of 32. Numbers are little-endian.
//
//	bf16   2 bytes: the upper half of a float32, rounded to the nearest
//	int8   1 byte: a signed integer q from −127 to 127
//	int4   half a byte: a signed integer q from −8 to 7; byte i of the 16 bytes
//	       of a group has number i in its lower half and number 16+i in its upper
//
// In int8 and int4 each 32 consecutive numbers of a row are a group with one
// scale s, and stand for s·q. The scales are bf16 numbers in a separate matrix
// of In/32 columns. There are no offsets: q = 0 is zero.
//
// # Rounding
//
// The scale of an int8 group is its largest magnitude divided by 127. That of
// an int4 group is the one of six candidates with the least sum of squared errors:
// three that make the largest magnitude −9, −8 and −7, and for each of them the
// least-squares scale for the integers that it gives. Both are rounded to bf16 before the numbers are
// divided by them, so that rounding the scale adds no error of its own.
//
// # Products
//
// Sums are float32. In bf16, numbers are widened to float32. In int8 and int4 the
// vector is rounded to integers too, by groups with a scale each (see [Vector]), and
// the products of a group are added as integers, in 8 or 4 exact sums; these are
// multiplied with both scales and added to 16 partial sums of the row.
//
// The order is the same for all instruction sets, so that AVX2, AVX-512 and NEON give
// the same bits. The portable code adds in another order and agrees to rounding.
//
// Several vectors are multiplied with integers too where there are kernels for it
// (see [Batch]). The vectors are rounded as one alone is; the sum of a whole group is
// exact, and is multiplied with the scale of the vector, and added, multiplied with
// that of the matrix, to the groups before it, with one rounding for both. AVX2 and
// AVX-512 give the same bits.
package weights
