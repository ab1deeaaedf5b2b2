// Package tensorboard writes event files that TensorBoard reads: numbers and
// texts by training step.
//
// An event file is a sequence of records, each a protocol buffer of
// TensorFlow's message Event. Only the fields that these files need are
// encoded.
package tensorboard

import (
	"io"
	"time"

	"github.com/pkg/errors"
)

// Writer writes events, each with one call to Write, so that a process that is
// killed leaves at most one incomplete event.
type Writer struct{ w io.Writer }

// NewWriter starts an event file at the given time and returns its writer. It
// instructs TensorBoard to discard the events of other files in the folder for
// the given step and later ones, because a resumed run repeats those steps.
func NewWriter(w io.Writer, at time.Time, step int) (*Writer, error) {
	out := &Writer{w}
	version := message{}.text(eventFileVersion, "brain.Event:2")
	if err := out.event(at, 0, version); err != nil {
		return nil, err
	}
	return out, out.event(at, step, message{}.message(eventSessionLog, message{}.varint(sessionStatus, sessionStart)))
}

// Scalar is a named number; slashes in names form groups.
type Scalar struct {
	Tag   string
	Value float64 // kept in float32
}

// Scalars writes numbers of a step.
func (w *Writer) Scalars(at time.Time, step int, values []Scalar) error {
	var summary message
	for _, v := range values {
		summary = summary.message(summaryValue, message{}.text(valueTag, v.Tag).float(valueSimple, float32(v.Value)))
	}
	return w.event(at, step, message{}.message(eventSummary, summary))
}

// Text writes a text of a step, in Markdown.
func (w *Writer) Text(at time.Time, step int, tag, markdown string) error {
	plugin := message{}.message(metadataPlugin, message{}.text(pluginName, "text")).varint(metadataDataClass, dataClassTensor)
	shape := message{}.message(shapeDim, message{}.varint(dimSize, 1))
	tensor := message{}.varint(tensorType, typeString).message(tensorShape, shape).text(tensorString, markdown)
	value := message{}.text(valueTag, tag).message(valueTensor, tensor).message(valueMetadata, plugin)
	return w.event(at, step, message{}.message(eventSummary, message{}.message(summaryValue, value)))
}

// event writes an event with the given content.
func (w *Writer) event(at time.Time, step int, content message) error {
	seconds := float64(at.UnixNano()) / 1e9
	event := append(message{}.double(eventWallTime, seconds).varint(eventStep, uint64(step)), content...)
	_, err := w.w.Write(frame(event))
	return errors.Wrap(err, "writing a TensorBoard event")
}
