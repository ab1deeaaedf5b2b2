package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/workloads"
	"github.com/pkg/errors"
)

// startName is the measurement of how long the first training step takes from
// the start of the process.
const startName = "start"

// benchCommand measures this machine and prints a line of JSON for every
// measurement.
func benchCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("bench", "Measure training, generation and their parts on this machine, each in a process of its own.\n"+
		"Names are "+strings.Join(benchNames(), ", ")+"; all of them by default.\n"+
		"Each measurement gives a line of JSON; docs/performance.md describes them.", c,
		"bench", "bench -threads 1 -seconds 30 A generate-A", "bench flat > flat.json")
	seconds := f.Float64("seconds", 10, "how long to measure each, after warming up; at least three steps are timed")
	threads := f.Int("threads", 0, "cores to use (GOMAXPROCS); 0 for all")
	child := f.Bool("child", false, "measure the one name given in this very process, as the command has it done")
	names, err := parseWords(f, args)
	if err != nil {
		return err
	}
	if *seconds <= 0 || *threads < 0 {
		return errors.Errorf("-seconds is %v and -threads %d; they must be positive, or 0 threads for all cores", *seconds, *threads)
	}
	b := bench{console: c, seconds: *seconds, threads: *threads}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if !*child {
		return b.all(ctx, chosen)
	}
	if *threads > 0 {
		runtime.GOMAXPROCS(*threads)
	}
	if len(chosen) != 1 {
		return errors.Errorf("-child measures one thing, not %d", len(chosen))
	}
	return b.here(ctx, chosen[0])
}

// benchNames returns the names that can be asked for.
func benchNames() []string {
	var names []string
	for _, g := range workloads.Groups() {
		names = append(names, g.Name)
	}
	return append(names, startName)
}

// choose returns the workloads of the names given, or all, each once. A name is
// that of a group or of a workload.
func choose(names []string) ([]workloads.Workload, error) {
	if len(names) == 0 {
		names = benchNames()
	}
	var chosen []workloads.Workload
	for _, name := range names {
		found := named(name)
		if len(found) == 0 {
			return nil, errors.Errorf("there is no %q to measure; there are %s", name, strings.Join(benchNames(), ", "))
		}
		for _, w := range found {
			if !slices.ContainsFunc(chosen, func(x workloads.Workload) bool { return x.Name == w.Name }) {
				chosen = append(chosen, w)
			}
		}
	}
	return chosen, nil
}

func named(name string) []workloads.Workload {
	if name == startName {
		w := workloads.Models()[0].Training()
		w.Name = startName
		return []workloads.Workload{w}
	}
	for _, g := range workloads.Groups() {
		if g.Name == name {
			return g.Workloads
		}
		for _, w := range g.Workloads {
			if w.Name == name {
				return []workloads.Workload{w}
			}
		}
	}
	return nil
}

// bench is how to measure, and where to print.
type bench struct {
	console
	seconds float64
	threads int
}

// one measures a workload.
func (b bench) one(ctx context.Context, w workloads.Workload) (measurement, error) {
	if w.Name == startName {
		return b.start(ctx, w)
	}
	m, _, err := b.child(ctx, w)
	return m, err
}

// all measures one workload after the other. One that fails, for want of memory
// perhaps, does not keep the others from being measured.
func (b bench) all(ctx context.Context, chosen []workloads.Workload) error {
	var failed []string
	for i, w := range chosen {
		fmt.Fprintf(b.err, "%d of %d: %s\n", i+1, len(chosen), w.Name)
		m, err := b.one(ctx, w)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			fmt.Fprintf(b.err, "%s: %v\n", w.Name, err)
			failed = append(failed, w.Name)
			continue
		}
		if err := json.NewEncoder(b.out).Encode(m); err != nil {
			return errors.Wrap(err, "printing a measurement")
		}
	}
	if len(failed) > 0 {
		return errors.Errorf("%d of %d measurements failed: %s", len(failed), len(chosen), strings.Join(failed, ", "))
	}
	return nil
}
