package run

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestCacheIsNamedWhereSizeIsTheMatter: in the error of a text that memory does not
// hold.
func TestCacheIsNamedWhereSizeIsTheMatter(t *testing.T) {
	err := explainRead(&data.TooLargeError{Path: "large.txt", Limit: data.DefaultMaxBytes}, Settings{})
	testutil.WantError(t, err, "the text is larger than the 268 MB that are kept in memory (large.txt goes beyond)", "with cache,")
}
