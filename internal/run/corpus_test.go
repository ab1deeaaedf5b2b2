package run

import (
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// TestCacheIsNamedWhereSizeIsTheMatter: in the error of a text that memory does not
// hold.
func TestCacheIsNamedWhereSizeIsTheMatter(t *testing.T) {
	err := explainRead(&data.TooLargeError{Path: "large.txt", Limit: data.DefaultMaxBytes})
	if want := "the text is larger than the 268 MB that are kept in memory (large.txt goes beyond)"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "-cache") {
		t.Errorf("%v, want %q and -cache", err, want)
	}
}
