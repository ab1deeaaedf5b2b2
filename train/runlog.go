package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// record is what is known after a step, and one line of log.jsonl. JSON has no
// word for a number that is not finite; it is written as the string "NaN",
// "+Inf" or "-Inf".
type record struct {
	Step            int
	Tokens          int64 // seen so far
	Loss            float64
	Smoothed        float64 // the losses so far, averaged by a smoother
	GradNorm        float64
	LR              float64
	Seconds         float64 // spent training so far
	TokensPerSecond float64
	Bits            float64  // bits per byte of Loss; 0 in logs that do not tell
	Val             *float64 // held-out loss, if it was measured after this step
	ValBits         *float64 // bits per byte of Val
	Skipped         string   // why the step was not applied
}

// line is a record as it is written.
type line struct {
	Step            int     `json:"step"`
	Tokens          int64   `json:"tokens"`
	Loss            number  `json:"loss"`
	Smoothed        number  `json:"smoothed"`
	GradNorm        number  `json:"grad_norm"`
	LR              number  `json:"lr"`
	Seconds         number  `json:"seconds"`
	TokensPerSecond number  `json:"tokens_per_second"`
	Bits            number  `json:"bits_per_byte,omitempty"`
	Val             *number `json:"val,omitempty"`
	ValBits         *number `json:"val_bits_per_byte,omitempty"`
	Skipped         string  `json:"skipped,omitempty"`
}

// MarshalJSON writes the record as an object on one line.
func (r record) MarshalJSON() ([]byte, error) {
	return json.Marshal(line{
		Step: r.Step, Tokens: r.Tokens,
		Loss: number(r.Loss), Smoothed: number(r.Smoothed), GradNorm: number(r.GradNorm), LR: number(r.LR),
		Seconds: number(r.Seconds), TokensPerSecond: number(r.TokensPerSecond),
		Bits: number(r.Bits), Val: (*number)(r.Val), ValBits: (*number)(r.ValBits), Skipped: r.Skipped,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *record) UnmarshalJSON(data []byte) error {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	*r = record{
		Step: l.Step, Tokens: l.Tokens,
		Loss: float64(l.Loss), Smoothed: float64(l.Smoothed), GradNorm: float64(l.GradNorm), LR: float64(l.LR),
		Seconds: float64(l.Seconds), TokensPerSecond: float64(l.TokensPerSecond),
		Bits: float64(l.Bits), Val: (*float64)(l.Val), ValBits: (*float64)(l.ValBits), Skipped: l.Skipped,
	}
	return nil
}

// number is a float64 that JSON can hold whatever its value.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return json.Marshal(strconv.FormatFloat(float64(n), 'g', -1, 64))
	}
	return json.Marshal(float64(n))
}

func (n *number) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(data, `"`)), 64)
	*n = number(f)
	return err
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// readLog returns the records of a log. A last line that a killed process left
// unfinished is passed over; any other line that is no record is an error.
func readLog(path string) ([]record, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Wrap(err, "reading the log")
	}
	var records []record
	err = eachRecord(data, func(r record, _ []byte) { records = append(records, r) })
	return records, errors.Wrapf(err, "reading the log %s", path)
}

// eachRecord calls f with every record of a log and the bytes it was read from.
func eachRecord(log []byte, f func(r record, raw []byte)) error {
	for n := 1; len(log) > 0; n++ {
		raw, rest, ended := bytes.Cut(log, []byte("\n"))
		var r record
		switch err := json.Unmarshal(raw, &r); {
		case err == nil:
			f(r, raw)
		case ended:
			return errors.Wrapf(err, "line %d is not a record", n)
		}
		log = rest
	}
	return nil
}

// runLog appends the records of a run to a file, one JSON object a line.
type runLog struct{ file *os.File }

// openLog opens the log of a run that goes on after the given step, 0 for one
// that begins. What the log says about later steps is dropped first, and so is
// an unfinished last line: the run writes those steps again, so that its log
// becomes that of a run that was never stopped.
func openLog(path string, after int) (*runLog, error) {
	if err := cutLog(path, after); err != nil {
		return nil, errors.Wrapf(err, "cutting the log after step %d", after)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, errors.Wrap(err, "opening the log")
	}
	return &runLog{f}, nil
}

// cutLog drops the steps after the given one from a log, if there is one.
func cutLog(path string, after int) error {
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	err = eachRecord(old, func(r record, raw []byte) {
		if r.Step <= after {
			kept.Write(raw)
			kept.WriteByte('\n')
		}
	})
	if err != nil || bytes.Equal(kept.Bytes(), old) {
		return errors.Wrap(err, path)
	}
	return files.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(kept.Bytes())
		return err
	})
}

// write appends a record. It is one write to the operating system, so that a
// process that dies later loses nothing.
func (l *runLog) write(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return errors.Wrapf(err, "encoding the record of step %d", r.Step)
	}
	_, err = l.file.Write(append(data, '\n'))
	return errors.Wrapf(err, "writing step %d to the log", r.Step)
}

func (l *runLog) close() error {
	return errors.Wrap(l.file.Close(), "closing the log")
}

// smoother is an exponential moving average of the losses s̃ = 0.95 s̃ + 0.05 x
// with the bias of its start at zero divided out, s = s̃ / (1 − 0.95ᵗ). It is
// kept in the equivalent form s += w (x − s), w = 0.05 / (1 − 0.95ᵗ), which needs
// no more than a record holds. A loss that is not finite leaves it as it is.
type smoother struct {
	step  int
	value float64 // NaN before the first finite loss
}

// newSmoother returns a smoother for a run that goes on after the given
// records, the same to the bit as if it had seen all their losses.
func newSmoother(records []record) *smoother {
	if len(records) == 0 {
		return &smoother{value: math.NaN()}
	}
	last := records[len(records)-1]
	return &smoother{last.Step, last.Smoothed}
}

// add takes the next step's loss and returns the average.
func (s *smoother) add(loss float64) float64 {
	const decay = 0.95
	s.step++
	switch {
	case !finite(loss):
	case !finite(s.value):
		s.value = loss
	default:
		s.value += (1 - decay) / (1 - math.Pow(decay, float64(s.step))) * (loss - s.value)
	}
	return s.value
}
