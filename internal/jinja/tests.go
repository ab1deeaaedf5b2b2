package jinja

import (
	"strings"
	"unicode"

	"github.com/pkg/errors"
)

// tests are what may follow is, by name.
var tests = map[string]func(v any, args []any) (bool, error){
	"defined":   func(v any, _ []any) (bool, error) { return !is[undefined](v), nil },
	"undefined": func(v any, _ []any) (bool, error) { return is[undefined](v), nil },
	"none":      func(v any, _ []any) (bool, error) { return v == nil, nil },
	"string":    func(v any, _ []any) (bool, error) { return is[string](v), nil },
	"boolean":   func(v any, _ []any) (bool, error) { return is[bool](v), nil },
	"integer":   func(v any, _ []any) (bool, error) { return is[int64](v), nil },
	"float":     func(v any, _ []any) (bool, error) { return is[float64](v), nil },
	"number":    func(v any, _ []any) (bool, error) { _, ok := number(v); return ok, nil },
	"mapping":   func(v any, _ []any) (bool, error) { return is[Dict](v), nil },
	"iterable":  func(v any, _ []any) (bool, error) { _, err := iterate(v); return err == nil, nil },
	"sequence": func(v any, _ []any) (bool, error) {
		return is[string](v) || is[[]any](v) || is[Dict](v) || is[undefined](v), nil
	},
	"callable": func(v any, _ []any) (bool, error) { return is[Func](v) || is[keyed](v) || is[*boundMacro](v), nil },
	"true":     func(v any, _ []any) (bool, error) { return v == true, nil },
	"false":    func(v any, _ []any) (bool, error) { return v == false, nil },
	"odd":      func(v any, _ []any) (bool, error) { return remainder(v, 2, 1) },
	"even":     func(v any, _ []any) (bool, error) { return remainder(v, 2, 0) },
	"divisibleby": func(v any, args []any) (bool, error) {
		if n, ok := first(args).(int64); ok && n != 0 {
			return remainder(v, n, 0)
		}
		return false, errors.New("it takes a number other than 0")
	},
	"equalto": func(v any, args []any) (bool, error) { return equal(v, first(args)), nil },
	"eq":      func(v any, args []any) (bool, error) { return equal(v, first(args)), nil },
	"ne":      func(v any, args []any) (bool, error) { return !equal(v, first(args)), nil },
	"in":      func(v any, args []any) (bool, error) { return contains(first(args), v) },
	"lower": func(v any, _ []any) (bool, error) {
		s := toString(v)
		return strings.IndexFunc(s, unicode.IsUpper) < 0 && strings.IndexFunc(s, unicode.IsLower) >= 0, nil
	},
	"upper": func(v any, _ []any) (bool, error) {
		s := toString(v)
		return strings.IndexFunc(s, unicode.IsLower) < 0 && strings.IndexFunc(s, unicode.IsUpper) >= 0, nil
	},
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

// first returns the first argument, undefined if there is none.
func first(args []any) any {
	if len(args) == 0 {
		return undefined{"an argument"}
	}
	return args[0]
}

func remainder(v any, by, want int64) (bool, error) {
	n, ok := v.(int64)
	if !ok {
		return false, errors.Errorf("%s is not a whole number", kindOf(v))
	}
	rest, err := integers("%", n, by)
	return rest == want, err
}
