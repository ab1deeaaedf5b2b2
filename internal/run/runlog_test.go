package run

import (
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// someRecords are the first n records of a run with a held-out loss every third
// step.
func someRecords(n int) []Record {
	records := make([]Record, n)
	smooth := &smoother{value: math.NaN()}
	for i := range records {
		step := i + 1
		loss := 1 + 3/math.Sqrt(float64(step))
		r := Record{
			Step: step, Tokens: int64(step) * 1024, Loss: loss, Smoothed: smooth.add(loss), GradNorm: 1 / float64(step), LR: 1e-3,
			Seconds: float64(step) / 3, TokensPerSecond: 3072,
		}
		if step%3 == 0 {
			val := loss + 0.1
			r.Val = &val
		}
		records[i] = r
	}
	return records
}

// writeLog appends records to a log that continues after a step.
func writeLog(t *testing.T, path string, after int, records []Record) {
	t.Helper()
	if _, err := cutLog(path, after, func(Record) {}); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := log.write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.close(); err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	want := someRecords(7)
	writeLog(t, path, 0, want)
	got, _, err := ReadLog(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestLogLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	val := 2.5
	writeLog(t, path, 0, []Record{
		{Step: 1, Tokens: 64, Loss: 4.25, Smoothed: 4.25, GradNorm: 0.5, LR: 1e-4, Seconds: 0.5, TokensPerSecond: 128, Val: &val},
		{Step: 2, Tokens: 128, Loss: math.NaN(), Smoothed: 4.25, GradNorm: math.Inf(1), LR: 1e-4, Seconds: 1, TokensPerSecond: 128, Skipped: "the loss is NaN"},
	})
	want := `{"step":1,"tokens":64,"loss":4.25,"smoothed":4.25,"grad_norm":0.5,"lr":0.0001,"seconds":0.5,"tokens_per_second":128,"val":2.5,"crc":"5d7e75a9"}
{"step":2,"tokens":128,"loss":"NaN","smoothed":4.25,"grad_norm":"+Inf","lr":0.0001,"seconds":1,"tokens_per_second":128,"skipped":"the loss is NaN","crc":"0cfe05c7"}
`
	if got := readText(t, path); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	records, _, err := ReadLog(path)
	if err != nil {
		t.Fatal(err)
	}
	if r := records[1]; !math.IsNaN(r.Loss) || !math.IsInf(r.GradNorm, 1) || r.Val != nil {
		t.Errorf("read back as %+v", r)
	}
}

// TestResumedLogEqualsUnbroken kills a run while it writes its log, at many
// places in a line, and continues it from a checkpoint.
func TestResumedLogEqualsUnbroken(t *testing.T) {
	dir := t.TempDir()
	records := someRecords(6)
	whole := filepath.Join(dir, "whole.jsonl")
	writeLog(t, whole, 0, records)
	want := readText(t, whole)
	resumed := filepath.Join(dir, "resumed.jsonl")
	for _, checkpoint := range []int{0, 1, 3} {
		saved := len(strings.Join(strings.SplitAfter(want, "\n")[:checkpoint], ""))
		for size := max(saved-1, 0); size <= len(want); size += 41 {
			if err := os.WriteFile(resumed, []byte(want[:size]), 0o644); err != nil {
				t.Fatal(err)
			}
			writeLog(t, resumed, checkpoint, records[checkpoint:])
			if got := readText(t, resumed); got != want {
				t.Fatalf("resumed after step %d with %d bytes of the log:\n%s\nwant\n%s", checkpoint, size, got, want)
			}
		}
	}
}

// withSums ends the lines of a log with their checksums.
func withSums(lines ...string) (log string) {
	for _, l := range lines {
		l = strings.TrimSuffix(l, "}")
		log += fmt.Sprintf("%s,\"crc\":\"%08x\"}\n", l, crc32.Checksum([]byte(l), castagnoli))
	}
	return log
}

func TestReadLogPassesOverWhatIsDamagedAndCountsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	for _, test := range []struct {
		text string
		want int // records
		flaw string
	}{
		{"", 0, ""},
		{`{"step":1}` + "\n", 1, ""},
		{`{"step":1}` + "\n" + `{"step":2}`, 2, ""},
		{`{"step":1}` + "\n" + `{"step":2,"lo`, 1, ""},
		{`{"step":1}` + "\n\x00\x00\x00", 1, ""},
		{withSums(`{"step":1}`, `{"step":2}`), 2, ""},
		{`{"step":1}` + "\n" + `{"step":2,"lo` + "\n" + `{"step":3}` + "\n", 2, "has 1 damaged line and lacks 1 step, the first of them 2"},
		{`{"step":1,"loss":"big"}` + "\n", 0, "has 1 damaged line"},
		{`{"step":2}` + "\n" + `{"step":1}` + "\n", 1, "has 1 damaged line and lacks 1 step, the first of them 1"},
		{`{"step":1}` + "\n" + `{"step":5}` + "\n", 2, "lacks 3 steps, the first of them 2"},
		{strings.Replace(withSums(`{"step":1,"loss":4}`), "4", "5", 1), 0, "has 1 damaged line"},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		records, found, err := ReadLog(path)
		if err != nil || len(records) != test.want || found.flaw(0) != test.flaw {
			t.Errorf("%q: %d records, %q, error %v; want %d, %q", test.text, len(records), found.flaw(0), err, test.want, test.flaw)
		}
	}
}

// TestEveryFlippedBitOfALogIsNoticedOrHarmless: no record is another.
func TestEveryFlippedBitOfALogIsNoticedOrHarmless(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	want := someRecords(3)
	writeLog(t, path, 0, want)
	whole := []byte(readText(t, path))
	for bit := range 8 * len(whole) {
		damaged := append([]byte(nil), whole...)
		damaged[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		records, found, err := ReadLog(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Step < 1 || r.Step > 3 || !reflect.DeepEqual(r, want[r.Step-1]) {
				t.Fatalf("bit %d: read %+v", bit, r)
			}
		}
		if len(records) < 3 && found.flaw(3) == "" {
			t.Fatalf("bit %d: %d records without a word", bit, len(records))
		}
	}
}

// TestCutLogDropsDamagedLines and tells of the steps that are lost.
func TestCutLogDropsDamagedLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	writeLog(t, path, 0, someRecords(9))
	lines := strings.SplitAfter(readText(t, path), "\n")
	lines[3] = "{" + lines[3]
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	var steps []int
	found, err := cutLog(path, 6, func(r Record) { steps = append(steps, r.Step) })
	if err != nil || found.flaw(6) != "has 1 damaged line and lacks 1 step, the first of them 4" || !slices.Equal(steps, []int{1, 2, 3, 5, 6}) {
		t.Errorf("%q, %v, %v", found.flaw(6), steps, err)
	}
	if got, want := readText(t, path), strings.Join(slices.Concat(lines[:3], lines[4:6]), ""); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if found, err := cutLog(path, 6, nil); err != nil || found.flaw(6) != "lacks 6 steps, the first of them 1" {
		t.Errorf("without a log: %q, %v", found.flaw(6), err)
	}
}

// TestSmootherHasItsBiasDividedOut compares with the definition.
func TestSmootherHasItsBiasDividedOut(t *testing.T) {
	s := &smoother{value: math.NaN()}
	sum := 0.0
	for i := range 300 {
		loss := 2 + math.Sin(float64(i))
		sum = 0.95*sum + 0.05*loss
		want := sum / (1 - math.Pow(0.95, float64(i+1)))
		if got := s.add(loss); math.Abs(got-want) > 1e-12 {
			t.Fatalf("step %d: %v, want %v", i+1, got, want)
		}
	}
}

func TestSmootherGoesOnFromTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	all := someRecords(20)
	for cut := range all {
		writeLog(t, path, 0, all[:cut])
		records, _, err := ReadLog(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &smoother{value: math.NaN()}
		if cut > 0 {
			s = &smoother{cut, records[cut-1].Smoothed}
		}
		for _, r := range all[cut:] {
			if got := s.add(r.Loss); got != r.Smoothed {
				t.Fatalf("cut after %d: step %d is %v, want %v", cut, r.Step, got, r.Smoothed)
			}
		}
	}
}

func TestSmootherLeavesOutWhatIsNotFinite(t *testing.T) {
	s := &smoother{value: math.NaN()}
	if got := s.add(math.NaN()); !math.IsNaN(got) {
		t.Errorf("without a finite loss: %v", got)
	}
	for _, loss := range []float64{3, math.Inf(1), math.NaN()} {
		if got := s.add(loss); got != 3 {
			t.Errorf("after %v: %v, want 3", loss, got)
		}
	}
}
