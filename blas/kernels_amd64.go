//go:build !purego

package blas

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

//go:generate go -C _gen run . -out ../kernels_amd64.s -stubs ../kernels_stubs_amd64.go -pkg blas -arm64 ../kernels_arm64.s -arm64stubs ../kernels_stubs_arm64.go

func bestSingle() *kernels[float32] { return processor.Best(&singleAVX512, &singleAVX2) }

func bestDouble() *kernels[float64] { return processor.Best(&doubleAVX512, &doubleAVX2) }

var singleAVX512 = kernels[float32]{
	name:  "AVX-512",
	width: 32,
	heights: []height[float32]{
		{12, sgemmAVX512Full12, sgemmAVX512Wide12, sgemmAVX512Narrow12},
		{8, sgemmAVX512Full8, sgemmAVX512Wide8, sgemmAVX512Narrow8},
		{4, sgemmAVX512Full4, sgemmAVX512Wide4, sgemmAVX512Narrow4},
		{2, sgemmAVX512Full2, sgemmAVX512Wide2, sgemmAVX512Narrow2},
		{1, sgemmAVX512Full1, sgemmAVX512Wide1, sgemmAVX512Narrow1},
	},
	fetching: sgemmAVX512Fetching12,
	row:      sgemmAVX512Row1,
	panels:   []panelKernel[float32]{sgemmAVX512Panels2, sgemmAVX512Panels3, sgemmAVX512Panels4},
	sums:     sgemmAVX512Sums4,
	copyA:    scopyAVX12, copyB: scopyAVX32,
	transpose: stransposeAVX, strip: 8,
	dots: []dots[float32]{
		{4, []dotStrip[float32]{{4, sdotsAVX512x4x4}, {1, sdotsAVX512x4x1}}},
		{2, []dotStrip[float32]{{4, sdotsAVX512x2x4}, {1, sdotsAVX512x2x1}}},
		{1, []dotStrip[float32]{{8, sdotsAVX512x1x8}, {4, sdotsAVX2x1x4}}},
	},
	inTurn: sdotsAVX512InTurn,
	ahead:  sdotsAVX512x4x4Ahead,
}

var singleAVX2 = kernels[float32]{
	name:  "AVX2",
	width: 16,
	heights: []height[float32]{
		{6, sgemmAVX2Full6, sgemmAVX2Wide6, sgemmAVX2Narrow6},
		{4, sgemmAVX2Full4, sgemmAVX2Wide4, sgemmAVX2Narrow4},
		{2, sgemmAVX2Full2, sgemmAVX2Wide2, sgemmAVX2Narrow2},
		{1, sgemmAVX2Full1, sgemmAVX2Wide1, sgemmAVX2Narrow1},
	},
	fetching: sgemmAVX2Fetching6,
	row:      sgemmAVX2Row1,
	panels:   []panelKernel[float32]{sgemmAVX2Panels2, sgemmAVX2Panels3, sgemmAVX2Panels4},
	sums:     sgemmAVX2Sums4,
	copyA:    scopyAVX6, copyB: scopyAVX16,
	transpose: stransposeAVX, strip: 8,
	dots: []dots[float32]{
		{1, []dotStrip[float32]{{4, sdotsAVX2x1x4}}},
	},
	inTurn: sdotsAVX2InTurn,
}

var doubleAVX512 = kernels[float64]{
	name:  "AVX-512",
	width: 16,
	heights: []height[float64]{
		{12, dgemmAVX512Full12, dgemmAVX512Wide12, dgemmAVX512Narrow12},
		{8, dgemmAVX512Full8, dgemmAVX512Wide8, dgemmAVX512Narrow8},
		{4, dgemmAVX512Full4, dgemmAVX512Wide4, dgemmAVX512Narrow4},
		{2, dgemmAVX512Full2, dgemmAVX512Wide2, dgemmAVX512Narrow2},
		{1, dgemmAVX512Full1, dgemmAVX512Wide1, dgemmAVX512Narrow1},
	},
	fetching: dgemmAVX512Fetching12,
	row:      dgemmAVX512Row1,
	panels:   []panelKernel[float64]{dgemmAVX512Panels2, dgemmAVX512Panels3, dgemmAVX512Panels4},
	sums:     dgemmAVX512Sums4,
	copyA:    dcopyAVX12, copyB: dcopyAVX16,
	transpose: dtransposeAVX, strip: 4,
	dots: []dots[float64]{
		{4, []dotStrip[float64]{{4, ddotsAVX512x4x4}, {1, ddotsAVX512x4x1}}},
		{2, []dotStrip[float64]{{4, ddotsAVX512x2x4}, {1, ddotsAVX512x2x1}}},
		{1, []dotStrip[float64]{{8, ddotsAVX512x1x8}, {4, ddotsAVX2x1x4}}},
	},
	inTurn: ddotsAVX512InTurn,
	ahead:  ddotsAVX512x4x4Ahead,
}

var doubleAVX2 = kernels[float64]{
	name:  "AVX2",
	width: 8,
	heights: []height[float64]{
		{6, dgemmAVX2Full6, dgemmAVX2Wide6, dgemmAVX2Narrow6},
		{4, dgemmAVX2Full4, dgemmAVX2Wide4, dgemmAVX2Narrow4},
		{2, dgemmAVX2Full2, dgemmAVX2Wide2, dgemmAVX2Narrow2},
		{1, dgemmAVX2Full1, dgemmAVX2Wide1, dgemmAVX2Narrow1},
	},
	fetching: dgemmAVX2Fetching6,
	row:      dgemmAVX2Row1,
	panels:   []panelKernel[float64]{dgemmAVX2Panels2, dgemmAVX2Panels3, dgemmAVX2Panels4},
	sums:     dgemmAVX2Sums4,
	copyA:    dcopyAVX6, copyB: dcopyAVX8,
	transpose: dtransposeAVX, strip: 4,
	dots: []dots[float64]{
		{1, []dotStrip[float64]{{4, ddotsAVX2x1x4}}},
	},
	inTurn: ddotsAVX2InTurn,
}
