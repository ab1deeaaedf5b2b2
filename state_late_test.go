package xlstm

import (
	"path/filepath"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// TestStatesAreUpToDateWhereTheyAreRead: a generator that has read tokens one by
// one is behind with its memories, which must not show: however its state is read
// or replaced, it is that of a program which writes everything at once.
func TestStatesAreUpToDateWhereTheyAreRead(t *testing.T) {
	hostOnly(t)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := smallModel(t, smallConfig(), tensor.Float64)
	tokens := testutil.Tokens(3, 40, m.cfg.VocabSize)
	p := onTape(t, m, ProgramConfig{Batch: 1, Steps: 1, Carry: true})
	after := func(from *State, tokens ...int) *State {
		state := testutil.Must(m.NewState(1))
		if from != nil {
			ok(state.Set(from))
		}
		for i := range tokens {
			runProgram(t, p, tokens[i:i+1], nil, state)
		}
		return state
	}
	generator := func(n int) *Generator {
		g := testutil.Must(m.NewGenerator())
		t.Cleanup(func() { g.Close() })
		for i := range n {
			ok(g.Read(tokens[i]))
		}
		return g
	}
	other := randomState(t, m, 1)
	for name, c := range map[string]func(g *Generator) (got, want *State){
		"Clone": func(g *Generator) (got, want *State) { return g.State().Clone(), after(nil, tokens[:5]...) },
		"copied": func(g *Generator) (got, want *State) {
			got = testutil.Must(m.NewState(1))
			ok(got.Set(g.State()))
			return got, after(nil, tokens[:5]...)
		},
		"copied text": func(g *Generator) (got, want *State) {
			got = testutil.Must(m.NewState(1))
			ok(got.SetText(0, g.State(), 0))
			return got, after(nil, tokens[:5]...)
		},
		"replaced": func(g *Generator) (got, want *State) {
			ok(g.State().Set(other))
			ok(g.Read(tokens[7]))
			return g.State(), after(other, tokens[7])
		},
		"replaced text": func(g *Generator) (got, want *State) {
			ok(g.State().SetText(0, other, 0))
			ok(g.Read(tokens[7]))
			return g.State(), after(other, tokens[7])
		},
		"Reset": func(g *Generator) (got, want *State) {
			g.Reset()
			ok(g.Read(tokens[7]))
			return g.State(), after(nil, tokens[7])
		},
		"another program": func(g *Generator) (got, want *State) {
			ok(g.Read(tokens[5:14]...)) // eight and one
			return g.State(), after(nil, tokens[:14]...)
		},
		"another run with the state": func(g *Generator) (got, want *State) {
			runProgram(t, compileProgram(t, m, ProgramConfig{Batch: 1, Steps: 2, Carry: true}), tokens[5:7], nil, g.State())
			return g.State(), after(nil, tokens[:7]...)
		},
		"file": func(g *Generator) (got, want *State) {
			file := filepath.Join(t.TempDir(), "state")
			ok(g.SaveState(file))
			loaded := generator(3)
			ok(loaded.LoadState(file))
			return loaded.State(), after(nil, tokens[:5]...)
		},
		"more steps than a memory may be behind": func(g *Generator) (got, want *State) {
			for _, token := range tokens[5:] {
				ok(g.Read(token))
			}
			return g.State(), after(nil, tokens...)
		},
	} {
		got, want := c(generator(5))
		wantStates(t, name, got, want, 1e-12)
	}

	g := generator(5)
	shown := g.State().Tensors() // which are up to date from now on
	for i := 5; i < 40; i++ {
		ok(g.Read(tokens[i]))
		for k, want := range after(nil, tokens[:i+1]...).Tensors() {
			if !agree(tensor.Float64, floatsOf(shown[k].Value), floatsOf(want.Value)) {
				t.Fatalf("after %d tokens, %s is out of date", i+1, want.Name)
			}
		}
	}
}
