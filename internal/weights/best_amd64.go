//go:build !purego

package weights

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

//go:generate go -C _gen run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg weights -arm64 ../kernels_arm64.s -arm64stubs ../stubs_arm64.go

// best is the kernels for this processor, nil for plain Go.
var best = choose()

func choose() *table {
	switch {
	case processor.AVX512VNNI():
		return &tableAVX512
	case processor.AVX2():
		return &tableAVX2
	}
	return nil
}

// rounding is the kernels that round vectors, nil for plain Go.
var rounding = chooseRounding()

func chooseRounding() *roundingTable {
	if processor.AVX2() {
		return &roundingTable{roundInt8AVX2, roundInt4AVX2}
	}
	return nil
}

// tiled is the kernels for products of several vectors, nil for none.
var tiled = chooseTiles()

func chooseTiles() *tileTable {
	switch {
	case processor.AVX512VNNI():
		return &tilesAVX512
	case processor.AVX2():
		return &tilesAVX2
	}
	return nil
}

var tilesAVX512 = tileTable{
	rows: 16, roundRow: roundRowAVX2, interleaveScales: interleaveScalesAVX512VNNI,
	int8: tileFormat{1, interleaveInt8AVX512VNNI, stripsAVX512}, int4: tileFormat{1, interleaveInt4AVX512VNNI, stripsAVX512},
}

var stripsAVX512 = []stripKernel{
	{16, multiply16AVX512VNNI}, {8, multiply8AVX512VNNI}, {4, multiply4AVX512VNNI}, {2, multiply2AVX512VNNI}, {1, multiply1AVX512VNNI},
}

var tilesAVX2 = tileTable{
	rows: 8, roundRow: roundRowAVX2, interleaveScales: interleaveScalesAVX2,
	int8: tileFormat{2, interleaveInt8AVX2, []stripKernel{{4, multiplyInt84AVX2}, {2, multiplyInt82AVX2}, {1, multiplyInt81AVX2}}},
	int4: tileFormat{1, interleaveInt4AVX2, []stripKernel{{4, multiplyInt44AVX2}, {2, multiplyInt42AVX2}, {1, multiplyInt41AVX2}}},
}

var tableAVX512 = table{
	dotsBF16: dotsBF16AVX512VNNI, dotsInt8: dotsInt8AVX512VNNI, dotsInt4: dotsInt4AVX512VNNI,
	unpackBF16: unpackBF16AVX512VNNI, unpackInt8: unpackInt8AVX512VNNI, unpackInt4: unpackInt4AVX512VNNI,
}

var tableAVX2 = table{
	dotsBF16: dotsBF16AVX2, dotsInt8: dotsInt8AVX2, dotsInt4: dotsInt4AVX2,
	unpackBF16: unpackBF16AVX2, unpackInt8: unpackInt8AVX2, unpackInt4: unpackInt4AVX2,
}
