package experiment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publishedDir has the results that docs/claims.md is made from.
const publishedDir = "../../docs/claims"

// TestClaimsPageIsThatOfTheResults: what is in docs is what the results give.
func TestClaimsPageIsThatOfTheResults(t *testing.T) {
	p, err := Publish(publishedDir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(path string, want []byte) {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the results give; run: go run ./train experiment claims", path)
		}
	}
	check(publishedDir+".md", p.Page)
	for name, image := range p.Pictures {
		check(filepath.Join(publishedDir, name), image)
	}
	pictures, err := filepath.Glob(filepath.Join(publishedDir, "*.svg"))
	if err != nil || len(pictures) != len(p.Pictures) {
		t.Errorf("%d pictures, of which %d are of the results: %v", len(pictures), len(p.Pictures), err)
	}
}

// TestPublishedResultsAreOfTheGrids that the experiments have now: settings that
// changed make results stale.
func TestPublishedResultsAreOfTheGrids(t *testing.T) {
	for _, e := range All() {
		all, err := published(publishedDir, e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			t.Errorf("%s has no results", e.Name)
			continue
		}
		text, err := corpusOf(strings.Repeat("some text, ", 1<<16), "a test")
		if err != nil {
			t.Fatal(err)
		}
		g, err := e.Grid(Setting(all[0].Setting), values(all, "cell"), 3, text)
		if err != nil {
			t.Fatal(err)
		}
		settings := make(map[string]string)
		for _, r := range all {
			settings[r.Name] = string(r.Settings)
		}
		for _, j := range g.jobs {
			got, ok := settings[j.name()]
			if !ok {
				t.Errorf("%s: no result of %s", e.Name, j.name())
				continue
			}
			want := string(j.settings)
			if i := strings.Index(got, `"bytes":"`); i >= 0 { // the text of the results
				of := got[i+len(`"bytes":"`):]
				want = strings.ReplaceAll(want, text.checksum, of[:strings.Index(of, `"`)])
			}
			if got != want {
				t.Errorf("%s: the result of %s has the settings\n%s\nnot\n%s", e.Name, j.name(), got, want)
				break
			}
			delete(settings, j.name())
		}
		if len(settings) > 0 && !t.Failed() {
			t.Errorf("%s: %d results are of no run of the grid", e.Name, len(settings))
		}
	}
}
