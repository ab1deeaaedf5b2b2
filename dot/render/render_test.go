package render_test

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dot"
	"github.com/gorgonia-xlstm/xlstm/dot/render"
)

const small = `digraph {
graph [bgcolor="#ffffff"]
node [style="rounded,filled" shape=box fontname="Helvetica" fontsize=11 fillcolor="#eef3fb"]
subgraph cluster_0 { graph [label="box & corner" labeljust=l] a [label=<one<BR/>two &lt;b&gt;>] }
b [shape=ellipse label="⊙"] c [shape=plain label="f̃₁" fontname="Times-Italic"]
a -> b [label=" ∂x " style=dashed] b -> c
}`

// TestSVGIsWellFormed: every text is there, and every shape.
func TestSVGIsWellFormed(t *testing.T) {
	svg, err := render.SVG([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	paths := 0
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e, _ := token.(xml.StartElement); e.Name.Local {
		case "text":
			var text string
			if err := d.DecodeElement(&text, &e); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		case "path":
			paths++
		}
	}
	if got, want := strings.Join(texts, "|"), "box & corner|one|two <b>|⊙|∂x|f̃₁"; got != want {
		t.Errorf("texts %q, want %q", got, want)
	}
	if paths != 9 { // background, box, three nodes, two edges of a line and a head
		t.Errorf("%d shapes in\n%s", paths, svg)
	}
	again, err := render.SVG([]byte(small))
	if err != nil || !bytes.Equal(svg, again) {
		t.Errorf("the same graph is drawn differently (%v)", err)
	}
}

// TestPNGIsAPicture: of the size that was asked for, with something on it.
func TestPNGIsAPicture(t *testing.T) {
	for _, scale := range []float64{1, 2.5} {
		data, err := render.PNG([]byte(small), scale)
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		colours := map[any]bool{}
		b := picture.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				colours[picture.At(x, y)] = true
			}
		}
		if len(colours) < 20 || float64(b.Dx()) < 80*scale {
			t.Errorf("%d colours on %v", len(colours), b)
		}
	}
}

// TestMistakesAreExplained: what is no graph is an error, and the next graph is
// drawn all the same.
func TestMistakesAreExplained(t *testing.T) {
	for _, bad := range []string{"", "graph of thrones", "digraph {", "\x00"} {
		if _, err := render.SVG([]byte(bad)); err == nil || !strings.Contains(err.Error(), "DOT") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	if _, err := render.PNG([]byte(small), 0); err == nil || !strings.Contains(err.Error(), "scale") {
		t.Errorf("a scale of 0: error %v", err)
	}
	if _, err := render.SVG([]byte(small)); err != nil {
		t.Error(err)
	}
}

// TestManyDrawAtOnce: they do not disturb each other.
func TestManyDrawAtOnce(t *testing.T) {
	want, err := render.SVG([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if got, err := render.SVG([]byte(small)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("drawn differently beside others (%v)", err)
			}
		}()
	}
	wait.Wait()
}

func sixBlocks(b *testing.B) *xlstm.Program {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 65, 256, 6, xlstm.Blocks(1)
	m, err := xlstm.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: 256, Grad: true})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkSixBlocks draws the folded graph of a training step.
func BenchmarkSixBlocks(b *testing.B) {
	p := sixBlocks(b)
	defer p.Close()
	for format, draw := range map[string]func(data []byte) ([]byte, error){
		"SVG": render.SVG,
		"PNG": func(data []byte) ([]byte, error) { return render.PNG(data, 2) },
	} {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				data, err := dot.Marshal(p.Graph(), dot.Depth(2), dot.Elide())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := draw(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
