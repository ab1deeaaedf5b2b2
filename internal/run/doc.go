// Package run implements a training run: its folder with settings, checkpoints,
// log, curves and samples; its text and vocabulary; its loop, which evaluates,
// saves, and continues after a stop as if there had been none; and its report.
//
// A Session trains. It is created from Settings and a Corpus, opens the run's
// folder, which Begin creates and Lock reserves, and informs a Listener of
// events. The package prints nothing and reads no flags; errors refer to
// settings by the flags of the train command.
//
// The same settings and the same text give the same run, to the bit, even if it
// was stopped and resumed.
package run
