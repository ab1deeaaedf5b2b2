package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// put writes a file into a folder of its own.
func put(t testing.TB, name string, content []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// FuzzSettings: a run.json that is accepted is written and read as the same.
func FuzzSettings(f *testing.F) {
	for _, p := range Presets() {
		raw, err := json.Marshal(p.Settings())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"model": {"vocab_size": 3}}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := SettingsAt(put(t, SettingsFile, raw))
		if testutil.WantSentence(t, err); err != nil {
			return
		}
		dir := t.TempDir()
		if err := saveSettings(dir, s); err != nil {
			t.Fatal(err)
		}
		if _, err := SettingsAt(dir); err != nil {
			t.Errorf("%s was accepted but is not what is written of it: %v", raw, err)
		}
	})
}

// FuzzLog: records come by ascending step, whatever the lines are, and a log that
// is cut has no flaws.
func FuzzLog(f *testing.F) {
	line, err := encodeLine(Record{Step: 1, Tokens: 10, Loss: 2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(line, `{"step": 3, "loss": "NaN"}`+"\n{\n"...))
	f.Add([]byte(strings.Repeat("x", maxLine+1) + "\n" + string(line)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(put(t, LogFile, raw), LogFile)
		last, n := 0, 0
		if _, err := scanLog(path, func(r Record, _ []byte) error {
			if r.Step <= last {
				t.Errorf("step %d comes after %d", r.Step, last)
			}
			last, n = r.Step, n+1
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := cutLog(path, last, func(Record) {}); err != nil {
			t.Fatal(err)
		}
		left := 0
		flaws, err := scanLog(path, func(Record, []byte) error { left++; return nil })
		if err != nil || left != n || flaws.damaged > 0 {
			t.Errorf("a log of %d records was cut to %d with %d damaged lines, %v", n, left, flaws.damaged, err)
		}
	})
}

// FuzzAbout: what is known of a run is read, or is an error of one sentence.
func FuzzAbout(f *testing.F) {
	f.Add([]byte(`{"bigram": "NaN", "starts": [{"time": "2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"starts": null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := readAbout(put(t, AboutFile, raw))
		testutil.WantSentence(t, err)
	})
}
