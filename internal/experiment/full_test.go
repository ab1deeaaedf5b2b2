package experiment

import (
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pkg/errors"
)

// TestFullSettingsBegin: the first run of every experiment in its full setting takes
// a step, and leaves it in a checkpoint if its kind of run has one.
func TestFullSettingsBegin(t *testing.T) {
	text, err := corpusOf(strings.Repeat("some text, ", 1<<16), "a test")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range All() {
		t.Run(e.Name, func(t *testing.T) {
			g, err := e.Grid(Full, []string{Mixed}, 1, text)
			if err != nil {
				t.Fatal(err)
			}
			first, at := g.jobs[0], site{checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
			ctx := ending{context.Background(), new(atomic.Int64)}
			ctx.left.Store(2) // as often as a step asks
			if _, err := first.Settings.do(ctx, at); !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", first.name(), err)
			}
			training, ok := trainingOf(first.Settings)
			if !ok {
				return
			}
			p := &pupil{Training: training, site: at, out: new(Outcome)}
			defer p.close()
			if err := p.begin(); err != nil {
				t.Fatal(err)
			}
			if p.trainer.Steps() != 1 {
				t.Errorf("%s: the checkpoint has %d steps", first.name(), p.trainer.Steps())
			}
		})
	}
}

// trainingOf returns the training in a run's settings, if it is one of tokens.
func trainingOf(w work) (Training, bool) {
	switch w := w.(type) {
	case Training:
		return w, true
	case reading:
		return w.Training, true
	case flow:
		return w.Training, true
	}
	return Training{}, false
}
