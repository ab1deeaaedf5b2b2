package experiment

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

// Training is a model that learns a task, and how it is examined.
type Training struct {
	Model xlstm.Config `json:"model"`
	Seed  uint64       `json:"seed"` // of the parameters; batches are drawn with it too
	// Lessons follow each other: the same model and solver, another task.
	Lessons     []Lesson `json:"lessons"`
	Batch       int      `json:"batch"`
	LR          float64  `json:"lr"`
	MinLR       float64  `json:"min_lr"`
	Warmup      int      `json:"warmup"`
	Beta2       float64  `json:"beta2"`
	WeightDecay float64  `json:"weight_decay"`
	Clip        float64  `json:"clip"`
	// Every is the number of steps between examinations; there is one at the end.
	Every int    `json:"every"`
	Exams []Exam `json:"exams"`
}

// Lesson is a task and the number of steps on it.
type Lesson struct {
	Source
	Steps int `json:"steps"`
}

// Source is where batches come from: one of its fields is not nil.
type Source struct {
	Language *data.Language `json:"language,omitempty"`
	Recall   *data.Recall   `json:"recall,omitempty"`
	Needle   *data.Needle   `json:"needle,omitempty"`
	Text     *Text          `json:"text,omitempty"`
}

// task returns the source's task, nil for a text.
func (s Source) task() data.Task {
	switch {
	case s.Language != nil:
		return *s.Language
	case s.Recall != nil:
		return *s.Recall
	case s.Needle != nil:
		return *s.Needle
	}
	return nil
}

// width returns the number of tokens in a sequence.
func (s Source) width() int {
	if s.Text != nil {
		return s.Text.Length
	}
	return s.task().Width()
}

// batches returns what draws batches for training.
func (s Source) batches(b int, seed uint64) (data.Batcher, error) {
	if s.Text != nil {
		return s.Text.batches(b, seed)
	}
	return data.NewTaskBatches(s.task(), b, seed)
}

// steps returns the number of steps of all lessons.
func (t Training) steps() (n int) {
	for _, l := range t.Lessons {
		n += l.Steps
	}
	return n
}

// do trains and examines.
func (t Training) do(ctx context.Context, at site) (*Outcome, error) {
	return t.doThen(ctx, at, nil)
}

// doThen is do with something more to do with the trained model; nil for nothing.
func (t Training) doThen(ctx context.Context, at site, then func(m *xlstm.Model, out *Outcome) error) (*Outcome, error) {
	p := &pupil{Training: t, site: at, out: new(Outcome)}
	return p.do(ctx, then)
}

// pupil is a training in progress.
type pupil struct {
	Training
	site
	out     *Outcome
	model   *xlstm.Model
	solver  *optim.AdamW
	lesson  int
	before  int // steps of the lessons before
	trainer *xlstm.Trainer
	batches data.Batcher
	exams   []*examination
	loss    float64 // summed since the last examination
	losses  int
	saved   time.Time
	// watch is called at the start and with every examination, unless it is nil.
	watch func(m *xlstm.Model, out *Outcome, step int) error
}

// do trains, and then does something more with the model unless then is nil.
func (p *pupil) do(ctx context.Context, then func(m *xlstm.Model, out *Outcome) error) (*Outcome, error) {
	defer p.close()
	if err := p.begin(); err != nil {
		return nil, err
	}
	err := p.learn(ctx)
	if bad := (*xlstm.NonFiniteError)(nil); errors.As(err, &bad) {
		p.out.Failed = bad.Error()
		return p.out, nil
	}
	if err == nil && then != nil {
		err = then(p.model, p.out)
	}
	return p.out, err
}

func (p *pupil) close() {
	if p.trainer != nil {
		p.trainer.Close()
	}
	for _, e := range p.exams {
		e.close()
	}
}

// begin makes everything, and continues from the checkpoint if there is one.
func (p *pupil) begin() (err error) {
	if p.device != nil && len(p.Lessons) > 1 {
		// A trainer on a device takes the solver's moments with it.
		return errors.New("a training of several lessons runs on the CPU alone; on a device, use the full setting")
	}
	if p.model, err = xlstm.New(p.Model, xlstm.WithSeed(p.Seed), xlstm.WithDevice(p.device)); err != nil {
		return err
	}
	p.out.Params = p.model.NumParams()
	if p.solver, err = optim.NewAdamW(optim.AdamWConfig{
		LR: optim.WarmupCosine(p.LR, p.MinLR, p.Warmup, p.steps()), Beta1: 0.9, Beta2: p.Beta2,
		WeightDecay: p.WeightDecay, Decays: optim.OfficialDecay(false), ClipNorm: p.Clip,
	}); err != nil {
		return err
	}
	for _, e := range p.Exams {
		x, err := e.prepare(p.model)
		if err != nil {
			return err
		}
		p.exams = append(p.exams, x)
	}
	p.saved = time.Now()
	if _, err := os.Stat(p.checkpoint); err == nil {
		return p.restore()
	}
	if p.watch != nil {
		if err := p.watch(p.model, p.out, 0); err != nil {
			return err
		}
	}
	return p.open(0)
}

// open begins a lesson.
func (p *pupil) open(lesson int) (err error) {
	if p.trainer != nil {
		if err := p.trainer.Close(); err != nil {
			return err
		}
		p.trainer = nil
	}
	l := p.Lessons[lesson]
	p.lesson, p.before = lesson, Training{Lessons: p.Lessons[:lesson]}.steps()
	// A lesson's batches are not those of the examinations or of another lesson.
	if p.batches, err = l.batches(p.Batch, p.Seed<<16+uint64(lesson)); err != nil {
		return err
	}
	p.trainer, err = p.model.NewTrainer(p.solver, xlstm.TrainerConfig{Batch: p.Batch, Steps: l.width(), Seed: p.Seed})
	return err
}

// The names of a checkpoint's additional values.
const (
	keptLesson  = "lesson"
	keptBatches = "batches"
	keptOutcome = "outcome"
	keptLoss    = "loss"
)

// kept is what a checkpoint keeps besides the trainer.
type kept struct {
	Loss   float64
	Losses int
}

// restore continues from the checkpoint.
func (p *pupil) restore() error {
	text, err := files.Read(p.checkpoint+"/"+keptLesson, 1<<10)
	if err != nil {
		return err
	}
	lesson, err := strconv.Atoi(string(text))
	if err != nil || lesson < 0 || lesson >= len(p.Lessons) {
		return errors.Errorf("%s is no checkpoint of these settings; remove it", p.checkpoint)
	}
	if err := p.open(lesson); err != nil {
		return err
	}
	extra, err := p.trainer.Restore(p.checkpoint)
	if err != nil {
		return err
	}
	position, err := base64.StdEncoding.DecodeString(extra[keptBatches])
	if err != nil {
		return errors.Wrapf(err, "reading the checkpoint %s", p.checkpoint)
	}
	if err := p.batches.SetState(position); err != nil {
		return err
	}
	var k kept
	if err := json.Unmarshal([]byte(extra[keptLoss]), &k); err != nil {
		return errors.Wrapf(err, "reading the checkpoint %s", p.checkpoint)
	}
	p.loss, p.losses = k.Loss, k.Losses
	return errors.Wrapf(json.Unmarshal([]byte(extra[keptOutcome]), p.out), "reading the checkpoint %s", p.checkpoint)
}

// save writes a checkpoint in place of the one before.
func (p *pupil) save() error {
	outcome, err := json.Marshal(p.out)
	if err != nil {
		return errors.Wrap(err, "saving a checkpoint")
	}
	loss, err := json.Marshal(kept{p.loss, p.losses})
	if err != nil {
		return errors.Wrap(err, "saving a checkpoint")
	}
	fresh := p.checkpoint + ".new"
	if err := files.RemoveDir(fresh); err != nil {
		return err
	}
	if err := files.WriteDir(fresh, func(tmp string) error {
		if err := os.WriteFile(tmp+"/"+keptLesson, []byte(strconv.Itoa(p.lesson)), 0o644); err != nil {
			return errors.Wrap(err, "saving a checkpoint")
		}
		return p.trainer.Save(tmp, map[string]string{keptBatches: base64.StdEncoding.EncodeToString(p.batches.State()), keptOutcome: string(outcome), keptLoss: string(loss)})
	}); err != nil {
		return err
	}
	if err := files.RemoveDir(p.checkpoint); err != nil {
		return err
	}
	p.saved = time.Now()
	return errors.Wrap(os.Rename(fresh, p.checkpoint), "saving a checkpoint")
}

// saveEvery is the time between checkpoints.
const saveEvery = 30 * time.Second

// learn takes the remaining steps.
func (p *pupil) learn(ctx context.Context) error {
	for at := p.before + p.trainer.Steps(); at < p.steps(); at++ {
		if ctx.Err() != nil || time.Since(p.saved) > saveEvery {
			if err := p.save(); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if at == p.before+p.Lessons[p.lesson].Steps {
			if err := p.open(p.lesson + 1); err != nil {
				return err
			}
		}
		rep, err := p.trainer.Step(p.batches.Next)
		if err != nil {
			return err
		}
		p.loss, p.losses = p.loss+rep.Loss, p.losses+1
		if err := p.examine(at+1, at+1 == p.steps()); err != nil {
			return err
		}
	}
	return nil
}

// examine examines the model if it is time to.
func (p *pupil) examine(step int, last bool) error {
	if !last && (p.Every == 0 || step%p.Every != 0) {
		return nil
	}
	if mean := p.loss / float64(p.losses); numbers.Finite(mean) {
		p.out.add("training loss", step, mean)
	}
	p.loss, p.losses = 0, 0
	for _, e := range p.exams {
		if err := e.hold(p.out, step, last); err != nil {
			return err
		}
	}
	if p.watch == nil {
		return nil
	}
	return p.watch(p.model, p.out, step)
}
