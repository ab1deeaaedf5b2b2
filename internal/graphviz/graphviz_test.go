package graphviz

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestBinaryIsTheOneInTheNotice: the binary has not been replaced.
func TestBinaryIsTheOneInTheNotice(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(binary)
	if !strings.Contains(string(notice), hex.EncodeToString(sum[:])) {
		t.Errorf("NOTICE does not name the checksum %x", sum)
	}
}

// TestSameGraphSameBytes: also beside others.
func TestSameGraphSameBytes(t *testing.T) {
	graph := []byte(`digraph { a [label=<b<BR/>c>] a -> d [label="e"] subgraph cluster_0 { label="f" d } }`)
	want, err := SVG(graph)
	if err != nil || !bytes.Contains(want, []byte("</svg>")) {
		t.Fatalf("%v: %s", err, want)
	}
	for _, label := range []string{">b<", ">c<", ">e<", ">f<"} {
		if !bytes.Contains(want, []byte(label)) {
			t.Errorf("%s is missing in\n%s", label, want)
		}
	}
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if got, err := SVG(graph); err != nil || !bytes.Equal(got, want) {
				t.Errorf("drawn differently beside others: %v", err)
			}
		})
	}
	wait.Wait()
}

func TestMistakes(t *testing.T) {
	for dot, want := range map[string]string{
		"":                                   "no graph",
		"graph of thrones":                   "syntax error in line 1 near 'thrones'",
		"digraph {":                          "syntax error in line 1",
		"\x00":                               "",
		`digraph { a [label=<<NONSENSE>>] }`: "",
	} {
		svg, err := SVG([]byte(dot))
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", dot, err, want)
		}
		if err == nil && !bytes.Contains(svg, []byte("</svg>")) {
			t.Errorf("%q: neither an error nor a picture: %s", dot, svg)
		}
	}
}

// TestLargeGraphs: of a size at which Graphviz's memory has been used before.
func TestLargeGraphs(t *testing.T) {
	for _, n := range []int{10, 300, 1500} {
		var graph strings.Builder
		graph.WriteString("digraph { splines=line nslimit=1 mclimit=0.2\n")
		for i := range n {
			fmt.Fprintf(&graph, "n%d [label=\"node number %d\"]\nn%d -> n%d\n", i, i, i/2, i)
		}
		graph.WriteString("}\n")
		svg, err := SVG([]byte(graph.String()))
		if err != nil || bytes.Count(svg, []byte(">node number ")) != n {
			t.Errorf("%d nodes: %d labels, %v", n, bytes.Count(svg, []byte(">node number ")), err)
		}
	}
}
