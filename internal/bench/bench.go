package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/machine"
	"github.com/pkg/errors"
)

// Bench configures measurements.
type Bench struct {
	Seconds float64 // the time for which the steps of a workload are measured
	// Child returns the command of a process that calls Here for the workload of
	// this name and writes the measurement to its standard output, as JSON.
	Child func(ctx context.Context, workload string) (*exec.Cmd, error)
	// Device runs the workloads of Here; nil means the CPU. Precision is that of
	// its products.
	Device    xlstm.Device
	Precision string
}

// Measure measures a workload in a separate process, so that the memory of the
// process is that of the workload. The error of a process that fails is its
// output to standard error.
func (b Bench) Measure(ctx context.Context, w Workload) (Measurement, error) {
	if w.Name == StartName {
		return b.start(ctx, w)
	}
	m, _, err := b.child(ctx, w)
	return m, err
}

// child has a workload measured by a process of its own. took is the time from its
// start to its report.
func (b Bench) child(ctx context.Context, w Workload) (m Measurement, took time.Duration, err error) {
	cmd, err := b.Child(ctx, w.Name)
	if err != nil {
		return m, 0, err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return m, 0, errors.Wrap(err, "connecting to a process")
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return m, 0, errors.Wrap(err, "starting a process")
	}
	unread := json.NewDecoder(out).Decode(&m)
	took = time.Since(began)
	if err := cmd.Wait(); err != nil {
		if said.Len() > 0 {
			err = errors.New(strings.TrimSpace(said.String()))
		}
		return m, 0, err
	}
	return m, took, errors.Wrap(unread, "reading the measurement")
}

// start has children take a first step, again and again, and times each until it
// reports. The first is for the system to read the program from its disk.
func (b Bench) start(ctx context.Context, w Workload) (m Measurement, err error) {
	before, known := machine.ReadLoad()
	timed, err := timeSteps(ctx, b.Seconds, func() (time.Duration, error) {
		var took time.Duration
		m, took, err = b.child(ctx, w)
		return took, err
	})
	if err != nil {
		return m, err
	}
	if known {
		m.OtherCores = before.Others()
	}
	m.Seconds, m.SecondsQuartiles = rounded(timed.quantile(0.5)), &[2]float64{rounded(timed.quantile(0.25)), rounded(timed.quantile(0.75))}
	m.Steps, m.WarmUp = len(timed.times), timed.warmUp
	return m, nil
}

// Here measures a workload in this process. For StartName it only takes the
// first step, which the waiting process times. Here returns an error, before
// the first step, if the workload needs more memory than is free.
func (b Bench) Here(ctx context.Context, w Workload) (m Measurement, err error) {
	task, err := b.prepare(w)
	if err != nil {
		return m, err
	}
	defer task.Close()
	if free, known := machine.FreeMemory(); known && b.Device == nil && task.Bytes > free {
		return m, errors.Errorf("%s needs %.3g GB of memory, and %.3g GB are free; measure a shorter one", w.Name, float64(task.Bytes)/1e9, float64(free)/1e9)
	}
	if w.Name != StartName {
		return b.measure(ctx, w, task)
	}
	err = task.Step()
	return b.describe(w), err
}

// prepare makes a workload ready on the device, if there is one.
func (b Bench) prepare(w Workload) (*Task, error) {
	if b.Device == nil {
		return w.Prepare()
	}
	if w.On == nil {
		return nil, errors.Errorf("%s is measured on the CPU only", w.Name)
	}
	return w.On(b.Device)
}
