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
// changed make results stale. Of the full setting there may be a part.
func TestPublishedResultsAreOfTheGrids(t *testing.T) {
	text, err := corpusOf(strings.Repeat("some text, ", 1<<16), "a test")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range All() {
		for _, of := range []struct {
			name    string
			setting Setting
		}{{e.Name, Minutes}, {fullOf(e.Name), Full}} {
			all, err := published(publishedDir, of.name)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) == 0 {
				if of.setting == Minutes {
					t.Errorf("%s has no results", e.Name)
				}
				continue
			}
			g, err := e.Grid(of.setting, values(all, "cell"), 3, text)
			if err != nil {
				t.Fatal(err)
			}
			wantOfGrid(t, of.name, all, g, text)
		}
	}
}

// wantOfGrid checks that results are those of runs of a grid, and in the setting of
// minutes of all of them.
func wantOfGrid(t *testing.T, name string, all []Result, g Grid, text *Corpus) {
	t.Helper()
	settings := make(map[string]string)
	for _, r := range all {
		settings[r.Name] = string(r.Settings)
	}
	for _, j := range g.jobs {
		got, ok := settings[j.name()]
		if !ok {
			if g.Setting == Minutes {
				t.Errorf("%s: no result of %s", name, j.name())
			}
			continue
		}
		want := string(j.settings)
		if i := strings.Index(got, `"bytes":"`); i >= 0 { // the text of the results
			of := got[i+len(`"bytes":"`):]
			want = strings.ReplaceAll(want, text.checksum, of[:strings.Index(of, `"`)])
		}
		if got != want {
			t.Errorf("%s: the result of %s has the settings\n%s\nnot\n%s", name, j.name(), got, want)
			return
		}
		delete(settings, j.name())
	}
	if len(settings) > 0 {
		t.Errorf("%s: %d results are of no run of the grid", name, len(settings))
	}
}
