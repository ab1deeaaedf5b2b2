//go:build !purego

package vec

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

// best is the kernels for this processor, nil for plain Go.
var best = processor.Best(&tableAVX512, &tableAVX2)
