package experiment

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Result is the result of a run.
type Result struct {
	Experiment string `json:"experiment"`
	Setting    string `json:"setting"`
	Name       string `json:"name"`
	// Group names what the runs of different seeds have in common, and Seed is
	// what they differ in.
	Group string `json:"group"`
	Seed  uint64 `json:"seed"`
	// Labels are the places of the run in the experiment's grid, such as its
	// task and its cell.
	Labels map[string]string `json:"labels"`
	// Settings are all that determines the result.
	Settings json.RawMessage `json:"settings"`
	Outcome
}

// Outcome is what a run found.
type Outcome struct {
	Params  int                `json:"params,omitempty"`
	Figures map[string]float64 `json:"figures,omitempty"`
	Curves  []Curve            `json:"curves,omitempty"`
	// Failed says why a run ended early, such as a loss that is not finite.
	Failed string `json:"failed,omitempty"`
	// Measured has what differs between two runs of the same settings: times in
	// seconds, memory in bytes. It is in a file of its own.
	Measured map[string]float64 `json:"-"`
}

// Curve is a series of numbers over steps, lengths, distances or parameters.
type Curve struct {
	Name string    `json:"name"`
	X    []int     `json:"x"`
	Y    []float64 `json:"y"`
}

// add appends a point to the curve of that name.
func (o *Outcome) add(name string, x int, y float64) {
	for i := range o.Curves {
		if o.Curves[i].Name == name {
			o.Curves[i].X, o.Curves[i].Y = append(o.Curves[i].X, x), append(o.Curves[i].Y, rounded(y))
			return
		}
	}
	o.Curves = append(o.Curves, Curve{name, []int{x}, []float64{rounded(y)}})
}

// set sets a figure.
func (o *Outcome) set(name string, y float64) {
	if o.Figures == nil {
		o.Figures = make(map[string]float64)
	}
	o.Figures[name] = rounded(y)
}

// measure sets what was measured of the machine.
func (o *Outcome) measure(name string, y float64) {
	if o.Measured == nil {
		o.Measured = make(map[string]float64)
	}
	o.Measured[name] = rounded(y)
}

// curve returns the curve of that name, an empty one if there is none.
func (o Outcome) curve(name string) Curve {
	for _, c := range o.Curves {
		if c.Name == name {
			return c
		}
	}
	return Curve{Name: name}
}

// rounded rounds to the five digits that results keep.
func rounded(y float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(y, 'g', 5, 64), 64) // what was just written
	return short
}

// maxResult is the size up to which a file of results is read, in bytes.
const maxResult = 64 << 20

// readJSON reads a file of ours.
func readJSON(path string, to any) error {
	text, err := files.Read(path, maxResult)
	if err != nil {
		return err
	}
	return errors.Wrapf(json.Unmarshal(text, to), "reading %s", path)
}

// writeJSON writes a file of ours.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return errors.Wrapf(err, "writing %s", path)
	}
	return writeFile(path, append(text, '\n'))
}

// ReadResults reads a file of the results of an experiment.
func ReadResults(path string) (all []Result, err error) {
	return all, readJSON(path, &all)
}

// Summary returns the figures in a line that begins with a colon, "" if there
// are none.
func (r Result) Summary() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		parts = append(parts, name+" "+short(r.Figures[name]))
	}
	if r.Failed != "" {
		parts = append(parts, r.Failed)
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}
