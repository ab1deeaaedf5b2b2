package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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
		if err == nil {
			return r.takeUp(cp, found)
		}
		fmt.Fprintf(r.c.err, "%s cannot be read: %v\n", cp.dir, err)
		if firstErr == nil {
			firstErr = err
		}
	}
	return firstErr
}

// takeUp puts the folder in order after restoring from a checkpoint: newer ones,
// which could not be read, are put aside.
func (r *session) takeUp(from checkpoint, found []checkpoint) error {
	for _, cp := range found {
		if cp.step <= from.step {
			continue
		}
		aside := filepath.Join(r.dir, "damaged-"+filepath.Base(cp.dir))
		if err := os.RemoveAll(aside); err != nil {
			return errors.Wrap(err, "putting a damaged checkpoint aside")
		}
		if err := os.Rename(cp.dir, aside); err != nil {
			return errors.Wrap(err, "putting a damaged checkpoint aside")
		}
	}
	if r.at.BestStep == from.step {
		// The run may have ended between writing this checkpoint and the best.
		return r.saveBest()
	}
	return nil
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
