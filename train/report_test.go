package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// place makes a file with a text, and the folders around it.
func place(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// emptyRun makes the folder of a run that has taken no step.
func emptyRun(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	p, _, err := parseTrain([]string{"-preset", "tiny", "-steps", "40", "-prompt", "<i>"}, console{})
	if err != nil {
		t.Fatal(err)
	}
	p.Model.VocabSize = 65
	unlock, err := run.Begin(dir, p.Settings)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	return dir
}

// eventCount returns the number of records of the one event file below a folder,
// whose checksums it checks.
func eventCount(t *testing.T, dir, pattern string) (n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("event files %v, want one: %v", found, err)
	}
	checksum := func(data string) uint32 {
		crc := crc32.Checksum([]byte(data), crc32.MakeTable(crc32.Castagnoli))
		return (crc>>15 | crc<<17) + 0xa282ead8
	}
	for file := read(t, found[0]); file != ""; n++ {
		length := int(binary.LittleEndian.Uint64([]byte(file[:8])))
		data, rest := file[12:12+length], file[12+length:]
		if checksum(file[:8]) != binary.LittleEndian.Uint32([]byte(file[8:12])) || checksum(data) != binary.LittleEndian.Uint32([]byte(rest[:4])) {
			t.Fatalf("record %d of %s has a wrong checksum", n, found[0])
		}
		file = rest[4:]
	}
	return n
}

func TestReportOfFinishedRun(t *testing.T) {
	dir, events := filepath.Join(t.TempDir(), "run"), t.TempDir()
	text := sampleText(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // after the first step
	if _, _, err := runHere(ctx, small(text, dir, "-tensorboard", events)...); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, run.ReportFile)); err == nil {
		t.Error("a run that was stopped has a report before anyone asked for it")
	}
	out := mustRun(t, "resume", dir)
	if want := "Report: " + filepath.Join(dir, run.ReportFile) + "\n"; !strings.HasSuffix(out, want) {
		t.Errorf("the output does not end with %q", want)
	}
	page := read(t, dir, run.ReportFile)
	for _, want := range []string{
		"Finished: 24 of 24 steps.", "best held-out loss", "loss on all held out", "bigram model ", "Learning rate", "Gradient norm", "Tokens a second",
		"After step 24, held-out loss ", "block 0, mLSTM", "block 1, sLSTM", "AdamW", "Begun on ", "Resumed after step 1 on ", "xlstm train -data ", "xlstm resume ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the report says nothing of %q", want)
		}
	}
	// The version, the mark of the beginning, the settings, and the one step.
	if n := eventCount(t, events, "run/events.out.tfevents.*"); n != 4 {
		t.Errorf("the stopped run has %d events, want 4", n)
	}
	again := t.TempDir()
	out = mustRun(t, "report", "-o", filepath.Join(again, "page.html"), "-tensorboard", again, dir)
	if asked := read(t, again, "page.html"); asked != page || !strings.Contains(page, "<h2>Graph</h2>") {
		t.Error("the report that was asked for is not the one of the run's end, or without the model's graph")
	}
	// As above, with all steps and the samples of five evaluations.
	if n := eventCount(t, again, "run/events.out.tfevents.*.report"); n != 3+24+5 {
		t.Errorf("the whole run has %d events, want 32:\n%s", n, out)
	}
}

func TestReportOfRunningRun(t *testing.T) {
	dir := emptyRun(t, `a <b> & "c"`)
	var log strings.Builder
	for i := 1; i <= 20; i++ {
		fmt.Fprintf(&log, `{"step":%d,"tokens":%d,"loss":%g,"smoothed":3,"grad_norm":1,"lr":0.001,"seconds":%d,"tokens_per_second":100}`+"\n", i, 100*i, 4-0.1*float64(i), i)
	}
	log.WriteString(`{"step":21,"tokens":2100,"loss":"NaN","smoothed":3,"grad_norm":"NaN","lr":0.001,"seconds":21,"tokens_per_second":100,"val":2.5,"skipped":"NaN in <script>"}` + "\n")
	log.WriteString(`{"step":22,"tok`) // the process is at it
	place(t, log.String(), dir, run.LogFile)
	place(t, "</pre><script>alert(1)</script>\x00\x1b[31m\xff\n", dir, run.SamplesDir, "step-00000021.txt")
	place(t, "not a sample", dir, run.SamplesDir, "notes.txt")
	if got, want := mustRun(t, "report", dir), "Report: "+filepath.Join(dir, run.ReportFile)+"\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	page := read(t, dir, run.ReportFile)
	for _, want := range []string{
		"<h1>a &lt;b&gt; &amp; &#34;c&#34;</h1>", "21 of 40 steps; it is running, or was stopped.", "1 step was skipped", "step 21: NaN in &lt;script&gt;",
		"&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;␀␛[31m\uFFFD</pre>", "After step 21, held-out loss 2.5000", "&lt;i&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not hold %q", want)
		}
	}
	for _, bad := range []string{"<script>alert", "not a sample", "Finished", "Environment"} {
		if strings.Contains(page, bad) {
			t.Errorf("the report holds %q", bad)
		}
	}
	mustRun(t, "report", dir)
	if read(t, dir, run.ReportFile) != page {
		t.Error("the report of the same folder is another")
	}
}

func TestReportOfEmptyRun(t *testing.T) {
	dir := emptyRun(t, "run")
	mustRun(t, "report", dir)
	page := read(t, dir, run.ReportFile)
	if !strings.Contains(page, "None of its 40 steps has been taken yet.") || strings.Contains(page, `class="plot"`) || !strings.Contains(page, "powerlaw_blockdependent") {
		t.Errorf("the report of a run without steps is\n%s", page)
	}
}

func TestReportOfWhatIsNoRun(t *testing.T) {
	empty := t.TempDir()
	_, _, err := runHere(context.Background(), "report", empty)
	if err == nil || !strings.Contains(err.Error(), "is not the folder of a run") || strings.Contains(err.Error(), "\n") {
		t.Errorf("it says %v", err)
	}
	if _, err := os.Stat(filepath.Join(empty, run.ReportFile)); err == nil {
		t.Error("there is a report all the same")
	}
}

// TestReportLeavesOutWhatIsDamaged, and says so in the terminal and on the page.
func TestReportLeavesOutWhatIsDamaged(t *testing.T) {
	broken := emptyRun(t, "run")
	place(t, "{", broken, run.AboutFile)
	place(t, "{}{\n", broken, run.LogFile)
	path := filepath.Join(broken, run.SamplesDir, "step-00000001.txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := files.WriteListed(path, []byte("the gate lets go\n")); err != nil {
		t.Fatal(err)
	}
	place(t, "the gate lets gq\n", path)
	_, errs, err := runHere(context.Background(), "report", broken)
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, broken, run.ReportFile)
	for _, want := range []string{"about.json cannot be read", "log.jsonl has 1 damaged line", "1 sample was left out"} {
		if !strings.Contains(errs, want) || !strings.Contains(page, want) {
			t.Errorf("it does not say %q but\n%s", want, errs)
		}
	}
	if strings.Contains(page, "lets gq") {
		t.Error("the damaged sample is shown")
	}
}

func TestCommandLine(t *testing.T) {
	got := console{name: "xlstm"}.hint("train", "-prompt", "it's", "-data", "a b", "-prompt", "")
	if want := `xlstm train -prompt 'it'\''s' -data 'a b' -prompt ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestReportOfSeveralRuns shows their curves over one another and what differs in
// their settings, and tells runs of one name apart.
func TestReportOfSeveralRuns(t *testing.T) {
	dirs := []string{emptyRun(t, "same"), emptyRun(t, "same"), emptyRun(t, "third")}
	for i, dir := range dirs {
		var log strings.Builder
		for step := 1; step <= 3; step++ {
			fmt.Fprintf(&log, `{"step":%d,"tokens":%d,"loss":%d,"smoothed":3,"grad_norm":1,"lr":0.001,"seconds":%d,"val":%d.25}`+"\n", step, 100*step, 4-step, step, 5+i-step)
		}
		place(t, log.String(), dir, run.LogFile)
	}
	settings := read(t, dirs[2], run.SettingsFile)
	place(t, strings.Replace(settings, `"beta2": 0.95`, `"beta2": 0.75`, 1), dirs[2], run.SettingsFile)
	if err := os.Remove(filepath.Join(dirs[2], "checksums.sha256")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "all.html")
	if got, want := mustRun(t, "report", "-o", path, dirs[0], dirs[1], dirs[2]), "Comparison: "+path+"\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	page := read(t, path)
	for _, want := range []string{"same (1)", "same (2)", "third", "2.2500", "4.2500", `<th scope="row">beta2</th><td class="n">0.95</td><td class="n">0.95</td><td class="n">0.75</td>`, "Held-out loss", `class="line s3"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the comparison says nothing of %q", want)
		}
	}
	if strings.Contains(page, `<th scope="row">batch</th>`) {
		t.Error("what all have in common is among the differences")
	}
	if _, _, err := runHere(context.Background(), "report", "-tensorboard", t.TempDir(), dirs[0], dirs[1]); err == nil || !strings.Contains(err.Error(), "one by one") {
		t.Errorf("event files of several runs: %v", err)
	}
}
