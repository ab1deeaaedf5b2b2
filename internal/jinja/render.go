package jinja

import (
	"strings"

	"github.com/pkg/errors"
)

// The bounds of rendering: steps of work, bytes of output (also of a value on the
// way there), and macros within macros.
const (
	maxSteps  = 2_000_000
	maxOutput = 16 << 20
	maxCalls  = 50
)

// Pair is an entry of a Dict.
type Pair struct {
	Key   string
	Value any
}

// Dict is a dictionary in the order of its entries.
type Dict []Pair

// get returns the value of a key.
func (d Dict) get(key string) (any, bool) {
	for _, p := range d {
		if p.Key == key {
			return p.Value, true
		}
	}
	return nil, false
}

// Func is a function that a template can call.
type Func func(args ...any) (any, error)

// undefined is the value of a name that there is not.
type undefined struct{ name string }

// namespace is a value whose attributes can be set.
type namespace struct{ fields Dict }

func (n *namespace) set(name string, v any) {
	for i := range n.fields {
		if n.fields[i].Key == name {
			n.fields[i].Value = v
			return
		}
	}
	n.fields = append(n.fields, Pair{name, v})
}

// scope has the names of a part of a template.
type scope struct {
	names  map[string]any
	around *scope
}

func (s *scope) inner() *scope { return &scope{names: make(map[string]any), around: s} }

func (s *scope) lookup(name string) any {
	for ; s != nil; s = s.around {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	return undefined{name}
}

// renderer is the rendering of a template.
type renderer struct {
	out   *strings.Builder
	steps int
	calls int
	globs *scope
}

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// Render renders the template with values: nil, bool, int, int64, float64,
// string, []any, Dict and Func. Errors name the line.
func (t *Template) Render(values map[string]any) (string, error) {
	globs := &scope{names: make(map[string]any)}
	for k, v := range values {
		globs.names[k] = normal(v)
	}
	for k, v := range builtin {
		globs.names[k] = v
	}
	r := &renderer{out: new(strings.Builder), globs: globs}
	if err := r.run(t.body, globs.inner()); err != nil {
		return "", err
	}
	return r.out.String(), nil
}

// normal returns a value with numbers as the package has them.
func normal(v any) any {
	if n, ok := v.(int); ok {
		return int64(n)
	}
	return v
}

func (r *renderer) run(body []statement, s *scope) error {
	for _, st := range body {
		if err := r.step(); err != nil {
			return err
		}
		if err := st.run(r, s); err != nil {
			return err
		}
	}
	return nil
}

// step counts some work.
func (r *renderer) step() error {
	if r.steps++; r.steps > maxSteps {
		return errors.Errorf("the template does not come to an end: it has taken %d steps", maxSteps)
	}
	return nil
}

func (r *renderer) write(text string) error {
	if r.out.Len()+len(text) > maxOutput {
		return errTooLong
	}
	r.out.WriteString(text)
	return nil
}

var errTooLong = errors.Errorf("the template makes a text of more than %d bytes", maxOutput)

// at puts the line before an error that has none.
func at(line int, err error) error {
	if err == nil || err == errBreak || err == errContinue {
		return err
	}
	if located := (*lineError)(nil); errors.As(err, &located) {
		return err
	}
	return &lineError{line, err}
}

// lineError is an error of rendering, with its line.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return errors.Wrapf(e.err, "line %d", e.line).Error() }
func (e *lineError) Unwrap() error { return e.err }

func (t textOut) run(r *renderer, _ *scope) error { return r.write(t.text) }

func (p printOut) run(r *renderer, s *scope) error {
	v, err := p.value.value(r, s)
	if err != nil {
		return at(p.line, err)
	}
	return at(p.line, r.write(toString(v)))
}

func (g group) run(r *renderer, s *scope) error { return r.run(g.body, s) }

func (c choice) run(r *renderer, s *scope) error {
	for _, k := range c.cases {
		v, err := k.test.value(r, s)
		if err != nil {
			return at(k.line, err)
		}
		if truth(v) {
			return r.run(k.body, s)
		}
	}
	return r.run(c.otherwise, s)
}

func (l leave) run(*renderer, *scope) error {
	if l.again {
		return errContinue
	}
	return errBreak
}

func (l loop) run(r *renderer, s *scope) error {
	over, err := l.over.value(r, s)
	if err != nil {
		return at(l.line, err)
	}
	items, err := iterate(over)
	if err != nil {
		return at(l.line, err)
	}
	var taken []any
	for _, item := range items {
		if err := r.step(); err != nil {
			return err
		}
		if l.when != nil {
			inner := s.inner()
			if err := unpack(inner, l.names, item); err != nil {
				return at(l.line, err)
			}
			v, err := l.when.value(r, inner)
			if err != nil {
				return at(l.line, err)
			}
			if !truth(v) {
				continue
			}
		}
		taken = append(taken, item)
	}
	if len(taken) == 0 {
		return r.run(l.otherwise, s)
	}
	for i, item := range taken {
		inner := s.inner()
		if err := unpack(inner, l.names, item); err != nil {
			return at(l.line, err)
		}
		inner.names["loop"] = loopValue(taken, i)
		switch err := r.run(l.body, inner); {
		case err == errBreak:
			return nil
		case err != nil && err != errContinue:
			return err
		}
	}
	return nil
}

// loopValue is what a body finds as loop.
func loopValue(items []any, i int) Dict {
	n := int64(len(items))
	at := int64(i)
	neighbour := func(j int) any {
		if j < 0 || j >= len(items) {
			return undefined{"loop's neighbour"}
		}
		return items[j]
	}
	return Dict{
		{"index", at + 1}, {"index0", at}, {"revindex", n - at}, {"revindex0", n - at - 1},
		{"first", i == 0}, {"last", at == n-1}, {"length", n}, {"previtem", neighbour(i - 1)}, {"nextitem", neighbour(i + 1)},
	}
}

// unpack sets names to a value, several to its items.
func unpack(s *scope, names []string, v any) error {
	if len(names) == 1 {
		s.names[names[0]] = v
		return nil
	}
	items, err := iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(names) {
		return errors.Errorf("%d values for %d names", len(items), len(names))
	}
	for i, n := range names {
		s.names[n] = items[i]
	}
	return nil
}

func (a assign) run(r *renderer, s *scope) error {
	var v any
	var err error
	if a.value != nil {
		v, err = a.value.value(r, s)
	} else {
		v, err = r.capture(a.body, s.inner())
	}
	if err != nil {
		return at(a.line, err)
	}
	if a.attribute == "" {
		return at(a.line, unpack(s, a.names, v))
	}
	n, ok := s.lookup(a.names[0]).(*namespace)
	if !ok {
		return at(a.line, errors.Errorf("%s is not a namespace; only attributes of namespaces can be set", a.names[0]))
	}
	n.set(a.attribute, v)
	return nil
}

// capture returns what statements write.
func (r *renderer) capture(body []statement, s *scope) (string, error) {
	out := r.out
	r.out = new(strings.Builder)
	err := r.run(body, s)
	text := r.out.String()
	r.out = out
	return text, err
}

func (m macro) run(_ *renderer, s *scope) error {
	s.names[m.name] = &boundMacro{m, s}
	return nil
}

// boundMacro is a macro where it was defined.
type boundMacro struct {
	macro
	scope *scope
}

func (m *boundMacro) call(r *renderer, args []any, named map[string]any) (any, error) {
	if r.calls++; r.calls > maxCalls {
		return nil, errors.Errorf("macros are called within macros more than %d deep", maxCalls)
	}
	defer func() { r.calls-- }()
	if len(args) > len(m.parameters) {
		return nil, errors.Errorf("%d arguments for the macro %s, which has %d", len(args), m.name, len(m.parameters))
	}
	inner := m.scope.inner()
	for i, p := range m.parameters {
		v, given := named[p.name]
		switch {
		case i < len(args):
			v = args[i]
		case given:
		case p.value != nil:
			var err error
			if v, err = p.value.value(r, inner); err != nil {
				return nil, err
			}
		default:
			v = undefined{p.name}
		}
		inner.names[p.name] = v
	}
	return r.capture(m.body, inner)
}
