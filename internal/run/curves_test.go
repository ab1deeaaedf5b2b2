package run

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drawn returns the files that drawCurves writes.
func drawn(t *testing.T, records []Record, bigram float64) (svg, image []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := drawCurves(dir, records, About{Bigram: Number(bigram)}); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "loss.svg"))
	if err != nil {
		t.Fatal(err)
	}
	image, err = os.ReadFile(filepath.Join(dir, "loss.png"))
	if err != nil {
		t.Fatal(err)
	}
	return svg, image
}

// texts returns the contents of an SVG's text elements.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var all []string
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok && strings.TrimSpace(string(data)) != "" {
			all = append(all, string(data))
		}
	}
}

func TestSameRecordsGiveTheSameFiles(t *testing.T) {
	records := someRecords(100)
	svg1, png1 := drawn(t, records, 2.5)
	svg2, png2 := drawn(t, records, 2.5)
	if !bytes.Equal(svg1, svg2) || !bytes.Equal(png1, png2) {
		t.Error("the files differ")
	}
}

func TestCurvesSayWhatTheyShow(t *testing.T) {
	svg, image := drawn(t, someRecords(3000), 2.5)
	got := "\n" + strings.Join(texts(t, svg), "\n") + "\n"
	for _, want := range []string{
		"step", "Loss, nats per token", "0", "1,000", "3,000", "training", "training, smoothed", "held out",
		"bigram model 2.500", "best 1.155",
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no text %q in%s", want, got)
		}
	}
	decoded, err := png.Decode(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if size := decoded.Bounds().Size(); size.X != 1440 || size.Y != 800 {
		t.Errorf("the PNG is %v", size)
	}
}

func TestCurvesOfShortAndBrokenRuns(t *testing.T) {
	broken := someRecords(5)
	broken[1].Loss, broken[4].Loss = math.NaN(), math.Inf(1)
	nan := math.NaN()
	broken[2].Val = &nan
	for name, records := range map[string][]Record{"one step": someRecords(1), "three steps": someRecords(3), "no evaluation": someRecords(2), "not finite": broken} {
		svg, _ := drawn(t, records, math.Inf(1))
		got := strings.Join(texts(t, svg), "\n")
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || !strings.Contains(got, "training") {
			t.Errorf("%s: the texts are\n%s", name, got)
		}
		if hasBest := strings.Contains(got, "best"); hasBest != (name == "three steps") {
			t.Errorf("%s: a best held-out loss is marked: %v", name, hasBest)
		}
	}
	dir := t.TempDir()
	if err := drawCurves(dir, []Record{{Step: 1, Loss: math.NaN(), Smoothed: math.NaN()}}, noAbout()); err == nil {
		t.Error("drew a run without a finite loss")
	}
}

func TestCurvesOfALongRunAreSmall(t *testing.T) {
	records := someRecords(20000)
	for i := range records {
		records[i].Loss += 0.1 * math.Sin(float64(i*i))
	}
	if svg, image := drawn(t, records, 2.5); len(svg) > 100<<10 || len(image) > 500<<10 {
		t.Errorf("%d bytes of SVG, %d of PNG", len(svg), len(image))
	}
}
