//go:build !purego

package weights

import "github.com/gorgonia-xlstm/xlstm/internal/testutil"

// sets are the kernels that this machine can run, by name; plain Go is nil.
func sets() map[string]*table { return testutil.Sets(&tableAVX512, &tableAVX2) }
