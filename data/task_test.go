package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// drawn returns the inputs and targets of a sequence.
func drawn(t *testing.T, task Task, src *rand.PCG) (inputs, targets []int) {
	t.Helper()
	if err := task.check(); err != nil {
		t.Fatal(err)
	}
	inputs, targets = make([]int, task.Width()), make([]int, task.Width())
	for i := range targets {
		targets[i] = Ignore
	}
	task.draw(src, inputs, targets)
	for i, id := range inputs {
		if id < 0 || id >= task.Vocab() || targets[i] < Ignore || targets[i] >= task.Vocab() {
			t.Fatalf("%s: the pair %d, %d at %d is outside the vocabulary of %d", task, id, targets[i], i, task.Vocab())
		}
	}
	return inputs, targets
}

// answerOf computes the answer of a whole string from the definitions, in
// another way than the generators.
func answerOf(name string, s []int) int {
	switch name {
	case Parity: // the official formula
		sum := 0
		for _, x := range s {
			sum += x
		}
		return (sum-len(s))%2 + 1
	case EvenPairs: // even if the number of pairs 12 and 21 is even
		changes := 0
		for i := 1; i < len(s); i++ {
			if s[i] != s[i-1] {
				changes++
			}
		}
		return changes%2 + 1
	case CycleNavigation:
		sum := 0
		for _, x := range s {
			sum += map[int]int{1: 0, 2: 1, 3: -1}[x]
		}
		return (sum%5+5)%5 + 4
	}
	p := &parser{rest: s}
	first := map[string]int{ModularArithmetic: 5, ModularArithmeticBrackets: 7}[name]
	p.first = first
	return (p.sum()%5+5)%5 + first
}

// parser evaluates arithmetic by recursive descent, modulo 5.
type parser struct {
	rest  []int
	first int // the id of the number 0
}

func (p *parser) peek() int {
	if len(p.rest) == 0 {
		return equals
	}
	return p.rest[0]
}

func (p *parser) sum() int {
	v := p.product()
	for p.peek() == plus || p.peek() == minus {
		op := p.peek()
		p.rest = p.rest[1:]
		if w := p.product(); op == plus {
			v += w
		} else {
			v -= w
		}
	}
	return v % 5
}

func (p *parser) product() int {
	v := p.atom()
	for p.peek() == times {
		p.rest = p.rest[1:]
		v = v * p.atom() % 5
	}
	return v
}

func (p *parser) atom() (v int) {
	switch x := p.peek(); {
	case x == minus:
		p.rest = p.rest[1:]
		return -p.atom()
	case x == open && p.first == 7:
		p.rest = p.rest[1:]
		v = p.sum()
		p.rest = p.rest[1:]
		return v
	default:
		p.rest = p.rest[1:]
		return x - p.first
	}
}

// TestLanguagesHaveTheirAnswers, once, after the string, at lengths of the whole
// range, with padding behind.
func TestLanguagesHaveTheirAnswers(t *testing.T) {
	for _, name := range Languages() {
		src, lengths, answers := newSource(1), map[int]bool{}, map[int]bool{}
		l := Language{Name: name, Min: 3, Max: 12}
		for range 2000 {
			inputs, targets := drawn(t, l, src)
			at := slices.IndexFunc(targets, func(x int) bool { return x != Ignore })
			for i := range targets {
				if i != at && targets[i] != Ignore || i > at && inputs[i] != 0 || i <= at && inputs[i] == 0 {
					t.Fatalf("%s: inputs %v, targets %v", name, inputs, targets)
				}
			}
			s := inputs[:at+1]
			if l.arithmetic() {
				if inputs[at] != equals {
					t.Fatalf("%s: %v does not end with =", name, s)
				}
				s = s[:at]
			}
			if want := answerOf(name, s); targets[at] != want {
				t.Fatalf("%s: the answer for %v is %d, want %d", name, s, targets[at], want)
			}
			lengths[at+2], answers[targets[at]] = true, true
		}
		if want := map[string]int{ModularArithmetic: 5}; len(lengths) != max(want[name], 10) && name != ModularArithmetic || name == ModularArithmetic && len(lengths) != 5 {
			t.Errorf("%s: the lengths are %v", name, lengths)
		}
		if len(answers) != l.Answers() {
			t.Errorf("%s: the answers are %v", name, answers)
		}
	}
}

// TestLanguagesAnswerAtEveryStep for every beginning that is a string.
func TestLanguagesAnswerAtEveryStep(t *testing.T) {
	for _, name := range Languages()[:4] {
		src := newSource(2)
		for range 200 {
			inputs, targets := drawn(t, Language{Name: name, Min: 3, Max: 21, EveryStep: true}, src)
			for i, got := range targets {
				want := Ignore
				switch {
				case name != ModularArithmetic:
					want = answerOf(name, inputs[:i+1])
				case i%2 == 0:
					want = answerOf(name, inputs[:i+1])
				case inputs[i] == equals:
					want = answerOf(name, inputs[:i])
				}
				if got != want {
					t.Fatalf("%s: the answer at %d of %v is %d, want %d", name, i, inputs, got, want)
				}
			}
		}
	}
}

// TestRecallAsksForEveryPair once, behind the pairs, mostly soon with the
// default power and evenly with power 1.
func TestRecallAsksForEveryPair(t *testing.T) {
	for _, power := range []float64{0, 1} {
		r := Recall{VocabSize: 64, Length: 64, Pairs: 6, Power: power}
		src, soon, all := newSource(3), 0, 0
		for range 500 {
			inputs, targets := drawn(t, r, src)
			values := map[int]int{}
			for i := range r.Pairs {
				key, value := inputs[2*i], inputs[2*i+1]
				if key < 1 || key >= 32 || value < 32 || values[key] != 0 {
					t.Fatalf("the pairs of %v", inputs)
				}
				values[key] = value
			}
			asked := 0
			for i, target := range targets {
				if target == Ignore {
					continue
				}
				if i < 2*r.Pairs || i%2 != 0 || values[inputs[i]] != target {
					t.Fatalf("at %d of %v the answer is %d", i, inputs, target)
				}
				delete(values, inputs[i])
				asked++
				if i < 2*r.Pairs+26 {
					soon++
				}
			}
			if all += asked; asked != r.Pairs {
				t.Fatalf("%d questions in %v", asked, targets)
			}
		}
		if share := float64(soon) / float64(all); power == 0 && share < 0.65 || power == 1 && (share < 0.45 || share > 0.55) {
			t.Errorf("with power %g, %.2f of the questions are in the first half", power, share)
		}
	}
}

// TestNeedleAsksForTheLastValue, at the distances asked for.
func TestNeedleAsksForTheLastValue(t *testing.T) {
	for _, n := range []Needle{{Length: 64, Asked: 8}, {Length: 64, At: []int{1, 7, 62}}} {
		src := newSource(4)
		for range 300 {
			inputs, targets := drawn(t, n, src)
			last, asked := 0, []int{}
			for i, id := range inputs {
				switch {
				case id == needleSet:
					last = inputs[i+1]
				case id == needleAsk:
					asked = append(asked, i-1)
				}
				if (id == needleAsk) != (targets[i] != Ignore) || id == needleAsk && targets[i] != last {
					t.Fatalf("at %d of %v the answer is %d", i, inputs, targets[i])
				}
			}
			if n.At != nil && !slices.Equal(asked, n.At) || n.At == nil && len(asked) != n.Asked {
				t.Fatalf("asked at %v", asked)
			}
		}
	}
}

// TestTaskBatchesContinue from a saved position, are those of their seed alone,
// and refuse the position of another task.
func TestTaskBatchesContinue(t *testing.T) {
	task := Language{Name: ModularArithmeticBrackets, Min: 3, Max: 9}
	text := func(b Batch) string { return fmt.Sprint(b.Inputs, b.Targets) }
	first, err := NewTaskBatches(task, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	first.Next()
	at := first.State()
	want := text(first.Next())
	second, err := NewTaskBatches(task, 4, 6)
	if err != nil {
		t.Fatal(err)
	}
	if text(second.Next()) == want {
		t.Error("two seeds give the same batches")
	}
	if err := second.SetState(at); err != nil {
		t.Fatal(err)
	}
	if got := text(second.Next()); got != want {
		t.Errorf("%s follows, not %s", got, want)
	}
	task.Max = 11
	other, err := NewTaskBatches(task, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.SetState(at); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("the position of another task: %v", err)
	}
}

// TestTasksRefuseWhatNoSequenceSatisfies.
func TestTasksRefuseWhatNoSequenceSatisfies(t *testing.T) {
	for _, task := range []Task{
		Language{Name: "dyck", Min: 3, Max: 9}, Language{Name: Parity, Min: 1, Max: 9}, Language{Name: ModularArithmetic, Min: 2, Max: 9},
		Language{Name: Parity, Min: 9, Max: 3}, Language{Name: ModularArithmeticBrackets, Min: 3, Max: 9, EveryStep: true},
		Recall{VocabSize: 16, Length: 64, Pairs: 8}, Recall{VocabSize: 64, Length: 30, Pairs: 8}, Recall{VocabSize: 64, Length: 63, Pairs: 8}, Recall{VocabSize: 64, Length: 64, Pairs: 0}, Recall{VocabSize: 64, Length: 64, Pairs: 2, Power: -1},
		Needle{Length: 8, Asked: 1}, Needle{Length: 64}, Needle{Length: 64, Asked: 9}, Needle{Length: 64, At: []int{63}}, Needle{Length: 64, At: []int{0}},
	} {
		if _, err := NewTaskBatches(task, 2, 1); err == nil {
			t.Errorf("%s is accepted", task)
		}
	}
	if _, err := NewTaskBatches(Needle{Length: 64, Asked: 1}, 0, 1); err == nil {
		t.Error("batches of no rows are accepted")
	}
}
