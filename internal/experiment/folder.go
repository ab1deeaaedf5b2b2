package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// The files of an experiment's folder, besides those of its runs: all results,
// what was measured of the machine, and the page.
const (
	ResultsFile = "results.json"
	MachineFile = "machine.json"
	PageFile    = "page.html"
)

// Folder is where an experiment runs.
type Folder struct {
	Dir string
	// Workers is how many runs there are at a time. With Child each of them is a
	// process of its own, which Child returns and which calls Do; without it,
	// they run in this process.
	Workers int
	Child   func(ctx context.Context, run string) (*exec.Cmd, error)
	// Open opens a device for the models of runs in this process, and returns
	// what closes it; nil is the CPU. Each worker has one of its own, so that
	// runs share a GPU side by side.
	Open func() (device xlstm.Device, closeDevice func(), err error)
	// Done is told of every run that ended, and how many of them have.
	Done func(r Result, done, of int)
}

// place is the path of the checkpoint of a run, and result that of its result.
func (f Folder) place(run string) string  { return filepath.Join(f.Dir, run+".checkpoint") }
func (f Folder) result(run string) string { return filepath.Join(f.Dir, run+".json") }

// machine is the path of what was measured of the machine in a run.
func (f Folder) machine(run string) string { return filepath.Join(f.Dir, run+".machine.json") }

// Run does the runs of a grid that are not done, and returns the results of
// all in the grid's order. It also writes them to the folder's files.
func (f Folder) Run(ctx context.Context, g Grid) ([]Result, error) {
	if f.Open != nil && g.Experiment.OnCPU {
		return nil, errors.Errorf("the experiment %s runs on the CPU alone", g.Experiment.Name)
	}
	devices, closeDevices, err := f.devices()
	defer closeDevices()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return nil, errors.Wrap(err, "making the experiment's folder")
	}
	unlock, err := files.Lock(filepath.Join(f.Dir, ".lock"))
	if err != nil {
		return nil, errors.Wrapf(err, "another process runs the experiment in %s", f.Dir)
	}
	defer unlock()
	if err := f.runAll(ctx, g, devices); err != nil {
		return nil, err
	}
	all := make([]Result, len(g.jobs))
	measured := make(map[string]map[string]float64)
	for i, j := range g.jobs {
		if all[i], err = f.read(j); err != nil {
			return nil, err
		}
		if len(all[i].Measured) > 0 {
			measured[all[i].Name] = all[i].Measured
		}
	}
	if err := WriteResults(filepath.Join(f.Dir, ResultsFile), all); err != nil {
		return nil, err
	}
	if len(measured) > 0 {
		return all, writeJSON(filepath.Join(f.Dir, MachineFile), measured)
	}
	return all, nil
}

// runAll does the runs that are not done, as many at a time as there are devices.
func (f Folder) runAll(ctx context.Context, g Grid, devices []xlstm.Device) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := make(chan job)
	var group sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for _, device := range devices {
		group.Go(func() {
			for j := range jobs {
				r, err := f.finish(ctx, j, g, device)
				if err != nil {
					cancel(errors.Wrapf(err, "run %s", j.name()))
					continue
				}
				mu.Lock()
				done++
				if f.Done != nil {
					f.Done(r, done, len(g.jobs))
				}
				mu.Unlock()
			}
		})
	}
	for _, j := range g.jobs {
		select {
		case jobs <- j:
		case <-ctx.Done():
		}
	}
	close(jobs)
	group.Wait()
	return context.Cause(ctx)
}

// devices opens a device for every worker, of which each is nil on the CPU, and
// returns what closes those that it opened, also with an error.
func (f Folder) devices() (all []xlstm.Device, closeAll func(), err error) {
	var opened []func()
	closeAll = func() {
		for _, closeDevice := range opened {
			closeDevice()
		}
	}
	for range max(1, f.Workers) {
		device, closeDevice, err := f.open()
		if err != nil {
			return nil, closeAll, err
		}
		all, opened = append(all, device), append(opened, closeDevice)
	}
	return all, closeAll, nil
}

// open opens a device, nil for the CPU.
func (f Folder) open() (xlstm.Device, func(), error) {
	if f.Open == nil {
		return nil, func() {}, nil
	}
	return f.Open()
}

// finish returns the result of a run, which it does if it is not done.
func (f Folder) finish(ctx context.Context, j job, g Grid, device xlstm.Device) (Result, error) {
	r, err := f.read(j)
	if err == nil { // the process may have been killed before it removed it
		return r, files.RemoveDir(f.place(j.name()))
	}
	if !errors.Is(err, os.ErrNotExist) || ctx.Err() != nil {
		return r, err
	}
	if f.Child == nil {
		return f.do(ctx, g, j, device)
	}
	cmd, err := f.Child(ctx, j.name())
	if err != nil {
		return r, err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		return r, errors.Errorf("%s: %s", err, strings.TrimSpace(said.String()))
	}
	return f.read(j)
}

// read returns the result of a run that is done, and an error if it is that of
// other settings.
func (f Folder) read(j job) (r Result, err error) {
	path := f.result(j.name())
	if _, err := os.Stat(path); err != nil {
		return r, err
	}
	if err := readJSON(path, &r); err != nil {
		return r, err
	}
	if !bytes.Equal(r.Settings, j.settings) {
		return r, errors.Errorf("%s is the result of other settings; remove it, or choose another folder", path)
	}
	if _, err := os.Stat(f.machine(j.name())); err == nil {
		return r, readJSON(f.machine(j.name()), &r.Measured)
	}
	return r, nil
}

// Do does the run of that name in this process, from its checkpoint if there is
// one, and writes its result.
func (f Folder) Do(ctx context.Context, g Grid, run string) (Result, error) {
	j, err := g.job(run)
	if err != nil {
		return Result{}, err
	}
	device, closeDevice, err := f.open()
	if err != nil {
		return Result{}, err
	}
	defer closeDevice()
	return f.do(ctx, g, j, device)
}

// do does a run on a device.
func (f Folder) do(ctx context.Context, g Grid, j job, device xlstm.Device) (Result, error) {
	run := j.name()
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return Result{}, errors.Wrap(err, "making the experiment's folder")
	}
	lock := filepath.Join(f.Dir, "."+run+".lock")
	unlock, err := files.AwaitLock(ctx, lock) // a child of a parent that was killed may still write its checkpoint
	if err != nil {
		return Result{}, errors.Wrapf(err, "the run %s", run)
	}
	defer os.Remove(lock)
	defer unlock()
	out, err := j.Settings.do(ctx, site{f.place(run), device})
	if err != nil {
		return Result{}, err
	}
	r := Result{Experiment: g.Experiment.Name, Setting: string(g.Setting), Name: run, Group: j.Group, Seed: j.seed, Labels: j.Labels, Settings: j.settings, Outcome: *out}
	if len(r.Measured) > 0 {
		if err := writeJSON(f.machine(run), r.Measured); err != nil {
			return r, err
		}
	}
	if err := writeJSON(f.result(run), r); err != nil {
		return r, err
	}
	return r, files.RemoveDir(f.place(run))
}

// WriteResults writes the results of an experiment, one a line.
func WriteResults(path string, all []Result) error {
	var text bytes.Buffer
	for i, r := range all {
		line, err := json.Marshal(r)
		if err != nil {
			return errors.Wrapf(err, "writing the result of %s", r.Name)
		}
		text.WriteString([]string{"[", ",\n"}[min(i, 1)])
		text.Write(line)
	}
	text.WriteString("]\n")
	return writeFile(path, text.Bytes())
}
