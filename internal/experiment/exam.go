package experiment

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Exam measures the accuracy of a model on a task that is not trained on, or
// its loss on a text.
type Exam struct {
	Name string `json:"name"`
	Source
	Batch   int    `json:"batch"`
	Batches int    `json:"batches"`
	Seed    uint64 `json:"seed"`
	// Last holds the exam at the end only, which then gives a figure, and
	// ByPosition also a curve of the accuracy over the positions of the answers.
	Last       bool `json:"last,omitempty"`
	ByPosition bool `json:"by_position,omitempty"`
}

// examination is an exam of a model.
type examination struct {
	Exam
	vocab   int
	program *xlstm.Program
}

func (e Exam) prepare(m *xlstm.Model) (*examination, error) {
	p, err := m.Compile(xlstm.ProgramConfig{Batch: e.Batch, Steps: e.width(), Loss: true})
	return &examination{e, m.Config().VocabSize, p}, err
}

func (e *examination) close() { e.program.Close() }

// marks are what a model got right, by the position of the answer.
type marks struct {
	right, asked []int
	nats         float64 // of all answers
}

// accuracy returns the share of right answers from one position up to another.
func (m marks) accuracy(from, to int) float64 {
	right, asked := 0, 0
	for i := from; i < min(to, len(m.asked)); i++ {
		right, asked = right+m.right[i], asked+m.asked[i]
	}
	return float64(right) / float64(asked)
}

// answers returns the number of answers from one position up to another.
func (m marks) answers(from, to int) (n int) {
	for _, asked := range m.asked[from:min(to, len(m.asked))] {
		n += asked
	}
	return n
}

// mark examines the model. Batches are drawn anew, the same in every exam.
func (e *examination) mark() (marks, error) {
	m := marks{right: make([]int, e.width()), asked: make([]int, e.width())}
	batches, err := e.batches(e.Batch, e.Seed)
	if err != nil {
		return m, err
	}
	for range e.Batches {
		b := batches.Next()
		if err := e.program.Run(xlstm.Input{Tokens: b.Inputs, Targets: b.Targets}); err != nil {
			return m, err
		}
		loss, err := e.program.Loss()
		if err != nil {
			return m, err
		}
		m.nats += loss * float64(b.Counted())
		logits, err := e.program.Logits()
		if err != nil {
			return m, err
		}
		values, ok := logits.Data().([]float32)
		if !ok {
			return m, errors.Errorf("the logits of %s are of %v", e.Name, logits.Dtype())
		}
		m.add(b, values, e.vocab)
	}
	return m, nil
}

// add marks the answers of a batch.
func (m *marks) add(b data.Batch, logits []float32, vocab int) {
	for i, target := range b.Targets {
		if target == data.Ignore {
			continue
		}
		m.asked[i%b.T]++
		if largest(logits[i*vocab:][:vocab]) == target {
			m.right[i%b.T]++
		}
	}
}

// largest returns the index of the largest number.
func largest(x []float32) (at int) {
	for i, v := range x {
		if v > x[at] {
			at = i
		}
	}
	return at
}

// hold examines the model and notes the results: a text's loss, or a task's
// accuracy, scaled so that 0 is guessing and 1 is perfect.
func (e *examination) hold(out *Outcome, step int, last bool) error {
	if e.Last && !last {
		return nil
	}
	m, err := e.mark()
	if err != nil {
		return err
	}
	asked := m.answers(0, len(m.asked))
	result := m.nats / float64(asked)
	if e.Text == nil {
		result = e.scaled(m.accuracy(0, len(m.asked)))
	}
	if math.IsNaN(result) {
		return errors.Errorf("%s has no result at step %d: a number is not finite", e.Name, step)
	}
	if !e.Last {
		out.add(e.Name, step, result)
	}
	if !last {
		return nil
	}
	out.set(e.Name, result)
	switch {
	case e.Needle != nil && e.ByPosition:
		for _, d := range e.Needle.At {
			out.add(e.Name+", by distance", d, e.scaled(m.accuracy(d+1, d+2)))
		}
	case e.ByPosition:
		e.byPosition(out, m)
	}
	return nil
}

// scaled maps the accuracy of guessing to 0 and 1 to itself, as the paper does.
func (e *examination) scaled(accuracy float64) float64 {
	chance := 1 / float64(e.task().Answers())
	return (accuracy - chance) / (1 - chance)
}

// positions is the number of points of a curve over positions.
const positions = 32

// byPosition notes the accuracy over the length of what was read, in even
// pieces.
func (e *examination) byPosition(out *Outcome, m marks) {
	piece := max(1, (len(m.asked)+positions-1)/positions)
	for from := 0; from < len(m.asked); from += piece {
		to := min(from+piece, len(m.asked))
		if m.answers(from, to) > 0 {
			out.add(fmt.Sprintf("%s, by length", e.Name), to, e.scaled(m.accuracy(from, to)))
		}
	}
}
