package main

import (
	"bytes"
	"context"
	"os/exec"
	"strings"

	"github.com/pkg/errors"
)

// drawer is the program that draws. It is one of its own because Graphviz takes a
// second to start in the program that holds it, whether anything is drawn or not.
const drawer = "github.com/gorgonia-xlstm/xlstm/dot/draw"

// picture draws a graph in the DOT language.
func picture(ctx context.Context, graph []byte, format string) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "run", drawer, format)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(graph), &out, &complaint
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	first, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
	if says, ours := strings.CutPrefix(first, "draw: "); ours {
		return nil, errors.New(says)
	}
	if first == "" {
		first = err.Error()
	}
	return nil, errors.Errorf("pictures are drawn by go run %s, which failed (%s): start this program in a checkout of the module, or give -o a .dot file for another program to draw", drawer, first)
}
