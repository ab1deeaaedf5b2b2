package run

import (
	"path"
	"path/filepath"
	"slices"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// Tuning are the settings of a run that begins with the weights of another model,
// and of what it trains of them.
type Tuning struct {
	From      string   `json:"from,omitempty"` // a run or a model; empty: new weights
	Special   []string `json:"special_tokens,omitempty"`
	Freeze    []string `json:"freeze,omitempty"` // patterns of names of parameters
	LoRARank  int      `json:"lora_rank,omitempty"`
	LoRAAlpha float64  `json:"lora_alpha,omitempty"` // 0: as the rank
	LoRAOn    []string `json:"lora_on,omitempty"`    // patterns of names of weights; none: all linear maps but the head
}

// BeginFrom sets the model's configuration and the vocabulary to those of a run or
// a model.
func (s *Settings) BeginFrom(from string) error {
	dir, err := rundir.ModelPath(from)
	if err != nil {
		return err
	}
	if s.Model, err = xlstm.ReadConfig(dir, 0); err != nil {
		return err
	}
	if rundir.IsFile(dir) {
		dir = filepath.Dir(dir)
	}
	s.From, s.Tokens = from, filepath.Join(dir, data.TokenizerFile)
	return nil
}

// checkTuning returns an error for the first invalid setting of Tuning.
func (s Settings) checkTuning() error {
	t := s.Tuning
	for _, one := range []struct {
		name     string
		patterns []string
	}{{"freeze", t.Freeze}, {"lora_on", t.LoRAOn}} {
		for _, p := range one.patterns {
			if _, err := path.Match(p, ""); err != nil {
				return errors.Errorf("%s is %q, which is no pattern; * stands for any letters, ? for one, and [ab] for one of several", s.name(one.name), p)
			}
		}
	}
	switch {
	case t.LoRARank < 0:
		return errors.Errorf("%s is %d; it must be at least 1, or 0 for no adapters", s.name("lora_rank"), t.LoRARank)
	case !(t.LoRAAlpha >= 0 && t.LoRAAlpha <= 1e6):
		return errors.Errorf("%s is %v; it must be between 0 and 1e6", s.name("lora_alpha"), t.LoRAAlpha)
	case t.LoRARank == 0 && (t.LoRAAlpha > 0 || len(t.LoRAOn) > 0):
		return errors.Errorf("%s and %s are for adapters; give %s too", s.name("lora_alpha"), s.name("lora_on"), s.name("lora_rank"))
	case t.LoRARank > 0 && len(t.Freeze) > 0:
		return errors.Errorf("%s does not go with %s, for only the adapters are trained then", s.name("freeze"), s.name("lora_rank"))
	case len(t.Special) > 0 && t.From == "":
		return errors.Errorf("%s is for the vocabulary of another model; give %s too", s.name("special_tokens"), s.name("from"))
	case len(t.Special) > 0 && t.LoRARank > 0:
		return errors.Errorf("%s does not go with %s: adapters do not train the rows of new tokens", s.name("special_tokens"), s.name("lora_rank"))
	case t.LoRARank > 0 && t.From == "":
		return errors.Errorf("%s is for a model that was trained before; give %s too", s.name("lora_rank"), s.name("from"))
	}
	return nil
}

// matches returns a function that reports whether a name matches a pattern; nil
// without patterns. The patterns have been checked.
func matches(patterns []string) func(name string) bool {
	if len(patterns) == 0 {
		return nil
	}
	return func(name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			ok, _ := path.Match(p, name)
			return ok
		})
	}
}

// fits reports whether a vocabulary can be that of the run's model. One from
// elsewhere may have more ids than tokens.
func (s Settings) fits(tok data.Tokenizer) bool {
	return tok.Size() == s.Model.VocabSize || s.From != "" && tok.Size() < s.Model.VocabSize
}

// frozen returns what is not trained, and an error for a pattern that no
// parameter matches.
func (r *Session) frozen() (func(name string) bool, error) {
	for _, pattern := range r.s.Freeze {
		match := matches([]string{pattern})
		if !slices.ContainsFunc(paramNames(r.model), match) {
			return nil, errors.Errorf("%s is %q, which matches none of the %d parameters, such as %s", r.s.name("freeze"), pattern, len(paramNames(r.model)), paramNames(r.model)[0])
		}
	}
	return matches(r.s.Freeze), nil
}

// paramNames returns the names of a model's parameters.
func paramNames(m *xlstm.Model) (all []string) {
	for _, p := range m.Params() {
		all = append(all, p.Name)
	}
	return all
}

// adapt gives the model adapters if the settings say so.
func (r *Session) adapt() error {
	if r.s.LoRARank == 0 {
		return nil
	}
	on := matches(r.s.LoRAOn)
	return r.model.Adapt(xlstm.AdapterConfig{Rank: r.s.LoRARank, Alpha: r.s.LoRAAlpha, On: on})
}

// takeOrigin gives a run that has taken no step yet the weights of its origin, and
// the chat template.
func (r *Session) takeOrigin() error {
	if r.s.From == "" || r.trainer.Steps() > 0 {
		return nil
	}
	lm, err := xlstm.Open(r.s.From)
	if err != nil {
		return errors.Wrap(err, "the model that the run begins with")
	}
	defer lm.Close()
	if err := r.model.CopyFrom(lm.Model()); err != nil {
		return errors.Wrapf(err, "beginning with %s", r.s.From)
	}
	r.template, err = chat.ReadTemplate(lm.Dir())
	return err
}

// NumTrained returns the number of numbers that are trained.
func (r *Session) NumTrained() (n int) {
	frozen := matches(r.s.Freeze)
	params := r.model.Params()
	if a := r.model.Adapters(); len(a) > 0 {
		params, frozen = a, nil
	}
	for _, p := range params {
		if frozen == nil || !frozen(p.Name) {
			n += p.Value.Size()
		}
	}
	return n
}
