package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// finalChars is the length of the sample at the end of a run, in tokens.
const finalChars = 600

// trainCommand begins a run. Its folder is made when everything else is ready.
func trainCommand(ctx context.Context, args []string, c console) error {
	s, dir, err := parseTrain(args, c)
	if err != nil {
		return err
	}
	group, c, err := c.join(ctx)
	if err != nil {
		return err
	}
	txt, err := run.LoadFitting(ctx, s.fit, nil, c.progress)
	if err != nil {
		return err
	}
	defer txt.Close()
	if changes := s.fit.Changes(); len(changes) > 0 {
		fmt.Fprintf(c.out, "fitted  %s\n", strings.Join(changes, "; "))
	}
	if s.verbose {
		listLeft(c.out, txt)
	}
	txt.FitModel(&s.Settings)
	unlock := func() {}
	defer func() { unlock() }()
	return trainOn(ctx, c, group, s.on, s.Settings, txt, func(r *run.Session) error {
		if r.Writes() {
			if dir, unlock, err = claim(dir, s, c); err != nil {
				return err
			}
		}
		return r.Open(dir, c.hint(append([]string{"train"}, args...)...), s.tensorboard)
	})
}

// claim makes the folder of a new run, empty for one under runs, and takes its
// lock.
func claim(dir string, s *parsed, c console) (claimed string, unlock func(), err error) {
	if dir == "" {
		if dir, err = run.ClaimFolder("runs", s.preset); err != nil {
			return "", func() {}, err
		}
	}
	if unlock, err = run.Begin(dir, s.Settings); err != nil {
		return "", func() {}, explainTaken(err, c)
	}
	return dir, unlock, nil
}

// resumeCommand resumes a run.
func resumeCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("resume", "Continue a run that was stopped, as if it had never stopped, or with other settings, which are then recorded.", c, "resume runs/small", "resume runs/small -steps 4000 -lr 1e-3")
	events := f.String("tensorboard", "", tensorboardUsage)
	var on training
	on.register(f)
	changes := registerChanges(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	was, err := run.SettingsAt(dir)
	if err != nil {
		return err
	}
	s, err := changes.apply(was)
	if err != nil {
		return err
	}
	group, c, err := c.join(ctx)
	if err != nil {
		return err
	}
	if group.Rank() == 0 {
		unlock, err := run.Lock(dir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	txt, err := run.ResumeText(ctx, dir, s, c.progress)
	if err != nil {
		return err
	}
	defer txt.Close()
	return trainOn(ctx, c, group, on, s, txt, func(r *run.Session) error {
		if err := r.Open(dir, c.hint(append([]string{"resume"}, args...)...), *events); err != nil {
			return err
		}
		return r.Change(was)
	})
}

// join connects this process to the other ranks of its job. Ranks other than 0 get
// a console on which they print nothing but errors.
func (c console) join(ctx context.Context) (dist.Group, console, error) {
	group, err := dist.Open(ctx, dist.Config{Lost: c.lost}, func(sentence string) { fmt.Fprintln(c.err, sentence) })
	if err == nil && group.Rank() > 0 {
		c.out = io.Discard
	}
	return group, c, err
}

// trainOn trains a run on a device, as a rank of a group; open opens its folder.
func trainOn(ctx context.Context, c console, group dist.Group, on training, s run.Settings, txt *run.Corpus, open func(r *run.Session) error) error {
	device, closeDevice, err := on.forRank(group).open()
	if err != nil {
		return err
	}
	defer closeDevice()
	shown := &display{c: c}
	r, err := run.New(s, txt, run.Where{Device: device, Kind: on.kind(), Group: group, ShardOptimizer: on.shard}, shown)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := open(r); err != nil {
		return err
	}
	if err := goOn(ctx, r, txt, shown); err != nil {
		return err
	}
	return group.Close()
}

// explainTaken says what to do about a folder that a new run may not have.
func explainTaken(err error, c console) error {
	var taken *run.TakenError
	switch {
	case !errors.As(err, &taken):
		return err
	case taken.IsRun:
		return errors.Errorf("%v; choose another folder with -out, or continue that run: %s", taken, c.hint("resume", taken.Dir))
	}
	return errors.Errorf("%v; choose another folder with -out", taken)
}

// goOn trains, judges and lets the model write.
func goOn(ctx context.Context, r *run.Session, txt *run.Corpus, shown *display) error {
	announce(shown.c.out, r, txt)
	why, err := r.Train(ctx)
	shown.end()
	if bad := (*xlstm.NonFiniteError)(nil); errors.As(err, &bad) {
		return errors.Wrap(err, "stopped; nothing of the step was applied (resume continues with the next batch; -non-finite skip skips such steps, and a lower -lr may avoid them)")
	}
	if err != nil {
		return err
	}
	fmt.Fprint(shown.c.out, farewell(r, why, shown.c))
	if stopped, err := r.Agreed(ctx.Err() != nil); err != nil || stopped {
		return err
	}
	return finish(ctx, r, shown)
}

// farewell says why a run has come to its end, if there is anything to say.
func farewell(r *run.Session, why run.Ending, c console) string {
	done, all := numbers.Commas(r.Steps()), numbers.Commas(r.Settings().Steps)
	switch why {
	case run.FinishedBefore:
		return fmt.Sprintf("All %s steps are done.\n", all)
	case run.InterruptedAtLast:
		return fmt.Sprintf("All %s steps are done. Judge the model with: %s\n", done, c.hint("evaluate", r.Folder()))
	case run.Interrupted:
		return fmt.Sprintf("Stopped after step %s of %s. To continue: %s\n", done, all, c.hint("resume", r.Folder()))
	case run.Impatient:
		return fmt.Sprintf("Stopped after step %s: no better held-out loss in %s.\n", done, numbers.Count(r.Waited(), "evaluation"))
	}
	return ""
}

// finish judges a run that has come to its end, writes the report and lets the
// model write.
func finish(ctx context.Context, r *run.Session, shown *display) error {
	out, page := shown.c.out, filepath.Join(r.Folder(), run.ReportFile)
	judged, err := r.Judge(ctx)
	if err != nil || !r.Writes() {
		return err
	}
	which := "The model"
	if judged.BestStep > 0 {
		which = fmt.Sprintf("The best model (step %s)", numbers.Commas(judged.BestStep))
	}
	fmt.Fprintf(out, "\n%s on all %s held-out tokens:\n", which, numbers.Commas(judged.Targets))
	printMeasured(out, judged.Measured)
	v, err := r.View()
	if err == nil {
		err = writeReport(ctx, v, page, shown.c)
	}
	if err != nil {
		fmt.Fprintf(shown.c.err, "There is no report: %v\n", err)
	}
	if !numbers.Finite(judged.Nats) {
		return nil
	}
	prompt := r.Prompt()
	fmt.Fprintf(out, "\nA sample:\n\n%s", prompt)
	if _, err := r.WriteOn(ctx, prompt, finalChars, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n\nMore: %s\nCurve: %s\nReport: %s\n", shown.c.hint("sample", r.Folder()), filepath.Join(r.Folder(), "loss.svg"), page)
	return nil
}
