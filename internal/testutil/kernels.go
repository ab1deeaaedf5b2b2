package testutil

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// EveryKernelExists reports the kernels that the assembly files of the package
// under test lack. The names of the fields of table are those of the kernels,
// without the instruction set.
func EveryKernelExists(t *testing.T, table reflect.Type) {
	t.Helper()
	for file, sets := range map[string][]string{"kernels_amd64.s": {"AVX512", "AVX2"}, "kernels_arm64.s": {"NEON"}} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range table.NumField() {
			for _, set := range sets {
				if name := table.Field(i).Name + set; !strings.Contains(string(source), "\nTEXT ·"+name+"(SB)") {
					t.Errorf("%s has no %s", file, name)
				}
			}
		}
	}
}
