package dot_test

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/dot"
)

// FuzzNames: whatever nodes are called, the text is DOT, with every node.
func FuzzNames(f *testing.F) {
	for _, name := range []string{`a "quoted" name`, `back\slash\`, "<b>&amp;</b>", "..", "\xff\x00", "blocks.0.w"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		g := mlp(t, [3]string{"x", "a" + name, "b" + name + ".w"})
		for _, opts := range [][]dot.Option{{}, {dot.Depth(1)}, {dot.Elide(), dot.Depth(9)}} {
			if d := parse(t, marshal(t, g, opts...)); len(d.nodes) < 3 {
				t.Errorf("%q: %d nodes are drawn", name, len(d.nodes))
			}
		}
	})
}
