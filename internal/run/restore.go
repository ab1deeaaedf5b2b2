package run

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// restore brings the session to the newest checkpoint from which the run can be
// resumed, and returns it, or leaves the session at the beginning and returns nil
// if there is none at all. Newer ones, and a damaged best model, are put aside,
// each with a message.
func (r *Session) restore() (*rundir.Checkpoint, error) {
	if err := r.removeLeftovers(); err != nil {
		return nil, err
	}
	lost, err := r.checkBest()
	if err != nil {
		return nil, err
	}
	found, err := rundir.Checkpoints(r.dir, rundir.LastKind)
	if err != nil {
		return nil, err
	}
	flaws := make([]error, len(found))
	for i, cp := range found {
		flaws[i] = r.restoreFrom(cp)
		if changed := (*changedText)(nil); errors.As(flaws[i], &changed) {
			return nil, flaws[i] // another checkpoint would not help
		}
		if flaws[i] == nil {
			return &cp, r.takeUp(cp, found[:i], flaws, lost)
		}
	}
	if len(found) > 0 {
		return nil, errors.Wrapf(flaws[0], "the run in %s cannot be resumed from any checkpoint (%d tried); the newest", r.dir, len(found))
	}
	return nil, nil
}

// removeLeftovers removes what killed processes have left in the run's folder.
func (r *Session) removeLeftovers() error {
	if err := files.CleanTemp(filepath.Join(r.dir, SamplesDir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.warn("Leftovers among the samples stay", err)
	}
	return files.CleanTemp(r.dir)
}

// takeUp puts the folder in order after restoring from a checkpoint. The newer
// ones, with their flaws, are put aside. lost are the steps of best models that
// were damaged.
func (r *Session) takeUp(from rundir.Checkpoint, newer []rundir.Checkpoint, flaws []error, lost map[int]bool) error {
	for i, cp := range newer {
		if err := r.putAside(cp, flaws[i]); err != nil {
			return err
		}
	}
	switch {
	case r.at.BestStep == from.Step:
		// The run may have ended between writing this checkpoint and the best.
		if err := r.saveBest(); err != nil {
			return err
		}
	case lost[r.at.BestStep]:
		r.notice("The next evaluation counts as the best so far, for the model of step %d is lost.", r.at.BestStep)
		r.at.Best, r.at.BestStep = 0, 0
	}
	return nil
}

// putAside renames a checkpoint that can no longer be used, so that no run resumes
// from it, and reports it.
func (r *Session) putAside(cp rundir.Checkpoint, flaw error) error {
	aside := filepath.Join(r.dir, "damaged-"+filepath.Base(cp.Dir))
	if err := files.RemoveDir(aside); err != nil {
		return errors.Wrap(err, "putting a damaged checkpoint aside")
	}
	if err := os.Rename(cp.Dir, aside); err != nil {
		return errors.Wrap(err, "putting a damaged checkpoint aside")
	}
	r.notice("%s cannot be used and is now %s: %v", cp.Dir, aside, flaw)
	return nil
}

// checkBest puts best models that are damaged aside and returns their steps.
func (r *Session) checkBest() (lost map[int]bool, err error) {
	found, err := rundir.Checkpoints(r.dir, rundir.BestKind)
	if err != nil {
		return nil, err
	}
	lost = make(map[int]bool)
	for _, cp := range found {
		flaw := checkModel(cp.Dir)
		if flaw == nil {
			continue
		}
		lost[cp.Step] = true
		if err := r.putAside(cp, flaw); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// checkModel says what is wrong with a model's folder. One without checksums is
// loaded to see.
func checkModel(dir string) error {
	all, err := files.VerifyDir(dir)
	if err != nil || all {
		return err
	}
	if _, err := xlstm.Load(dir); err != nil {
		return err
	}
	_, err = data.ReadTokenizer(dir)
	return err
}

// restoreFrom brings the session to a checkpoint.
func (r *Session) restoreFrom(cp rundir.Checkpoint) error {
	extra, err := r.trainer.Restore(cp.Dir)
	if err != nil {
		return err
	}
	if done := r.trainer.Steps(); done != cp.Step {
		return errors.Errorf("%s holds a checkpoint of step %d", cp.Dir, done)
	}
	if err := r.checkTokenizer(cp.Dir); err != nil {
		return err
	}
	if r.template, err = chat.ReadTemplate(cp.Dir); err != nil {
		return err
	}
	if err := r.checkTexts(extra[extraTexts]); err != nil {
		return err
	}
	state, err := base64.StdEncoding.DecodeString(extra[extraBatches])
	if err != nil {
		return errors.Wrap(err, "the position in the data")
	}
	if err := r.batches.SetState(state); err != nil {
		return err
	}
	r.at = position{}
	return errors.Wrap(json.Unmarshal([]byte(extra[extraPosition]), &r.at), "the position of the run")
}

// checkTokenizer checks that a checkpoint's vocabulary is the one in use.
func (r *Session) checkTokenizer(dir string) error {
	tok, err := data.ReadTokenizer(dir)
	if err != nil {
		return err
	}
	var got, want bytes.Buffer
	if err := data.SaveTokenizer(&got, tok); err != nil {
		return err
	}
	if err := data.SaveTokenizer(&want, r.text.Tokenizer); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		return errors.Errorf("the vocabulary in %s is not the run's", dir)
	}
	return nil
}
