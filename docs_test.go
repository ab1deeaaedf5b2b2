package xlstm

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// pages returns the README and the pages in docs, by file.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, file := range append(testutil.Must(filepath.Glob("docs/*.md")), "README.md") {
		all[file] = string(testutil.Must(os.ReadFile(file)))
	}
	return all
}

// anchors returns the names under which a page's headings can be linked to.
func anchors(page string) (names []string) {
	for line := range strings.Lines(page) {
		title, heading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if heading && strings.HasPrefix(line, "#") {
			title = regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			names = append(names, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return names
}

// TestLinksLeadSomewhere: the files of this module to which pages link exist, and so do
// the headings.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)|src="([^"]+)"`)
	all := pages(t)
	for file, page := range all {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			target := m[1] + m[2]
			if strings.HasPrefix(target, "https://") {
				continue
			}
			path, heading, _ := strings.Cut(target, "#")
			if path == "" {
				path = filepath.Base(file)
			}
			path = filepath.Join(filepath.Dir(file), path)
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s: %v", file, target, err)
			}
			if heading != "" && !slices.Contains(anchors(all[path]), heading) {
				t.Errorf("%s links to %s, a heading that there is not", file, target)
			}
		}
	}
}

// TestPagesNameTestsThatExist, and docs/safety.md names every fuzz target.
func TestPagesNameTestsThatExist(t *testing.T) {
	exists := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (\w+)\(`)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(file)
		for _, m := range declared.FindAllStringSubmatch(string(raw), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w*)`")
	all := pages(t)
	for file, page := range all {
		for _, m := range named.FindAllStringSubmatch(page, -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which there is not", file, m[1])
			}
		}
	}
	for name := range exists {
		if strings.HasPrefix(name, "Fuzz") && !strings.Contains(all[filepath.Join("docs", "safety.md")], "`"+name+"`") {
			t.Errorf("docs/safety.md lacks %s", name)
		}
	}
}
