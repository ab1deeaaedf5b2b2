//go:build !purego

package vec

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

// best is the kernels for this processor, nil for plain Go.
var best = choose()

func choose() *table {
	switch {
	case processor.AVX512():
		return &tableAVX512
	case processor.AVX2():
		return &tableAVX2
	}
	return nil
}
