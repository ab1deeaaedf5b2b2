package run

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// Session is a run in progress.
type Session struct {
	dir     string
	s       Settings
	listen  Listener
	text    *Corpus
	device  xlstm.Device // nil for the CPU
	where   Where
	group   dist.Group
	model   *xlstm.Model
	trainer *xlstm.Trainer
	eval    *xlstm.Program
	writer  *xlstm.Generator
	batches data.Batcher
	bounds  Boundaries
	held    *data.Windows // of the held-out part, that evaluations measure
	bigram  Measured      // there
	at      position
	log     *runLog
	smooth  *smoother
	past    *history
	about   About
	events  *eventLog // nil without TensorBoard
	// template is the chat template that came with the weights, "" for none.
	template string
}

// position is where a run stands, besides what the trainer knows.
type position struct {
	Tokens   int64   `json:"tokens"`
	Seconds  float64 `json:"seconds"`
	Best     float64 `json:"best"` // lowest held-out loss, 0 before the first
	BestStep int     `json:"best_step"`
	Waited   int     `json:"waited"`             // evaluations since the best
	Smoothed *Number `json:"smoothed,omitempty"` // average of the losses, nil in checkpoints that leave it to the log
}

// Where is where a run computes. It does not change the run beyond rounding, and
// may differ when the run is resumed.
type Where struct {
	Device xlstm.Device // of the model; nil for the CPU
	// Kind describes the device and its precision, which must be the same on all
	// ranks.
	Kind  string
	Group dist.Group // the ranks that train together; nil for this process alone
	// ShardOptimizer divides the optimiser's state over the ranks.
	ShardOptimizer bool
}

// New creates everything that a run needs at its start except its folder. listen
// receives the events. The session must be closed.
//
// With several ranks, every rank has a session and calls its methods in the same
// order. Only rank 0 writes. New returns an error on all ranks if one of them runs
// another program, or has other settings or texts.
func New(s Settings, txt *Corpus, where Where, listen Listener) (*Session, error) {
	r := &Session{s: s, listen: listen, text: txt, device: where.Device, where: where, group: where.Group}
	if r.group == nil {
		r.group = dist.Alone()
	}
	if err := r.build(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Session) build() (err error) {
	if err := r.openText(); err != nil { // first, so that an unsuitable text costs no compilation
		return err
	}
	if err := r.agree(); err != nil {
		return err
	}
	if r.model, err = xlstm.New(r.s.Model, xlstm.WithSeed(r.s.Seed), xlstm.WithDevice(r.device)); err != nil {
		return err
	}
	if err := r.adapt(); err != nil {
		return err
	}
	return r.compile()
}

// openText prepares what the model trains on and is measured on.
func (r *Session) openText() (err error) {
	s, txt := r.s, r.text
	if r.bounds, err = BoundariesOf(s, txt.Tokenizer); err != nil {
		return err
	}
	if s.Carry {
		r.batches, err = data.StreamsOf(txt.Train, s.Batch, s.Length)
	} else {
		r.batches, err = data.RandomWindowsOf(txt.Train, s.Batch, s.Length, s.Seed)
	}
	if err != nil {
		return err
	}
	if r.held, err = data.WindowsOf(txt.HeldOut, s.Batch, s.Length, s.EvalBatches); err != nil {
		return err
	}
	r.bigram, err = measureBigram(data.Head(txt.Train, headTokens), r.held, txt.Lengths, txt.Tokenizer.Size())
	return err
}

// compile makes the trainer and the other programs of the model.
func (r *Session) compile() error {
	s := r.s
	solver, err := optim.NewAdamW(optim.AdamWConfig{
		LR:    optim.WarmupCosine(s.LR, s.MinLR, s.Warmup, s.Steps),
		Beta1: 0.9, Beta2: s.Beta2, WeightDecay: s.WeightDecay, Decays: optim.OfficialDecay(s.Model.WeightDecayOnEmbedding), ClipNorm: s.Clip,
	})
	if err != nil {
		return err
	}
	frozen, err := r.frozen()
	if err != nil {
		return err
	}
	if r.trainer, err = r.model.NewTrainer(solver, xlstm.TrainerConfig{Frozen: frozen, Batch: s.Batch, Steps: s.Length, Accumulate: s.Accumulate, Carry: s.Carry, WithResets: s.Reset, Seed: s.Seed, Group: r.group, ShardOptimizer: r.where.ShardOptimizer}); err != nil {
		return err
	}
	if r.eval, err = r.model.Compile(xlstm.ProgramConfig{Batch: s.Batch / r.group.Size(), Steps: s.Length, Loss: true, WithResets: s.Reset}); err != nil {
		return err
	}
	r.writer, err = r.model.NewGenerator()
	return err
}

// Close closes everything that the session opened.
func (r *Session) Close() {
	if r.trainer != nil {
		r.trainer.Close()
	}
	if r.eval != nil {
		r.eval.Close()
	}
	if r.writer != nil {
		r.writer.Close()
	}
	if r.log != nil {
		r.log.close()
	}
	if r.events != nil {
		r.events.file.Close()
	}
}

// openLog opens the log after the given step, says what it lacks, and takes the
// average and the curves up again.
func (r *Session) openLog(after int) (err error) {
	r.past = new(history)
	last := math.NaN()
	if !r.Writes() {
		r.smooth = &smoother{after, last}
		return nil
	}
	path := filepath.Join(r.dir, LogFile)
	found, err := cutLog(path, after, func(rec Record) {
		r.past.add(rec)
		last = rec.Smoothed
	})
	if err != nil {
		return err
	}
	if flaw := found.flaw(after); flaw != "" {
		r.notice("%s %s; the run continues without them.", path, flaw)
	}
	if r.at.Smoothed != nil {
		last = float64(*r.at.Smoothed)
	}
	r.smooth = &smoother{after, last}
	r.log, err = openLog(path)
	return err
}

// notice tells of something in a sentence.
func (r *Session) notice(format string, args ...any) {
	r.listen.Notice(fmt.Sprintf(format, args...))
}

// warn tells of something that a run does without.
func (r *Session) warn(what string, err error) { r.notice("%s: %v", what, err) }

// Open opens the run's folder, which must be locked, continues from the newest
// checkpoint there, and records the command of this start. If events is a
// parent folder, the run is also written there for TensorBoard. Ranks other than 0
// only read the checkpoint from which rank 0 continues.
func (r *Session) Open(dir, command, events string) error {
	r.dir = dir
	if err := r.restoreAll(); err != nil {
		return err
	}
	if err := r.takeOrigin(); err != nil || !r.Writes() {
		return err
	}
	if err := r.noteStart(command); err != nil {
		return err
	}
	return r.openEvents(events)
}

// Folder returns the run's folder.
func (r *Session) Folder() string { return r.dir }

// Steps returns the number of steps taken.
func (r *Session) Steps() int { return r.trainer.Steps() }

// NumParams returns the number of the model's parameters.
func (r *Session) NumParams() int { return r.model.NumParams() }

// HeldOut returns the share of the held-out part that evaluations measure.
func (r *Session) HeldOut() Share { return shareOf(r.held) }

// BigramLoss returns the loss of a bigram model on the batches of evaluations.
func (r *Session) BigramLoss() Measured { return r.bigram }

// Settings returns the settings in effect.
func (r *Session) Settings() Settings { return r.s }

// Waited returns the number of evaluations since the best one.
func (r *Session) Waited() int { return r.at.Waited }
