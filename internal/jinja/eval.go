package jinja

import (
	"math"
	"strings"

	"github.com/pkg/errors"
)

func (l literal) value(*renderer, *scope) (any, error) { return l.v, nil }

func (v variable) value(_ *renderer, s *scope) (any, error) { return s.lookup(v.name), nil }

// all returns the values of expressions.
func all(r *renderer, s *scope, list []expression) ([]any, error) {
	values := make([]any, 0, len(list))
	for _, e := range list {
		v, err := e.value(r, s)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (l listOf) value(r *renderer, s *scope) (any, error) { return all(r, s, l.items) }

func (d dictionary) value(r *renderer, s *scope) (any, error) {
	keys, err := all(r, s, d.keys)
	if err != nil {
		return nil, err
	}
	values, err := all(r, s, d.values)
	if err != nil {
		return nil, err
	}
	made := &namespace{}
	for i, k := range keys {
		key, ok := k.(string)
		if !ok {
			return nil, errors.Errorf("a dictionary's key is %s; only strings are supported", kindOf(k))
		}
		made.set(key, values[i])
	}
	return made.fields, nil
}

func (c conditional) value(r *renderer, s *scope) (any, error) {
	v, err := c.test.value(r, s)
	switch {
	case err != nil:
		return nil, err
	case truth(v):
		return c.then.value(r, s)
	case c.otherwise == nil:
		return undefined{"the value of an if without else"}, nil
	}
	return c.otherwise.value(r, s)
}

func (l logic) value(r *renderer, s *scope) (any, error) {
	v, err := l.a.value(r, s)
	if err != nil || truth(v) == l.or {
		return v, err
	}
	return l.b.value(r, s)
}

func (n negation) value(r *renderer, s *scope) (any, error) {
	v, err := n.of.value(r, s)
	return !truth(v), err
}

func (c comparison) value(r *renderer, s *scope) (any, error) {
	a, err := c.first.value(r, s)
	if err != nil {
		return nil, err
	}
	for _, k := range c.rest {
		b, err := k.with.value(r, s)
		if err != nil {
			return nil, err
		}
		ok, err := compare(k.sign, a, b)
		if err != nil || !ok {
			return false, err
		}
		a = b
	}
	return true, nil
}

func compare(sign string, a, b any) (bool, error) {
	switch sign {
	case "==":
		return equal(a, b), nil
	case "!=":
		return !equal(a, b), nil
	case "in":
		return contains(b, a)
	case "not in":
		ok, err := contains(b, a)
		return !ok, err
	}
	var order int
	x, isX := number(a)
	y, isY := number(b)
	sa, isA := a.(string)
	sb, isB := b.(string)
	switch {
	case isX && isY && x < y, isA && isB && sa < sb:
		order = -1
	case isX && isY && x > y, isA && isB && sa > sb:
		order = 1
	case isX && isY, isA && isB:
	default:
		return false, errors.Errorf("%s and %s cannot be ordered", kindOf(a), kindOf(b))
	}
	switch sign {
	case "<":
		return order < 0, nil
	case ">":
		return order > 0, nil
	case "<=":
		return order <= 0, nil
	}
	return order >= 0, nil
}

func (o operation) value(r *renderer, s *scope) (any, error) {
	a, err := o.a.value(r, s)
	if err != nil {
		return nil, err
	}
	b, err := o.b.value(r, s)
	if err != nil {
		return nil, err
	}
	if err := r.step(); err != nil {
		return nil, err
	}
	v, err := operate(o.sign, a, b)
	return v, at(o.line, err)
}

func operate(sign string, a, b any) (any, error) {
	if sign == "~" {
		return joined(toString(a), toString(b))
	}
	if sign == "+" {
		switch a := a.(type) {
		case string:
			if b, ok := b.(string); ok {
				return joined(a, b)
			}
		case []any:
			if b, ok := b.([]any); ok {
				return append(append(make([]any, 0, len(a)+len(b)), a...), b...), nil
			}
		}
	}
	if text, ok := a.(string); ok && sign == "*" {
		if n, ok := b.(int64); ok {
			if n > 0 && int64(len(text)) > maxOutput/n {
				return nil, errTooLong
			}
			return strings.Repeat(text, int(max(n, 0))), nil
		}
	}
	m, isM := a.(int64)
	n, isN := b.(int64)
	if isM && isN && sign != "/" {
		return integers(sign, m, n)
	}
	x, isX := number(a)
	y, isY := number(b)
	if !isX || !isY {
		return nil, errors.Errorf("%s %s %s is not possible", kindOf(a), sign, kindOf(b))
	}
	return floats(sign, x, y)
}

func joined(a, b string) (any, error) {
	if len(a)+len(b) > maxOutput {
		return nil, errTooLong
	}
	return a + b, nil
}

// integers computes with whole numbers as Python does: division and remainder
// round down.
func integers(sign string, m, n int64) (any, error) {
	switch sign {
	case "+":
		return m + n, nil
	case "-":
		return m - n, nil
	case "*":
		return m * n, nil
	}
	if n == 0 {
		return nil, errors.New("division by zero")
	}
	quotient, rest := m/n, m%n
	if rest != 0 && (rest < 0) != (n < 0) {
		quotient, rest = quotient-1, rest+n
	}
	if sign == "%" {
		return rest, nil
	}
	return quotient, nil
}

func floats(sign string, x, y float64) (any, error) {
	switch sign {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	switch {
	case y == 0:
		return nil, errors.New("division by zero")
	case sign == "/":
		return x / y, nil
	case sign == "//":
		return math.Floor(x / y), nil
	}
	return x - y*math.Floor(x/y), nil
}

func (a attribute) value(r *renderer, s *scope) (any, error) {
	of, err := a.of.value(r, s)
	if err != nil {
		return nil, err
	}
	v, err := lookup(of, a.name)
	return v, at(a.line, err)
}

// lookup returns an attribute of a value, or undefined.
func lookup(of any, name string) (any, error) {
	switch of := of.(type) {
	case undefined:
		return nil, errors.Errorf("%s is undefined, and has no %s", of.name, name)
	case *namespace:
		if v, ok := of.fields.get(name); ok {
			return v, nil
		}
	case Dict:
		if v, ok := of.get(name); ok {
			return v, nil
		}
	case []any:
		if n, err := parseIndex(name); err == nil {
			return index(of, n), nil
		}
	}
	if m := method(of, name); m != nil {
		return m, nil
	}
	return undefined{name}, nil
}

func (x subscript) value(r *renderer, s *scope) (any, error) {
	of, err := x.of.value(r, s)
	if err != nil {
		return nil, err
	}
	var parts [3]any
	for i, p := range x.parts {
		if p == nil {
			continue
		}
		if parts[i], err = p.value(r, s); err != nil {
			return nil, err
		}
	}
	if x.slice {
		v, err := slice(of, parts)
		return v, at(x.line, err)
	}
	switch key := parts[0].(type) {
	case string:
		v, err := lookup(of, key)
		return v, at(x.line, err)
	case int64:
		switch of := of.(type) {
		case []any:
			return index(of, key), nil
		case string:
			return index(characters(of), key), nil
		}
	}
	if u, ok := of.(undefined); ok {
		return nil, at(x.line, errors.Errorf("%s is undefined, and has no parts", u.name))
	}
	return undefined{"a part of " + kindOf(of)}, nil
}

func index(list []any, i int64) any {
	if i < 0 {
		i += int64(len(list))
	}
	if i < 0 || i >= int64(len(list)) {
		return undefined{"an item beyond the end of a list"}
	}
	return list[i]
}

// slice returns a part of a list or a string as Python does.
func slice(of any, parts [3]any) (any, error) {
	text, isText := of.(string)
	list, isList := of.([]any)
	switch {
	case isText:
		list = characters(text)
	case !isList:
		return nil, errors.Errorf("%s has no slices", kindOf(of))
	}
	n := int64(len(list))
	number := func(v any, otherwise int64) (int64, error) {
		if v == nil {
			return otherwise, nil
		}
		i, ok := v.(int64)
		if !ok {
			return 0, errors.Errorf("a slice's bound is %s", kindOf(v))
		}
		return i, nil
	}
	step, err := number(parts[2], 1)
	if err == nil && step == 0 {
		err = errors.New("a slice's step is 0")
	}
	if err != nil {
		return nil, err
	}
	first, last := int64(0), n
	if step < 0 {
		first, last = n-1, -1
	}
	bound := func(v any, otherwise int64) (int64, error) {
		i, err := number(v, otherwise)
		if v == nil || err != nil {
			return i, err
		}
		if i < 0 {
			i += n
		}
		if step < 0 {
			return max(-1, min(i, n-1)), nil
		}
		return max(0, min(i, n)), nil
	}
	from, err := bound(parts[0], first)
	if err != nil {
		return nil, err
	}
	to, err := bound(parts[1], last)
	if err != nil {
		return nil, err
	}
	taken := []any{}
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		taken = append(taken, list[i])
		if step > n || step < -n {
			break // and no overflow
		}
	}
	if isText {
		return concat(taken), nil
	}
	return taken, nil
}

func (c call) value(r *renderer, s *scope) (any, error) {
	of, err := c.of.value(r, s)
	if err != nil {
		return nil, err
	}
	args, named, err := c.arguments.evaluate(r, s)
	if err != nil {
		return nil, err
	}
	if err := r.step(); err != nil {
		return nil, err
	}
	var v any
	switch of := of.(type) {
	case *boundMacro:
		v, err = of.call(r, args, named)
	case keyed:
		v, err = of(args, named)
	case Func:
		if len(named) > 0 {
			return nil, at(c.line, errors.New("the function takes no named arguments"))
		}
		v, err = of(args...)
		v = normal(v)
	case undefined:
		err = errors.Errorf("%s is undefined, and cannot be called", of.name)
	default:
		err = errors.Errorf("%s cannot be called", kindOf(of))
	}
	return v, at(c.line, err)
}

// keyed is a function with named arguments.
type keyed func(args []any, named map[string]any) (any, error)

// evaluate returns the values of arguments.
func (a arguments) evaluate(r *renderer, s *scope) ([]any, map[string]any, error) {
	values, err := all(r, s, a.values)
	if err != nil {
		return nil, nil, err
	}
	named := make(map[string]any)
	for _, p := range a.named {
		if named[p.name], err = p.value.value(r, s); err != nil {
			return nil, nil, err
		}
	}
	return values, named, nil
}

func (f filter) value(r *renderer, s *scope) (any, error) {
	of, err := f.of.value(r, s)
	if err != nil {
		return nil, err
	}
	args, named, err := f.arguments.evaluate(r, s)
	if err != nil {
		return nil, err
	}
	if err := r.step(); err != nil {
		return nil, err
	}
	v, err := filters[f.name](of, args, named)
	return v, at(f.line, errors.Wrapf(err, "the filter %s", f.name))
}

func (t test) value(r *renderer, s *scope) (any, error) {
	of, err := t.of.value(r, s)
	if err != nil {
		return nil, err
	}
	args, _, err := t.arguments.evaluate(r, s)
	if err != nil {
		return nil, err
	}
	ok, err := tests[t.name](of, args)
	return ok != t.not, at(t.line, errors.Wrapf(err, "the test %s", t.name))
}
