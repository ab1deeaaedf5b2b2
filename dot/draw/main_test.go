package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	for format, begins := range map[string]string{"svg": "<svg", "png": "\x89PNG"} {
		var out bytes.Buffer
		if err := draw([]string{format}, strings.NewReader("digraph { a -> b }"), &out); err != nil || !strings.HasPrefix(out.String(), begins) {
			t.Errorf("%s: error %v", format, err)
		}
	}
	for _, args := range [][]string{nil, {"gif"}, {"svg", "png"}} {
		if err := draw(args, strings.NewReader("digraph {}"), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "svg or png") {
			t.Errorf("%q: error %v", args, err)
		}
	}
	if err := draw([]string{"svg"}, strings.NewReader("not a graph"), new(bytes.Buffer)); err == nil {
		t.Error("what is no graph is drawn")
	}
}
