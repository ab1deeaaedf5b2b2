package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
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

// TestToolOfAnotherModule: go get -tool and go tool draw, as documented, in a module
// that has this one by a replacement, without a network.
func TestToolOfAnotherModule(t *testing.T) {
	if testing.Short() {
		t.Skip("links a program")
	}
	ours, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, none := t.TempDir(), t.TempDir()
	run := func(in string, args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(in)
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GONOSUMDB=*", "GOPROXY=file://"+filepath.ToSlash(none)+",off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	const module = "github.com/gorgonia-xlstm/xlstm"
	run("", "mod", "init", "example.com/user")
	run("", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+ours)
	run("", "get", "-tool", module+"/dot/draw")
	if out := run("digraph { a -> b }", "tool", "draw", "svg"); !strings.HasPrefix(out, "<svg") {
		t.Errorf("it draws %q", out)
	}
}
