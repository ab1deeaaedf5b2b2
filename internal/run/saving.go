package run

import (
	"encoding/base64"
	"encoding/json"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// The names of what goes along in a checkpoint.
const (
	extraPosition = "position"
	extraBatches  = "batches"
	extraTexts    = "texts"
)

// save writes a checkpoint of the run, after the log of what led to it. Ranks
// other than 0 give their part of the carried state.
func (r *Session) save() error {
	if err := r.stillEqual(); err != nil {
		return err
	}
	if !r.Writes() {
		return r.trainer.Save("", nil)
	}
	if err := r.log.sync(); err != nil {
		return err
	}
	smoothed := Number(r.smooth.value)
	r.at.Smoothed = &smoothed
	at, err := json.Marshal(r.at)
	if err != nil {
		return errors.Wrap(err, "saving the position")
	}
	texts, err := json.Marshal(r.text.marks())
	if err != nil {
		return errors.Wrap(err, "saving the position")
	}
	extra := map[string]string{extraPosition: string(at), extraBatches: base64.StdEncoding.EncodeToString(r.batches.State()), extraTexts: string(texts)}
	return writeCheckpoint(r.dir, rundir.LastKind, r.trainer.Steps(), KeepLast, func(tmp string) error {
		if err := r.trainer.Save(tmp, extra); err != nil {
			return err
		}
		return r.saveTokenizer(tmp)
	})
}

// saveBest writes the model as the best so far.
func (r *Session) saveBest() error {
	return writeCheckpoint(r.dir, rundir.BestKind, r.trainer.Steps(), 1, func(tmp string) error {
		if err := r.model.Save(tmp, xlstm.SaveConfig{}); err != nil {
			return err
		}
		return r.saveTokenizer(tmp)
	})
}

// saveTokenizer writes the vocabulary, and the chat template if there is one.
func (r *Session) saveTokenizer(dir string) error {
	if err := data.WriteTokenizer(dir, r.text.Tokenizer); err != nil {
		return err
	}
	return chat.WriteTemplate(dir, r.template)
}
