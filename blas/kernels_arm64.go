//go:build !purego

package blas

// Every arm64 processor has the instructions of these kernels, NEON's: there is
// nothing to choose.

func bestSingle() *kernels[float32] { return &singleNEON }

func bestDouble() *kernels[float64] { return &doubleNEON }

var singleNEON = kernels[float32]{
	name:  "NEON",
	width: 16,
	heights: []height[float32]{
		{6, sgemmNEONFull6, sgemmNEONWide6, sgemmNEONNarrow6},
		{4, sgemmNEONFull4, sgemmNEONWide4, sgemmNEONNarrow4},
		{2, sgemmNEONFull2, sgemmNEONWide2, sgemmNEONNarrow2},
		{1, sgemmNEONFull1, sgemmNEONWide1, sgemmNEONNarrow1},
	},
	row:   sgemmNEONRow1,
	copyA: scopyNEON6, copyB: scopyNEON16,
	transpose: stransposeNEON, strip: 8,
	dots: []dots[float32]{
		{3, []dotStrip[float32]{{2, sdotsNEONx3x2}, {1, sdotsNEONx3x1}}},
		{2, []dotStrip[float32]{{2, sdotsNEONx2x2}, {1, sdotsNEONx2x1}}},
		{1, []dotStrip[float32]{{4, sdotsNEONx1x4}, {1, sdotsNEONx1x1}}},
	},
}

var doubleNEON = kernels[float64]{
	name:  "NEON",
	width: 8,
	heights: []height[float64]{
		{6, dgemmNEONFull6, dgemmNEONWide6, dgemmNEONNarrow6},
		{4, dgemmNEONFull4, dgemmNEONWide4, dgemmNEONNarrow4},
		{2, dgemmNEONFull2, dgemmNEONWide2, dgemmNEONNarrow2},
		{1, dgemmNEONFull1, dgemmNEONWide1, dgemmNEONNarrow1},
	},
	row:   dgemmNEONRow1,
	copyA: dcopyNEON6, copyB: dcopyNEON8,
	transpose: dtransposeNEON, strip: 4,
	dots: []dots[float64]{
		{3, []dotStrip[float64]{{2, ddotsNEONx3x2}, {1, ddotsNEONx3x1}}},
		{2, []dotStrip[float64]{{2, ddotsNEONx2x2}, {1, ddotsNEONx2x1}}},
		{1, []dotStrip[float64]{{4, ddotsNEONx1x4}, {1, ddotsNEONx1x1}}},
	},
}
