package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/workloads"
	"github.com/pkg/errors"
)

// child has a workload measured by a process of its own, whose memory is that of
// the workload alone. took is the time from its start to its report.
func (b bench) child(ctx context.Context, w workloads.Workload) (m measurement, took time.Duration, err error) {
	program, err := os.Executable()
	if err != nil {
		return m, 0, errors.Wrap(err, "finding this program")
	}
	cmd := exec.CommandContext(ctx, program, "bench", "-child",
		"-seconds", strconv.FormatFloat(b.seconds, 'g', -1, 64), "-threads", strconv.Itoa(b.threads), w.Name)
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
			err = errors.New(strings.TrimPrefix(strings.TrimSpace(said.String()), fileName()+": "))
		}
		return m, 0, err
	}
	return m, took, errors.Wrap(unread, "reading the measurement")
}

// start has children take a first step, again and again, and times each until it
// reports. The first is for the system to read the program from its disk.
func (b bench) start(ctx context.Context, w workloads.Workload) (m measurement, err error) {
	before, known := readLoad()
	timed, err := timeSteps(ctx, b.seconds, func() (time.Duration, error) {
		var took time.Duration
		m, took, err = b.child(ctx, w)
		return took, err
	})
	if err != nil {
		return m, err
	}
	if known {
		m.OtherCores = before.others()
	}
	m.Seconds, m.SecondsQuartiles = rounded(timed.quantile(0.5)), &[2]float64{rounded(timed.quantile(0.25)), rounded(timed.quantile(0.75))}
	m.Steps, m.WarmUp = len(timed.times), timed.warmUp
	return m, nil
}

// here measures a workload in this process and reports it.
func (b bench) here(ctx context.Context, w workloads.Workload) error {
	task, err := w.Prepare()
	if err != nil {
		return err
	}
	defer task.Close()
	if free, known := freeMemory(); known && task.Bytes > free {
		return errors.Errorf("%s needs %.3g GB of memory, and %.3g GB are free; measure a shorter one", w.Name, float64(task.Bytes)/1e9, float64(free)/1e9)
	}
	var m measurement
	if w.Name == startName {
		err = task.Step()
		m = describe(w)
	} else {
		m, err = b.measure(ctx, w, task)
	}
	if err != nil {
		return err
	}
	return errors.Wrap(json.NewEncoder(b.out).Encode(m), "printing a measurement")
}
