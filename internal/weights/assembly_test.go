package weights

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryKernelExists in the assembly for every instruction set.
func TestEveryKernelExists(t *testing.T) {
	for file, sets := range map[string][]string{"kernels_amd64.s": {"AVX512", "AVX2"}, "kernels_arm64.s": {"NEON"}} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fields := reflect.TypeFor[table]()
		for i := range fields.NumField() {
			for _, set := range sets {
				if name := fields.Field(i).Name + set; !strings.Contains(string(source), "\nTEXT ·"+name+"(SB)") {
					t.Errorf("%s has no %s", file, name)
				}
			}
		}
	}
}
