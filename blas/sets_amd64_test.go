//go:build !purego

package blas

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/processor"
)

// addForced adds every set of kernels that this machine can run.
func addForced(to map[string]BLAS) {
	if processor.AVX2() {
		to["AVX2"] = BLAS{single: &singleAVX2, double: &doubleAVX2}
	}
	if processor.AVX512() {
		to["AVX512"] = BLAS{single: &singleAVX512, double: &doubleAVX512}
	}
}

// TestSetsForAVX2AreWithoutAVX512: a processor with AVX2 alone is given no kernel
// for AVX-512. What a kernel may use follows from its name: internal/processor
// tests it.
func TestSetsForAVX2AreWithoutAVX512(t *testing.T) {
	for _, set := range []any{&singleAVX2, &doubleAVX2} {
		names := kernelNames(reflect.ValueOf(set).Elem())
		if len(names) < 15 {
			t.Errorf("%T: only %d kernels were found", set, len(names))
		}
		for _, name := range names {
			if strings.Contains(name, "AVX512") {
				t.Errorf("%T: %s is among the kernels for AVX2", set, name)
			}
		}
	}
}

// kernelNames is the names of all functions in v.
func kernelNames(v reflect.Value) (names []string) {
	switch v.Kind() {
	case reflect.Func:
		return []string{runtime.FuncForPC(v.Pointer()).Name()}
	case reflect.Struct:
		if v.Type().PkgPath() == "sync" {
			return nil
		}
		for i := range v.NumField() {
			names = append(names, kernelNames(v.Field(i))...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			names = append(names, kernelNames(v.Index(i))...)
		}
	}
	return names
}
