package jinja

import (
	"math"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// truth reports whether a value counts as true.
func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case Dict:
		return len(v) > 0
	}
	return true
}

// kindOf names what a value is, for errors.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "none"
	case undefined:
		return "an undefined value"
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case Dict:
		return "a dictionary"
	case *namespace:
		return "a namespace"
	}
	return "a function"
}

// number returns a value as a number; as in Python, a truth value is one.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case string:
		b, ok := b.(string)
		return ok && a == b
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case Dict:
		b, ok := b.(Dict)
		if !ok || len(a) != len(b) {
			return false
		}
		for _, p := range a {
			if v, ok := b.get(p.Key); !ok || !equal(p.Value, v) {
				return false
			}
		}
		return true
	}
	return false
}

// contains reports whether a value is in a list, a key in a dictionary or a text
// in a text.
func contains(in, v any) (bool, error) {
	switch in := in.(type) {
	case string:
		if v, ok := v.(string); ok {
			return strings.Contains(in, v), nil
		}
	case []any:
		for _, item := range in {
			if equal(item, v) {
				return true, nil
			}
		}
		return false, nil
	case Dict:
		if v, ok := v.(string); ok {
			_, found := in.get(v)
			return found, nil
		}
		return false, nil
	case undefined:
		return false, nil
	}
	return false, errors.Errorf("%s cannot be in %s", kindOf(v), kindOf(in))
}

// iterate returns the items of a value.
func iterate(v any) ([]any, error) {
	switch v := v.(type) {
	case []any:
		return v, nil
	case undefined:
		return nil, nil
	case string:
		return characters(v), nil
	case Dict:
		keys := make([]any, len(v))
		for i, p := range v {
			keys[i] = p.Key
		}
		return keys, nil
	}
	return nil, errors.Errorf("%s has no items", kindOf(v))
}

func characters(s string) []any {
	list := make([]any, 0, len(s))
	for _, r := range s {
		list = append(list, string(r))
	}
	return list
}

func concat(list []any) string {
	var b strings.Builder
	for _, v := range list {
		b.WriteString(toString(v))
	}
	return b.String()
}

func parseIndex(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// toString returns what {{ }} prints: Python's str.
func toString(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	return repr(v)
}

// repr returns what Python prints of a value within another.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return floatString(v)
	case string:
		return quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = repr(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case Dict:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = quote(p.Key) + ": " + repr(p.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case undefined:
		return "Undefined"
	}
	return "<" + strings.TrimPrefix(kindOf(v), "a ") + ">"
}

// quote returns a string as Python prints it within a list.
func quote(s string) string {
	mark := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		mark = `"`
	}
	return mark + strings.NewReplacer(`\`, `\\`, mark, `\`+mark, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(s) + mark
}

// floatString returns a number as Python prints it.
func floatString(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	case math.IsNaN(x):
		return "nan"
	case x == math.Trunc(x) && math.Abs(x) < 1e16:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case math.Abs(x) >= 1e16 || math.Abs(x) < 1e-4:
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
