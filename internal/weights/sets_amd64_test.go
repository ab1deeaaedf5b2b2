//go:build !purego

package weights

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

// sets are the kernels that this machine can run, by name; plain Go is nil.
func sets() map[string]*table {
	all := map[string]*table{"Go": nil}
	if processor.AVX2() {
		all["AVX2"] = &tableAVX2
	}
	if processor.AVX512VNNI() {
		all["AVX512VNNI"] = &tableAVX512
	}
	return all
}

// tileSets are the kernels for products of several vectors that this machine can run,
// by name.
func tileSets() map[string]*tileTable {
	all := map[string]*tileTable{}
	if processor.AVX2() {
		all["AVX2"] = &tilesAVX2
	}
	if processor.AVX512VNNI() {
		all["AVX512VNNI"] = &tilesAVX512
	}
	return all
}
