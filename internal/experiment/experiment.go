package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// Setting is how large an experiment is.
type Setting string

// The settings: minutes on two cores, and the papers' numbers.
const (
	Minutes Setting = "minutes"
	Full    Setting = "full"
)

// Experiment is a grid of runs.
type Experiment struct {
	Name  string
	About string // one sentence, what it compares and what is measured
	// Minutes and Full say what the settings are and how long they take.
	Minutes, Full string
	// cells are those that are compared unless others are asked for.
	cells []string
	// OnText reports whether it needs a text, and OnCPU whether it runs on the
	// CPU alone.
	OnText, OnCPU bool
	// runs returns the runs of a cell and a seed.
	runs func(p plan) []Run
	// charts are what the page shows.
	charts func(all []Result) []Plot
}

// plan is a part of a grid.
type plan struct {
	setting Setting
	cell    Cell
	seed    uint64
	text    *Corpus // nil without OnText
}

// Run is one run of a grid.
type Run struct {
	// Group names what the runs of different seeds have in common, in letters,
	// digits, dots and dashes.
	Group    string
	Labels   map[string]string
	Settings work
}

// work is what a run does. As JSON it has all that determines the result.
type work interface {
	// do does the work, from its checkpoint if there is one. If the context is
	// done it may write a checkpoint, and returns the context's error.
	do(ctx context.Context, at site) (*Outcome, error)
}

// site is where a run does its work.
type site struct {
	checkpoint string       // the folder of its checkpoint
	device     xlstm.Device // nil for the CPU
}

// Grid is the runs of an experiment for some cells and seeds.
type Grid struct {
	Experiment Experiment
	Setting    Setting
	jobs       []job
}

// job is a run with its seed.
type job struct {
	Run
	seed     uint64
	settings json.RawMessage
}

func (j job) name() string { return fmt.Sprintf("%s-%d", j.Group, j.seed) }

// Named returns the experiment of that name.
func Named(name string) (Experiment, error) {
	var names []string
	for _, e := range All() {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return Experiment{}, errors.Errorf("there is no experiment %q; there are %s", name, strings.Join(names, ", "))
}

// All returns all experiments.
func All() []Experiment {
	return []Experiment{parity(), languages(), recall(), longContext(), gradients(), depth(), scaling(), series()}
}

// Grid returns the runs of an experiment for the cells of the given names, or
// its own if there are none, and the seeds from 1 to seeds. text is only used
// by experiments on text.
func (e Experiment) Grid(setting Setting, cells []string, seeds int, text *Corpus) (Grid, error) {
	g := Grid{Experiment: e, Setting: setting}
	if setting != Minutes && setting != Full {
		return g, errors.Errorf("there is no setting %q; there are %s and %s", setting, Minutes, Full)
	}
	if seeds < 1 || seeds > 1000 {
		return g, errors.Errorf("an experiment with %d seeds; it takes at least 1, and at most 1000", seeds)
	}
	if e.OnText && text == nil {
		return g, errors.Errorf("the experiment %s needs a text", e.Name)
	}
	if len(cells) == 0 {
		cells = e.cells
	}
	taken := make(map[string]bool)
	for seed := uint64(1); seed <= uint64(seeds); seed++ {
		for _, name := range cells {
			c, err := cellNamed(name)
			if err != nil {
				return g, err
			}
			for _, r := range e.runs(plan{setting, c, seed, text}) {
				j := job{Run: r, seed: seed}
				if taken[j.name()] {
					continue // a cell that is asked for twice
				}
				taken[j.name()] = true
				if j.settings, err = json.Marshal(r.Settings); err != nil {
					return g, errors.Wrapf(err, "writing the settings of %s", j.name())
				}
				g.jobs = append(g.jobs, j)
			}
		}
	}
	return g, nil
}

// Names returns the names of the runs.
func (g Grid) Names() (names []string) {
	for _, j := range g.jobs {
		names = append(names, j.name())
	}
	return names
}

// job returns the run of that name.
func (g Grid) job(name string) (job, error) {
	i := slices.IndexFunc(g.jobs, func(j job) bool { return j.name() == name })
	if i < 0 {
		return job{}, errors.Errorf("the experiment has no run %q", name)
	}
	return g.jobs[i], nil
}
