package main

import (
	"flag"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// changes are the flags with which resume changes settings of a run.
type changes struct {
	f     *flags
	given []func(s *run.Settings) error // flags as they were given
}

// registerChanges adds the flags of settings. Help lists those that may change;
// the others say why they may not.
func registerChanges(f *flags) *changes {
	c := &changes{f: f}
	var scratch run.Settings
	all := newFlags("resume", "", f.c)
	registerSettings(all, &scratch)
	newModelFlags().register(all.FlagSet, new(xlstm.Config))
	new(source).registerFrom(all.FlagSet)
	all.VisitAll(func(fl *flag.Flag) {
		name := fl.Name
		if slices.ContainsFunc(run.Changeable(), func(setting string) bool { return flagOf(setting) == "-"+name }) {
			f.Func(name, fl.Usage+" (default: the run's)", func(v string) error { return c.change(name, v) })
			return
		}
		f.former[name] = true
		f.Func(name, "", func(string) error {
			return errors.Errorf("-%s cannot change: a run keeps its model, its texts and its batches; begin another one with the weights of this: train -from FOLDER", name)
		})
	})
	return c
}

// change notes a change, of which the value is checked at once.
func (c *changes) change(name, value string) error {
	set := func(s *run.Settings) error {
		one := newFlags("resume", "", c.f.c)
		registerSettings(one, s)
		return one.Parse([]string{"-" + name + "=" + value})
	}
	c.given = append(c.given, set)
	return set(new(run.Settings))
}

// apply returns settings with the changes.
func (c *changes) apply(s run.Settings) (run.Settings, error) {
	s.Name = flagOf
	for _, set := range c.given {
		if err := set(&s); err != nil {
			return s, err
		}
	}
	given := func(name string) bool {
		found := false
		c.f.Visit(func(fl *flag.Flag) { found = found || fl.Name == strings.TrimPrefix(name, "-") })
		return found
	}
	if given("lr") && !given("min-lr") {
		s.MinLR = s.LR / 10
	}
	return s, s.Check()
}
