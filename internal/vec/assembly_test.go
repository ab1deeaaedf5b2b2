package vec

import (
	"reflect"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

func TestEveryKernelExists(t *testing.T) {
	testutil.EveryKernelExists(t, reflect.TypeFor[table](), "AVX512", "AVX2")
}
