package xlstm

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// trainingFile holds a trainer's position, beside the model's files.
const trainingFile = "training.safetensors"

// The tensors of that file: the solver's under their own names, the carried
// state's behind this prefix.
const carriedPrefix = "carried."

// The numbers of that file.
const (
	metaStep       = "step"
	metaSolverStep = "solver_step"
	metaUser       = "user."
)

// Save writes everything that is needed to continue training to the existing
// folder dir: config.json, model.safetensors, training.safetensors and their
// checksums (see Model.Save). extra holds additional values of the caller, such
// as the position in the data. Save returns an error if a number is not finite,
// because training could not continue from it. With several ranks, every rank
// must call Save, and rank 0 writes; the arguments of the others are not used. What
// is written does not depend on the number of ranks, nor on ShardOptimizer.
func (t *Trainer) Save(dir string, extra map[string]string) error {
	if err := t.fetch(); err != nil {
		return err
	}
	carried, err := t.wholeState()
	if err != nil {
		return errors.Wrap(err, "xlstm: collecting the carried state")
	}
	solver := t.solver.State()
	if t.shard != nil {
		if solver, err = t.shard.whole(solver); err != nil {
			return err
		}
	}
	if t.cfg.Group.Rank() > 0 {
		return nil
	}
	if err := t.model.Save(dir, SaveConfig{}); err != nil {
		return err
	}
	meta := map[string]string{metaStep: strconv.Itoa(t.step), metaSolverStep: strconv.Itoa(solver.Step)}
	for name, v := range extra {
		meta[metaUser+name] = v
	}
	var tensors []layers.Param
	for _, name := range slices.Sorted(maps.Keys(solver.Tensors)) {
		tensors = append(tensors, layers.Param{Name: name, Value: solver.Tensors[name]})
	}
	if carried != nil {
		for _, part := range carried.tensors {
			tensors = append(tensors, layers.Param{Name: carriedPrefix + part.Name, Value: part.Value})
		}
	}
	for _, p := range tensors {
		if !finite(p.Value) {
			return errors.Errorf("xlstm: saving the training in %s: %s holds numbers that are not finite; go back to a training saved before, with a lower learning rate or clipped gradients", dir, p.Name)
		}
	}
	return errors.Wrap(safetensors.WriteSummed(filepath.Join(dir, trainingFile), toStore(tensors), meta), "xlstm")
}

// Restore sets the model's parameters and the trainer to their values when Save
// was called, and returns extra. The model, the solver and the trainer must
// have been created from the same configurations, but the number of ranks may
// differ; every rank must call Restore, for the same files. After an error the trainer
// and the model must not be used, except for another Restore.
func (t *Trainer) Restore(dir string) (extra map[string]string, err error) {
	path := filepath.Join(dir, trainingFile)
	f, err := readTraining(path)
	if err != nil {
		return nil, err
	}
	if err := t.checkMoments(f.solver); err != nil {
		return nil, errors.Wrapf(err, "restoring the solver from %s", path)
	}
	if err := t.restoreCarried(path, f.carried); err != nil {
		return nil, err
	}
	if err := t.model.loadAdapters(dir); err != nil {
		return nil, err
	}
	if err := t.model.LoadWeights(filepath.Join(dir, weightsFile)); err != nil {
		return nil, err
	}
	solver := f.solver
	if t.shard != nil {
		solver = t.shard.part(solver)
	}
	if err := t.solver.SetState(solver); err != nil {
		return nil, errors.Wrapf(err, "restoring the solver from %s", path)
	}
	if err := t.push(); err != nil {
		return nil, err
	}
	t.step = f.step
	return f.extra, nil
}

// training is what a trainer's file holds.
type training struct {
	step    int
	solver  optim.State
	carried map[string]*tensor.Dense // by the names of a state's parts
	extra   map[string]string
}

func readTraining(path string) (f training, err error) {
	tensors, meta, err := safetensors.ReadFile(path)
	if err != nil {
		return f, err
	}
	if f.step, err = strconv.Atoi(meta[metaStep]); err != nil {
		return f, errors.Errorf("xlstm: %s does not say at which step it was written; it is not a trainer's", path)
	}
	if f.solver.Step, err = strconv.Atoi(meta[metaSolverStep]); err != nil {
		return f, errors.Errorf("xlstm: %s does not say the solver's step; it is not a trainer's", path)
	}
	f.solver.Tensors, f.carried, f.extra = make(map[string]*tensor.Dense), make(map[string]*tensor.Dense), make(map[string]string)
	for _, p := range tensors {
		if name, ok := strings.CutPrefix(p.Name, carriedPrefix); ok {
			f.carried[name] = p.Value
		} else {
			f.solver.Tensors[p.Name] = p.Value
		}
	}
	for name, v := range meta {
		if name, ok := strings.CutPrefix(name, metaUser); ok {
			f.extra[name] = v
		}
	}
	return f, nil
}

// checkMoments checks that the tensors of a solver's state that belong to parameters
// of the model have their shapes and types, without which a step would fail.
func (t *Trainer) checkMoments(solver optim.State) error {
	for name, v := range solver.Tensors {
		_, of, _ := strings.Cut(name, ".")
		p, ok := t.model.Param(of)
		if a := t.model.adapters; !ok && a != nil {
			var adapter layers.Param
			adapter, ok = a.Store.Get(of)
			p = adapter.Value
		}
		if ok && (!v.Shape().Eq(p.Shape()) || v.Dtype() != p.Dtype()) {
			return errors.Errorf("xlstm: %s has shape %v of %v, the parameter %v of %v", name, v.Shape(), v.Dtype(), p.Shape(), p.Dtype())
		}
	}
	return nil
}

// restoreCarried sets the carried state; the file must hold exactly its parts.
func (t *Trainer) restoreCarried(path string, carried map[string]*tensor.Dense) error {
	var parts []layers.Param
	whole := t.state
	if t.ranks != nil && t.state != nil {
		var err error
		if whole, err = t.model.NewState(t.cfg.Batch); err != nil {
			return err
		}
	}
	if whole != nil {
		parts = whole.tensors
	}
	if len(parts) != len(carried) {
		return errors.Errorf("xlstm: %s carries %d parts of a state, this training %d; resume with the settings that it was written with", path, len(carried), len(parts))
	}
	for _, part := range parts {
		v, ok := carried[part.Name]
		if ok && !finite(v) {
			return errors.Errorf("xlstm: %s carries numbers in %s that are not finite", path, part.Name)
		}
		if !ok || !v.Shape().Eq(part.Value.Shape()) {
			return errors.Errorf("xlstm: %s carries no %s of shape %v; resume with the settings that it was written with", path, part.Name, part.Value.Shape())
		}
	}
	for _, part := range parts {
		if err := copyFrom(part, carried[part.Name]); err != nil {
			return err
		}
	}
	return t.takeState(whole)
}
