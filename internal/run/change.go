package run

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pkg/errors"
)

// Changeable returns the names of the settings that may change when a run is
// resumed. The others determine the model, the texts and the order of the
// batches, which a checkpoint continues.
func Changeable() []string {
	return []string{"steps", "lr", "min_lr", "warmup", "beta2", "weight_decay", "clip", "non_finite", "eval_every", "eval_batches", "patience", "save_every", "prompt", "sample_chars", "temperature", "top_p"}
}

// Changes lists the settings that differ, each with its old and its new value, in
// the order of their names.
func Changes(was, is Settings) (list []string, err error) {
	var fields [2]map[string]json.RawMessage
	for i, s := range []Settings{was, is} {
		text, err := json.Marshal(s)
		if err == nil {
			err = json.Unmarshal(text, &fields[i])
		}
		if err != nil {
			return nil, errors.Wrap(err, "comparing the settings")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields[1])) {
		if a, b := fields[0][name], fields[1][name]; string(a) != string(b) {
			list = append(list, fmt.Sprintf("%s from %s to %s", name, a, b))
		}
	}
	return list, nil
}

// Change records that the settings of the run, which has been opened, are others
// than those in its folder, and lists how. It returns an error if the run has
// taken more steps already.
func (r *Session) Change(was Settings) error {
	list, err := Changes(was, r.s)
	if err != nil || len(list) == 0 || !r.Writes() {
		return err
	}
	if done := r.Steps(); r.s.Steps < done {
		return errors.Errorf("%s is %d, and the run has taken %d steps; give at least as many", r.s.name("steps"), r.s.Steps, done)
	}
	if err := saveSettings(r.dir, r.s); err != nil {
		return err
	}
	r.about.Starts[len(r.about.Starts)-1].Changes = list
	return r.about.save(r.dir)
}
