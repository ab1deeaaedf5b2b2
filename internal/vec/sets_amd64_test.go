//go:build !purego

package vec

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// sets are the kernels that this machine can run, by name; plain Go is nil.
func sets() map[string]*table {
	all := map[string]*table{"Go": nil}
	if hasAVX2() {
		all["AVX2"] = &tableAVX2
	}
	if hasAVX512() {
		all["AVX512"] = &tableAVX512
	}
	return all
}

// TestOnlyTheRegistersOfAVX: the upper sixteen of the narrow registers need
// instructions that no processor is asked for.
func TestOnlyTheRegistersOfAVX(t *testing.T) {
	source, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if bad := regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b`).Find(source); bad != nil {
		t.Errorf("register %s is used", bad)
	}
	_, narrow, found := strings.Cut(string(source), "·addAVX2(")
	if !found || regexp.MustCompile(`\b[ZK]\d`).MatchString(narrow) {
		t.Error("the AVX2 kernels use registers of AVX-512")
	}
}
