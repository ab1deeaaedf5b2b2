package jinja

import (
	"strings"
	"unicode"

	"github.com/pkg/errors"
)

// builtin are the functions that every template has.
var builtin = map[string]any{
	"range": Func(rangeOf),
	"namespace": keyed(func(args []any, named map[string]any) (any, error) {
		n := &namespace{}
		for _, a := range args {
			if d, ok := a.(Dict); ok {
				for _, p := range d {
					n.set(p.Key, p.Value)
				}
			}
		}
		for k, v := range named {
			n.set(k, v)
		}
		return n, nil
	}),
	"dict": keyed(func(_ []any, named map[string]any) (any, error) {
		return nil, errors.New("dict() is not supported; write {…}")
	}),
	"raise_exception": Func(func(args ...any) (any, error) {
		return nil, errors.Errorf("the template refuses the messages: %s", toString(first(args)))
	}),
}

// maxRange bounds the numbers of a range.
const maxRange = 100_000

func rangeOf(args ...any) (any, error) {
	var n [3]int64
	n[2] = 1
	if len(args) < 1 || len(args) > 3 {
		return nil, errors.Errorf("range takes one to three numbers, not %d", len(args))
	}
	for i, a := range args {
		v, ok := a.(int64)
		if !ok {
			return nil, errors.Errorf("range takes numbers, not %s", kindOf(a))
		}
		n[i] = v
	}
	if len(args) == 1 {
		n[0], n[1] = 0, n[0]
	}
	list := []any{}
	if n[2] == 0 {
		return nil, errors.New("a range's step is 0")
	}
	for i := n[0]; n[2] > 0 && i < n[1] || n[2] < 0 && i > n[1]; i += n[2] {
		if len(list) == maxRange {
			return nil, errors.Errorf("a range has more than %d numbers", maxRange)
		}
		list = append(list, i)
	}
	return list, nil
}

// method returns a method of Python's strings and dictionaries, nil if there is
// none of that name.
func method(of any, name string) any {
	switch of := of.(type) {
	case string:
		if m := stringMethods[name]; m != nil {
			return Func(func(args ...any) (any, error) { return m(of, args) })
		}
	case Dict:
		switch name {
		case "items":
			return Func(func(...any) (any, error) { return items(of), nil })
		case "keys":
			return Func(func(...any) (any, error) { return iterate(of) })
		case "values":
			return Func(func(...any) (any, error) {
				list := make([]any, len(of))
				for i, p := range of {
					list[i] = p.Value
				}
				return list, nil
			})
		case "get":
			return Func(func(args ...any) (any, error) {
				if v, ok := of.get(toString(first(args))); ok {
					return v, nil
				}
				if len(args) > 1 {
					return args[1], nil
				}
				return nil, nil
			})
		}
	}
	return nil
}

var stringMethods map[string]func(s string, args []any) (any, error)

func init() {
	stringMethods = map[string]func(s string, args []any) (any, error){
		"strip": func(s string, args []any) (any, error) { return strip(s, args, strings.Trim, strings.TrimSpace), nil },
		"lstrip": func(s string, args []any) (any, error) {
			return strip(s, args, strings.TrimLeft, func(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }), nil
		},
		"rstrip": func(s string, args []any) (any, error) {
			return strip(s, args, strings.TrimRight, func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) }), nil
		},
		"upper":      func(s string, _ []any) (any, error) { return strings.ToUpper(s), nil },
		"lower":      func(s string, _ []any) (any, error) { return strings.ToLower(s), nil },
		"title":      func(s string, _ []any) (any, error) { return title(s), nil },
		"capitalize": func(s string, _ []any) (any, error) { return capitalize(s), nil },
		"replace":    replace,
		"startswith": func(s string, args []any) (any, error) { return affix(s, args, strings.HasPrefix) },
		"endswith":   func(s string, args []any) (any, error) { return affix(s, args, strings.HasSuffix) },
		"find": func(s string, args []any) (any, error) {
			i := strings.Index(s, toString(first(args)))
			if i > 0 {
				i = len([]rune(s[:i]))
			}
			return int64(i), nil
		},
		"count": func(s string, args []any) (any, error) { return int64(strings.Count(s, toString(first(args)))), nil },
		"join": func(s string, args []any) (any, error) {
			return join(first(args), []any{s}, nil)
		},
		"split":  split,
		"rsplit": rsplit,
	}
}

// affix looks for one text or for any of a tuple.
func affix(s string, args []any, has func(s, part string) bool) (any, error) {
	parts, ok := first(args).([]any)
	if !ok {
		parts = []any{first(args)}
	}
	for _, p := range parts {
		if has(s, toString(p)) {
			return true, nil
		}
	}
	return false, nil
}

// most returns how many parts a split makes at most, −1 for any number.
func most(args []any) (int, error) {
	if len(args) < 2 {
		return -1, nil
	}
	n, ok := args[1].(int64)
	if !ok {
		return 0, errors.Errorf("split takes a number and not %s", kindOf(args[1]))
	}
	if n < 0 {
		return -1, nil
	}
	return int(min(n, maxRange)) + 1, nil
}

func split(s string, args []any) (any, error) {
	n, err := most(args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 || args[0] == nil {
		return texts(strings.Fields(s)), nil
	}
	if toString(args[0]) == "" {
		return nil, errors.New("split at an empty text")
	}
	return texts(strings.SplitN(s, toString(args[0]), n)), nil
}

func rsplit(s string, args []any) (any, error) {
	n, err := most(args)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 || args[0] == nil || n < 0 {
		return split(s, args[:min(len(args), 1)])
	}
	by := toString(args[0])
	if by == "" {
		return nil, errors.New("split at an empty text")
	}
	parts := strings.Split(s, by)
	if extra := len(parts) - n; extra > 0 {
		parts = append([]string{strings.Join(parts[:extra+1], by)}, parts[extra+1:]...)
	}
	return texts(parts), nil
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
