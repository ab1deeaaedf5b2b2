package run

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// Sample is a text that the model generated after a step.
type Sample struct {
	Step int
	Text string
}

var sampleName = regexp.MustCompile(`^step-(\d+)\.txt$`)

// readSamples returns the samples of a run by ascending step, and how many are
// left out because they are damaged.
func readSamples(dir string) (all []Sample, damaged int, err error) {
	dir = filepath.Join(dir, SamplesDir)
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, errors.Wrap(err, "looking for samples")
	}
	sums, err := files.ReadSums(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		m := sampleName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		step, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := files.Read(path, maxSample)
		if err != nil {
			return nil, 0, errors.Wrap(err, "reading a sample")
		}
		if sums.Check(path, text) != nil {
			damaged++
			continue
		}
		all = append(all, Sample{step, Visible(strings.TrimSuffix(string(text), "\n"))})
	}
	slices.SortStableFunc(all, func(a, b Sample) int { return a.Step - b.Step })
	return all, damaged, nil
}

// maxSample is the size of the longest sample that is read, in bytes.
const maxSample = 64 << 20

// maxSamples is how many samples a report shows.
const maxSamples = 30

// samplePages returns the samples for a report, the newest first: all, or as many
// as it shows from the whole of the run.
func (v View) samplePages() (all []report.Sample) {
	held := map[int]float64{}
	for _, r := range v.Records {
		if r.Val != nil {
			held[r.Step] = *r.Val
		}
	}
	n := min(len(v.Samples), maxSamples)
	for i := range n {
		s := v.Samples[len(v.Samples)-1-i*len(v.Samples)/n]
		title := "After step " + numbers.Commas(s.Step)
		if loss, measured := held[s.Step]; measured {
			title += fmt.Sprintf(", held-out loss %.4f", loss)
		}
		all = append(all, report.Sample{Title: title, Text: s.Text})
	}
	return all
}
