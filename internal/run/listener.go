package run

// Listener is told what happens in a run, in its order.
type Listener interface {
	// Notice gets a sentence on what is damaged or cannot be written, and what the
	// run does about it.
	Notice(sentence string)
	// Begin is called before the first of the steps that are left: the run has so
	// many in all, and has come to step after, 0 for one that begins.
	Begin(steps, after int)
	// Step gets the record of every step.
	Step(r Record)
	// Evaluation gets the record of a step after which the held-out loss was
	// measured, after Step; best is whether that is the lowest so far.
	Evaluation(r Record, best bool)
}

// Progress shows how far something has come that takes long, such as tokenising a
// large text: it gets the name of that and its total, and returns what is told how
// much of the total is done, and what is called at the end.
type Progress func(what string, total int64) (set func(at int64), done func())

func (p Progress) begin(what string, total int64) (set func(at int64), done func()) {
	if p == nil {
		return func(int64) {}, func() {}
	}
	return p(what, total)
}
