// Package testutil has the helpers that tests of several packages share.
package testutil

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// WantError reports an error that is nil, is not one sentence, or lacks one of the
// parts in its text.
func WantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	WantSentence(t, err)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

// WantSentence reports an error that is not one sentence.
func WantSentence(t testing.TB, err error) {
	t.Helper()
	if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000) {
		t.Errorf("error %q is not one sentence", err)
	}
}

// Equal reports values that are not deeply equal.
func Equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Await waits until something holds that another goroutine or process brings about: for
// a minute, because the machine may have other things to do.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("after a minute it does not hold that %s", what)
		}
	}
}
