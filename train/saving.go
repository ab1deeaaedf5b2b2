package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// The names of what goes along in a checkpoint.
const (
	extraPosition = "position"
	extraBatches  = "batches"
)

// save writes a checkpoint of the run.
func (r *session) save() error {
	at, err := json.Marshal(r.at)
	if err != nil {
		return errors.Wrap(err, "saving the position")
	}
	extra := map[string]string{extraPosition: string(at), extraBatches: base64.StdEncoding.EncodeToString(r.batches.State())}
	return writeCheckpoint(r.dir, lastKind, r.trainer.Steps(), keepLast, func(tmp string) error {
		if err := r.trainer.Save(tmp, extra); err != nil {
			return err
		}
		return saveTokenizer(tmp, r.text.tokenizer)
	})
}

// saveBest writes the model as the best so far.
func (r *session) saveBest() error {
	return writeCheckpoint(r.dir, bestKind, r.trainer.Steps(), 1, func(tmp string) error {
		if err := r.model.Save(tmp); err != nil {
			return err
		}
		return saveTokenizer(tmp, r.text.tokenizer)
	})
}

// restore brings the session to the newest checkpoint that can be read, or
// leaves it at the beginning if there is none.
func (r *session) restore() error {
	if err := files.CleanTemp(r.dir); err != nil {
		return err
	}
	found, err := checkpoints(r.dir, lastKind)
	if err != nil {
		return err
	}
	var firstErr error
	for _, cp := range found {
		err := r.restoreFrom(cp)
		if err == nil && r.at.BestStep == cp.step {
			// The run may have ended between writing this checkpoint and the best.
			err = r.saveBest()
		}
		if err == nil {
			return r.forgetLater(cp.step)
		}
		fmt.Fprintf(r.c.err, "%s cannot be read: %v\n", cp.dir, err)
		if firstErr == nil {
			firstErr = err
		}
	}
	return firstErr
}

func (r *session) restoreFrom(cp checkpoint) error {
	extra, err := r.trainer.Restore(cp.dir)
	if err != nil {
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

// forgetLater removes what was written after the step that a run resumes from:
// it will be written again, the same.
func (r *session) forgetLater(step int) error {
	for _, kind := range []string{lastKind, bestKind} {
		found, err := checkpoints(r.dir, kind)
		if err != nil {
			return err
		}
		for _, cp := range found {
			if cp.step <= step {
				continue
			}
			if err := os.RemoveAll(cp.dir); err != nil {
				return errors.Wrap(err, "removing a later checkpoint")
			}
		}
	}
	return nil
}
