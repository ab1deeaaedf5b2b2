// Package run is a training run: its folder with settings, checkpoints, log, curves
// and samples; the text it reads and the vocabulary it makes; its loop, which
// evaluates, saves and goes on after it was stopped as if it had not been; and what
// there is to see of it.
//
// A Session trains. It is made of Settings and a Corpus, opens the run's folder,
// which Begin makes and Lock reserves, and tells a Listener what happens. The package
// prints nothing and reads no flags; where an error names a setting, it names it as
// the train command's flags do, which is how users know it.
//
// The same settings and the same text give the same run, to the bit, whether it was
// stopped on its way or not.
package run
