package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// filterFunc is a filter: its value, arguments and named arguments.
type filterFunc func(v any, args []any, named map[string]any) (any, error)

// filters are the filters by name. It is a function's result, since some of them
// use others.
var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"trim": onText(func(s string, args []any) (any, error) {
			return strip(s, args, strings.Trim, strings.TrimSpace), nil
		}),
		"upper":      onText(func(s string, _ []any) (any, error) { return strings.ToUpper(s), nil }),
		"lower":      onText(func(s string, _ []any) (any, error) { return strings.ToLower(s), nil }),
		"title":      onText(func(s string, _ []any) (any, error) { return titleWords(s), nil }),
		"capitalize": onText(func(s string, _ []any) (any, error) { return capitalize(s), nil }),
		"replace":    onText(replace),
		"string":     func(v any, _ []any, _ map[string]any) (any, error) { return toString(v), nil },
		"safe":       func(v any, _ []any, _ map[string]any) (any, error) { return v, nil },
		"length":     length,
		"count":      length,
		"default":    defaulted,
		"d":          defaulted,
		"tojson":     toJSON,
		"indent":     indent,
		"int":        toInt,
		"float":      toFloat,
		"abs": func(v any, _ []any, _ map[string]any) (any, error) {
			if n, ok := v.(int64); ok {
				return max(n, -n), nil
			}
			x, ok := number(v)
			if !ok {
				return nil, errors.Errorf("%s has no absolute value", kindOf(v))
			}
			return math.Abs(x), nil
		},
		"items": func(v any, _ []any, _ map[string]any) (any, error) {
			if d, ok := v.(Dict); ok {
				return items(d), nil
			}
			return nil, errors.Errorf("%s has no items", kindOf(v))
		},
		"list":    onList(func(list []any, _ []any) (any, error) { return slices.Clone(list), nil }),
		"first":   onList(func(list []any, _ []any) (any, error) { return index(list, 0), nil }),
		"last":    onList(func(list []any, _ []any) (any, error) { return index(list, -1), nil }),
		"join":    join,
		"reverse": reverse,
		"unique": onList(func(list []any, _ []any) (any, error) {
			var kept []any
			for _, v := range list {
				if !slices.ContainsFunc(kept, func(k any) bool { return equal(k, v) }) {
					kept = append(kept, v)
				}
			}
			return kept, nil
		}),
		"map":        mapped,
		"selectattr": func(v any, args []any, _ map[string]any) (any, error) { return selected(v, args, true) },
		"rejectattr": func(v any, args []any, _ map[string]any) (any, error) { return selected(v, args, false) },
	}
}

// onText makes a filter of a function of a text.
func onText(f func(s string, args []any) (any, error)) filterFunc {
	return func(v any, args []any, _ map[string]any) (any, error) { return f(toString(v), args) }
}

// onList makes a filter of a function of items.
func onList(f func(list, args []any) (any, error)) filterFunc {
	return func(v any, args []any, _ map[string]any) (any, error) {
		list, err := iterate(v)
		if err != nil {
			return nil, err
		}
		return f(list, args)
	}
}

// strip removes the characters of an argument, or space, from an end of a text.
func strip(s string, args []any, cut func(s, set string) string, space func(string) string) string {
	if len(args) > 0 && args[0] != nil {
		return cut(s, toString(args[0]))
	}
	return space(s)
}

// titleWords is Jinja's filter title: words begin after space and brackets.
func titleWords(s string) string {
	return capitalizeWords(s, func(r rune) bool { return !unicode.IsSpace(r) && !strings.ContainsRune("-({[<", r) })
}

// title is Python's method title: words are of letters.
func title(s string) string { return capitalizeWords(s, unicode.IsLetter) }

func capitalizeWords(s string, ofWord func(r rune) bool) string {
	word := false
	return strings.Map(func(r rune) rune {
		inside := word
		word = ofWord(r)
		if inside {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
}

func replace(s string, args []any) (any, error) {
	if len(args) < 2 {
		return nil, errors.New("replace takes two texts")
	}
	from, to, n := toString(args[0]), toString(args[1]), -1
	if len(args) > 2 {
		count, ok := args[2].(int64)
		if !ok {
			return nil, errors.Errorf("replace takes a number and not %s", kindOf(args[2]))
		}
		n = int(count)
	}
	if len(to) > 0 && int64(strings.Count(s, from))*int64(len(to)) > maxOutput {
		return nil, errTooLong
	}
	return strings.Replace(s, from, to, n), nil
}

func length(v any, _ []any, _ map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		return int64(utf8.RuneCountInString(v)), nil
	case []any:
		return int64(len(v)), nil
	case Dict:
		return int64(len(v)), nil
	case undefined:
		return int64(0), nil
	}
	return nil, errors.Errorf("%s has no length", kindOf(v))
}

func defaulted(v any, args []any, named map[string]any) (any, error) {
	otherwise, falsy := any(""), named["boolean"]
	if len(args) > 0 {
		otherwise = args[0]
	}
	if len(args) > 1 {
		falsy = args[1]
	}
	if _, missing := v.(undefined); missing || truth(falsy) && !truth(v) {
		return otherwise, nil
	}
	return v, nil
}

func indent(v any, args []any, named map[string]any) (any, error) {
	width, first := int64(4), named["first"]
	if w, ok := named["width"]; ok {
		args = append([]any{w}, args...)
	}
	if len(args) > 0 {
		n, ok := args[0].(int64)
		if !ok || n < 0 || n > 1000 {
			return nil, errors.Errorf("an indentation of %s; it must be a number up to 1000", toString(args[0]))
		}
		width = n
	}
	if len(args) > 1 {
		first = args[1]
	}
	pad, text := strings.Repeat(" ", int(width)), toString(v)
	if int64(strings.Count(text, "\n"))*width > maxOutput {
		return nil, errTooLong
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l != "" && (i > 0 || truth(first)) {
			lines[i] = pad + l
		}
	}
	return strings.Join(lines, "\n"), nil
}

func toInt(v any, args []any, _ map[string]any) (any, error) {
	if s, ok := v.(string); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return n, nil
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return otherwiseZero(args), nil
		}
		v = x
	}
	x, ok := number(v)
	if !ok || math.IsNaN(x) || math.Abs(x) > 1<<62 {
		return otherwiseZero(args), nil
	}
	return int64(x), nil
}

func otherwiseZero(args []any) any {
	if len(args) > 0 {
		return args[0]
	}
	return int64(0)
}

func toFloat(v any, _ []any, _ map[string]any) (any, error) {
	if s, ok := v.(string); ok {
		x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return 0.0, nil
		}
		return x, nil
	}
	x, _ := number(v)
	return x, nil
}

func items(d Dict) []any {
	list := make([]any, len(d))
	for i, p := range d {
		list[i] = []any{p.Key, p.Value}
	}
	return list
}

func join(v any, args []any, named map[string]any) (any, error) {
	list, err := iterate(v)
	if err != nil {
		return nil, err
	}
	between := ""
	if len(args) > 0 {
		between = toString(args[0])
	}
	var b strings.Builder
	for i, item := range list {
		if name, ok := named["attribute"]; ok {
			if item, err = lookup(item, toString(name)); err != nil {
				return nil, err
			}
		}
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(toString(item))
		if b.Len() > maxOutput {
			return nil, errTooLong
		}
	}
	return b.String(), nil
}

func reverse(v any, _ []any, _ map[string]any) (any, error) {
	list, err := iterate(v)
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	if _, ok := v.(string); ok {
		return concat(list), nil
	}
	return list, nil
}

func mapped(v any, args []any, named map[string]any) (any, error) {
	list, err := iterate(v)
	if err != nil {
		return nil, err
	}
	name, byAttribute := named["attribute"]
	if !byAttribute && len(args) == 0 {
		return nil, errors.New("map takes an attribute or a filter")
	}
	out := make([]any, len(list))
	for i, item := range list {
		if byAttribute {
			out[i], err = lookup(item, toString(name))
			if _, missing := out[i].(undefined); missing && named["default"] != nil {
				out[i] = named["default"]
			}
		} else if f := filters[toString(args[0])]; f != nil {
			out[i], err = f(item, args[1:], nil)
		} else {
			err = errors.Errorf("the filter %q is not supported", toString(args[0]))
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// selected returns the items whose attribute passes a test, or those that do not.
func selected(v any, args []any, want bool) (any, error) {
	list, err := iterate(v)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, errors.New("it takes the name of an attribute")
	}
	check := func(v any) (bool, error) { return truth(v), nil }
	if len(args) > 1 {
		f := tests[toString(args[1])]
		if f == nil {
			return nil, errors.Errorf("the test %q is not supported", toString(args[1]))
		}
		check = func(v any) (bool, error) { return f(v, args[2:]) }
	}
	kept := []any{}
	for _, item := range list {
		a, err := lookup(item, toString(args[0]))
		if err != nil {
			return nil, err
		}
		ok, err := check(a)
		if err != nil {
			return nil, err
		}
		if ok == want {
			kept = append(kept, item)
		}
	}
	return kept, nil
}
