package data

import (
	"fmt"
	"math/rand/v2"

	"github.com/pkg/errors"
)

// Task is a synthetic task: sequences drawn at random, with an answer to
// predict at some of their positions. A [Language], [Recall] and [Needle] are
// tasks; [TaskBatches] makes batches of them.
type Task interface {
	// String identifies the task and all its parameters.
	String() string
	// Vocab returns the number of token ids, of inputs and answers.
	Vocab() int
	// Width returns the number of inputs of a sequence, including padding.
	Width() int
	// Answers returns the number of possible answers: guessing has an accuracy
	// of one over it.
	Answers() int
	// check returns an error for parameters that no sequence satisfies.
	check() error
	// draw fills a row of Width inputs, which are 0, and targets, which are
	// Ignore.
	draw(src *rand.PCG, inputs, targets []int)
}

// TaskBatches is a [Batcher] whose rows are sequences of a task, drawn
// independently. Every batch is fresh.
type TaskBatches struct {
	task  Task
	batch Batch
	drawing
}

// NewTaskBatches returns batches of b sequences of a task. They depend only on
// the arguments. It returns an error if b is less than 1, if a batch would be
// unreasonably large, or if the task's parameters are invalid.
func NewTaskBatches(task Task, b int, seed uint64) (*TaskBatches, error) {
	if err := task.check(); err != nil {
		return nil, err
	}
	if err := checkShape(b, task.Width(), task.Width()+1); err != nil {
		return nil, errors.Wrapf(err, "%s", task)
	}
	return &TaskBatches{
		task: task, batch: newBatch(b, task.Width()),
		drawing: drawing{newSource(seed), fmt.Sprintf("%d rows of %s\n", b, task), "the batches of a task"},
	}, nil
}

// Next returns b newly drawn sequences.
func (t *TaskBatches) Next() Batch {
	clear(t.batch.Inputs)
	for i := range t.batch.Targets {
		t.batch.Targets[i] = Ignore
	}
	for row := range t.batch.B {
		from, to := row*t.batch.T, (row+1)*t.batch.T
		t.task.draw(t.src, t.batch.Inputs[from:to], t.batch.Targets[from:to])
	}
	t.batch.Fresh = true
	return t.batch
}

// between returns a random number from low to high, both included.
func between(src *rand.PCG, low, high int) int { return low + below(src, high-low+1) }

// uniform returns a random number of the open interval from 0 to 1.
func uniform(src *rand.PCG) float64 { return (float64(src.Uint64()>>12) + 0.5) / (1 << 52) }
