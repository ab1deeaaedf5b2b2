package run

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/tensorboard"
	"github.com/pkg/errors"
)

// eventLog writes a run for TensorBoard.
type eventLog struct {
	file *os.File
	w    *tensorboard.Writer
}

// openEvents starts an event file for a run that continues after a step, in a
// folder of its own within parent, so that parent can hold many runs.
func openEvents(parent, name string, s Settings, after int) (*eventLog, error) {
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errors.Wrap(err, "making a folder for TensorBoard")
	}
	now := time.Now()
	path := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.%d.step-%d", now.Unix(), os.Getpid(), after))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, errors.Wrap(err, "opening an event file")
	}
	w, err := beginEvents(f, now, s, after)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &eventLog{f, w}, nil
}

// openEvents begins an event file of the run, if it is to have one.
func (r *Session) openEvents(parent string) error {
	if parent == "" {
		return nil
	}
	name, err := runName(r.dir)
	if err != nil {
		return err
	}
	r.events, err = openEvents(parent, name, r.s, r.trainer.Steps())
	return err
}

// beginEvents writes the beginning of an event file.
func beginEvents(w io.Writer, at time.Time, s Settings, after int) (*tensorboard.Writer, error) {
	// Its events about steps from here on count, and none of older files.
	first := after + 1
	if after == 0 {
		first = 0
	}
	out, err := tensorboard.NewWriter(w, at, first)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, errors.Wrap(err, "writing the settings for TensorBoard")
	}
	return out, out.Text(at, after, "settings", verbatim(string(text)))
}

// scalars returns what TensorBoard shows of a record.
func scalars(r Record) []tensorboard.Scalar {
	all := []tensorboard.Scalar{
		{Tag: "loss/train", Value: r.Loss}, {Tag: "loss/train_smoothed", Value: r.Smoothed},
		{Tag: "learning_rate", Value: r.LR}, {Tag: "gradient_norm", Value: r.GradNorm}, {Tag: "tokens_per_second", Value: r.TokensPerSecond},
	}
	if r.Val != nil {
		all = append(all, tensorboard.Scalar{Tag: "loss/held_out", Value: *r.Val})
	}
	return all
}

// verbatim returns a text as Markdown that shows it as it is.
func verbatim(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}

// step writes the record of a step.
func (e *eventLog) step(r Record) error { return e.w.Scalars(time.Now(), r.Step, scalars(r)) }

// sample writes what the model wrote after a step.
func (e *eventLog) sample(step int, text string) error {
	return e.w.Text(time.Now(), step, "sample", verbatim(Visible(text)))
}

// WriteEvents writes the run as one event file below parent and returns its
// name. The same run gives the same file.
func (v View) WriteEvents(parent string) (string, error) {
	dir := filepath.Join(parent, v.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", errors.Wrap(err, "making a folder for TensorBoard")
	}
	began := v.began()
	path := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.report", began.Unix()))
	return path, files.WriteFile(path, func(f io.Writer) error {
		w, err := beginEvents(f, began, v.Settings, 0)
		if err != nil {
			return err
		}
		samples := v.Samples
		for _, r := range v.Records {
			at := began.Add(time.Duration(r.Seconds * float64(time.Second)))
			if err := w.Scalars(at, r.Step, scalars(r)); err != nil {
				return err
			}
			for ; len(samples) > 0 && samples[0].Step <= r.Step; samples = samples[1:] {
				if err := w.Text(at, samples[0].Step, "sample", verbatim(samples[0].Text)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// began returns the time at which the run began, or a fixed time if it was not
// recorded.
func (v View) began() time.Time {
	if len(v.About.Starts) == 0 {
		return time.Unix(0, 0)
	}
	return v.About.Starts[0].Time
}
