package testutil

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// EveryKernelExists reports the kernels that the assembly files of the package
// under test lack. The names of the fields of table are those of the kernels,
// without the instruction set, of which amd64 has those given.
func EveryKernelExists(t *testing.T, table reflect.Type, amd64 ...string) {
	t.Helper()
	for file, sets := range map[string][]string{"kernels_amd64.s": amd64, "kernels_arm64.s": {"NEON"}} {
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
