package run

// Listener receives the events of a run in order.
type Listener interface {
	// Notice is called with a sentence on something that is damaged or cannot
	// be written, and how the run handles it.
	Notice(sentence string)
	// Begin is called before the first remaining step: the run has steps in
	// total, of which after have been taken.
	Begin(steps, after int)
	// Step is called with the record of every step.
	Step(r Record)
	// Evaluation is called after Step with the record of a step after which the
	// held-out loss was measured; best reports whether that is the lowest loss
	// so far.
	Evaluation(r Record, best bool)
}

// Progress shows the progress of a long operation, such as tokenising a large
// text. It is called with the name of the operation and its total, and returns
// a function to report how much of the total is done, and one to call at the
// end.
type Progress func(what string, total int64) (set func(at int64), done func())

func (p Progress) begin(what string, total int64) (set func(at int64), done func()) {
	if p == nil {
		return func(int64) {}, func() {}
	}
	return p(what, total)
}
