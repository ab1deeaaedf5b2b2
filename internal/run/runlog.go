package run

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Record describes a step, as one line of log.jsonl. JSON cannot represent
// numbers that are not finite; such a number is written as the string "NaN",
// "+Inf" or "-Inf".
type Record struct {
	Step            int
	Tokens          int64 // seen so far
	Loss            float64
	Smoothed        float64 // the smoothed loss
	GradNorm        float64
	LR              float64
	Seconds         float64 // spent training so far
	TokensPerSecond float64
	Bits            float64  // bits per byte of Loss; 0 in logs without it
	Val             *float64 // held-out loss, if it was measured after this step
	ValBits         *float64 // bits per byte of Val
	Skipped         string   // why the step was not applied
}

// line is a record as it is written.
type line struct {
	Step            int     `json:"step"`
	Tokens          int64   `json:"tokens"`
	Loss            Number  `json:"loss"`
	Smoothed        Number  `json:"smoothed"`
	GradNorm        Number  `json:"grad_norm"`
	LR              Number  `json:"lr"`
	Seconds         Number  `json:"seconds"`
	TokensPerSecond Number  `json:"tokens_per_second"`
	Bits            Number  `json:"bits_per_byte,omitempty"`
	Val             *Number `json:"val,omitempty"`
	ValBits         *Number `json:"val_bits_per_byte,omitempty"`
	Skipped         string  `json:"skipped,omitempty"`
}

// MarshalJSON writes the record as an object on one line.
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(line{
		Step: r.Step, Tokens: r.Tokens,
		Loss: Number(r.Loss), Smoothed: Number(r.Smoothed), GradNorm: Number(r.GradNorm), LR: Number(r.LR),
		Seconds: Number(r.Seconds), TokensPerSecond: Number(r.TokensPerSecond),
		Bits: Number(r.Bits), Val: (*Number)(r.Val), ValBits: (*Number)(r.ValBits), Skipped: r.Skipped,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Record) UnmarshalJSON(data []byte) error {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	*r = Record{
		Step: l.Step, Tokens: l.Tokens,
		Loss: float64(l.Loss), Smoothed: float64(l.Smoothed), GradNorm: float64(l.GradNorm), LR: float64(l.LR),
		Seconds: float64(l.Seconds), TokensPerSecond: float64(l.TokensPerSecond),
		Bits: float64(l.Bits), Val: (*float64)(l.Val), ValBits: (*float64)(l.ValBits), Skipped: l.Skipped,
	}
	return nil
}

// Number is a float64 of which JSON can represent every value.
type Number float64

// MarshalJSON writes a number that is not finite as a string.
func (n Number) MarshalJSON() ([]byte, error) {
	if !numbers.Finite(float64(n)) {
		return json.Marshal(strconv.FormatFloat(float64(n), 'g', -1, 64))
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(data, `"`)), 64)
	*n = Number(f)
	return err
}

// sumKey is what a line of a log ends with: the CRC-32C, in hexadecimal digits, of
// all that stands before it.
const sumKey = `,"crc":"`

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeLine returns a record as a line of the log with its checksum.
func encodeLine(r Record) ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, errors.Wrapf(err, "encoding the record of step %d", r.Step)
	}
	data = data[:len(data)-1] // the closing brace
	return fmt.Appendf(data, "%s%08x\"}\n", sumKey, crc32.Checksum(data, castagnoli)), nil
}

// decodeLine reads a line without its end. A line of earlier versions has no
// checksum.
func decodeLine(raw []byte) (r Record, err error) {
	if at := len(raw) - len(sumKey) - len(`01234567"}`); at >= 0 && bytes.HasPrefix(raw[at:], []byte(sumKey)) {
		if fmt.Sprintf("%08x\"}", crc32.Checksum(raw[:at], castagnoli)) != string(raw[at+len(sumKey):]) {
			return r, errors.New("the line is not what its checksum says was written")
		}
	}
	err = json.Unmarshal(raw, &r)
	return r, err
}

// LogFlaws describes the damage to a log.
type LogFlaws struct {
	damaged int // lines that are no records, or out of order
	first   int // step of the first gap, 0 if there is none
	missing int // steps in gaps
	last    int // step of the last record
}

// flaw says what is wrong with the log of a run that has come to a step, empty if
// nothing is.
func (f LogFlaws) flaw(after int) string {
	missing, first := f.missing, f.first
	if f.last < after {
		missing += after - f.last
		first = cmp.Or(first, f.last+1)
	}
	var parts []string
	if f.damaged > 0 {
		parts = append(parts, "has "+numbers.Count(f.damaged, "damaged line"))
	}
	if missing > 0 {
		parts = append(parts, fmt.Sprintf("lacks %s, the first of them %d", numbers.Count(missing, "step"), first))
	}
	return strings.Join(parts, " and ")
}

// maxLine is the length of a line of a log that is read, in bytes; a longer one is
// damaged.
const maxLine = 1 << 16

// scanLog calls f with the records of a log, by ascending step, and the lines
// that they were read from, which are f's until it returns. Damaged lines are
// passed over and counted; a last line that a killed process left unfinished is
// not even counted.
func scanLog(path string, f func(r Record, raw []byte) error) (found LogFlaws, err error) {
	file, _, err := files.Open(path, files.AnySize)
	if err != nil {
		return found, errors.Wrap(err, "reading the log")
	}
	defer file.Close()
	for in := bufio.NewReaderSize(file, maxLine); ; {
		raw, err := in.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return found, errors.Wrap(err, "reading the log")
		}
		torn := err == io.EOF
		if len(raw) > 0 {
			raw = bytes.TrimSuffix(raw, []byte("\n"))
			r, bad := decodeLine(raw)
			switch {
			case bad == nil && !long && r.Step > found.last:
				found.note(r.Step)
				if err := f(r, raw); err != nil {
					return found, err
				}
			case !torn:
				found.damaged++
			}
		}
		if torn {
			return found, nil
		}
	}
}

// note takes the next record's step down.
func (f *LogFlaws) note(step int) {
	if gap := step - f.last - 1; gap > 0 {
		f.missing += gap
		f.first = cmp.Or(f.first, f.last+1)
	}
	f.last = step
}

// ReadLog returns the records of a log that scanLog finds.
func ReadLog(path string) (records []Record, found LogFlaws, err error) {
	found, err = scanLog(path, func(r Record, _ []byte) error {
		records = append(records, r)
		return nil
	})
	return records, found, err
}

// runLog appends the records of a run to a file, one JSON object a line.
type runLog struct{ file *os.File }

// openLog opens the log of a run to append to it.
func openLog(path string) (*runLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, errors.Wrap(err, "opening the log")
	}
	return &runLog{f}, nil
}

// cutLog prepares the log of a run that continues after the given step, 0 for
// one that begins. What the log says about later steps is dropped, and so are
// damaged lines and an unfinished last line: the run writes those steps again,
// so that its log becomes that of a run that was never stopped. see gets every
// record that stays, and what is returned tells of the flaws up to the step.
func cutLog(path string, after int, see func(Record)) (found LogFlaws, err error) {
	size := int64(0) // of what stays
	all, err := scanLog(path, func(r Record, raw []byte) error {
		if r.Step <= after {
			found.note(r.Step)
			size += int64(len(raw)) + 1
			see(r)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return found, nil
	}
	found.damaged = all.damaged
	if err != nil {
		return found, err
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() == size {
		return found, errors.Wrap(err, "reading the log")
	}
	return found, errors.Wrapf(files.WriteFile(path, func(w io.Writer) error {
		_, err := scanLog(path, func(r Record, raw []byte) error {
			if r.Step > after {
				return nil
			}
			_, err := w.Write(append(raw, '\n'))
			return err
		})
		return err
	}), "cutting the log after step %d", after)
}

// write appends a record. It is one write to the operating system, so that a
// process that dies later loses nothing.
func (l *runLog) write(r Record) error {
	data, err := encodeLine(r)
	if err != nil {
		return err
	}
	_, err = l.file.Write(data)
	return errors.Wrapf(err, "writing step %d to the log", r.Step)
}

// sync brings the log to the disk.
func (l *runLog) sync() error {
	return errors.Wrap(l.file.Sync(), "bringing the log to the disk")
}

func (l *runLog) close() error {
	return errors.Wrap(l.file.Close(), "closing the log")
}

// smoother is an exponential moving average of the losses s̃ = 0.95 s̃ + 0.05 x
// with the bias of its start at zero divided out, s = s̃ / (1 − 0.95ᵗ). It is
// kept in the equivalent form s += w (x − s), w = 0.05 / (1 − 0.95ᵗ), which
// needs no more than a record holds: a run that continues after a step begins
// with that step and its average, and has the same averages to the bit. A loss
// that is not finite leaves it as it is.
type smoother struct {
	step  int
	value float64 // NaN before the first finite loss
}

// add takes the next step's loss and returns the average.
func (s *smoother) add(loss float64) float64 {
	const decay = 0.95
	s.step++
	switch {
	case !numbers.Finite(loss):
	case !numbers.Finite(s.value):
		s.value = loss
	default:
		s.value += (1 - decay) / (1 - math.Pow(decay, float64(s.step))) * (loss - s.value)
	}
	return s.value
}
