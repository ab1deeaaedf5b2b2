package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/bench"
	"github.com/pkg/errors"
)

// benchCommand measures this machine and prints a line of JSON for every
// measurement.
func benchCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("bench", "Measure training, generation and their parts on this machine, each in a process of its own.\n"+
		"Names are "+strings.Join(bench.Names(false), ", ")+"; all of them by default.\n"+
		"On a device they are "+strings.Join(bench.Names(true), ", ")+".\n"+
		"Each measurement gives a line of JSON; docs/performance.md describes them.", c,
		"bench", "bench -threads 1 -seconds 30 A generate-A", "bench -device cuda -precision bf16 large", "bench flat > flat.json")
	seconds := f.Float64("seconds", 10, "how long to measure each, after warming up; at least three steps are timed")
	threads := f.Int("threads", 0, "cores to use (GOMAXPROCS); 0 for all")
	child := f.Bool("child", false, "measure the one name given in this very process, as the command has it done")
	var on onDevice
	on.register(f)
	names, err := parseWords(f, args)
	if err != nil {
		return err
	}
	if *seconds <= 0 || *threads < 0 {
		return errors.Errorf("-seconds is %v and -threads %d; they must be positive, or 0 threads for all cores", *seconds, *threads)
	}
	b := bench.Bench{Seconds: *seconds, Child: benchChild(*seconds, *threads, on), Precision: on.precision}
	chosen, err := bench.Choose(names, on.name != "cpu")
	if err != nil {
		return err
	}
	if !*child {
		return measureAll(ctx, b, chosen, c)
	}
	if *threads > 0 {
		runtime.GOMAXPROCS(*threads)
	}
	if len(chosen) != 1 {
		return errors.Errorf("-child measures one thing, not %d", len(chosen))
	}
	device, closeDevice, err := on.open()
	if err != nil {
		return err
	}
	defer closeDevice()
	b.Device = device
	m, err := b.Here(ctx, chosen[0])
	if err != nil {
		return err
	}
	return printMeasurement(c.out, m)
}

// benchChild returns what starts this program to measure one workload, for so many
// seconds on so many cores.
func benchChild(seconds float64, threads int, on onDevice) func(ctx context.Context, workload string) (*exec.Cmd, error) {
	return func(ctx context.Context, workload string) (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, errors.Wrap(err, "finding this program")
		}
		return exec.CommandContext(ctx, program, "bench", "-child",
			"-seconds", strconv.FormatFloat(seconds, 'g', -1, 64), "-threads", strconv.Itoa(threads),
			"-device", on.name, "-precision", on.precision, workload), nil
	}
}

func printMeasurement(out io.Writer, m bench.Measurement) error {
	return errors.Wrap(json.NewEncoder(out).Encode(m), "printing a measurement")
}

// measureAll measures one workload after the other. One that fails, for want of
// memory perhaps, does not keep the others from being measured.
func measureAll(ctx context.Context, b bench.Bench, chosen []bench.Workload, c console) error {
	var failed []string
	for i, w := range chosen {
		fmt.Fprintf(c.err, "%d of %d: %s\n", i+1, len(chosen), w.Name)
		m, err := b.Measure(ctx, w)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			fmt.Fprintf(c.err, "%s: %s\n", w.Name, strings.TrimPrefix(err.Error(), fileName()+": "))
			failed = append(failed, w.Name)
			continue
		}
		if err := printMeasurement(c.out, m); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return errors.Errorf("%d of %d measurements failed: %s", len(failed), len(chosen), strings.Join(failed, ", "))
	}
	return nil
}
