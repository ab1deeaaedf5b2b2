package jinja

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// toJSON is the filter tojson as transformers has it: Python's json.dumps without
// escapes of what is not ASCII, with an indentation if that is asked for.
func toJSON(v any, args []any, named map[string]any) (any, error) {
	step := -1
	by := named["indent"]
	if len(args) > 0 {
		by = args[0]
	}
	if by != nil {
		n, ok := by.(int64)
		if !ok || n < 0 || n > 100 {
			return nil, errors.Errorf("an indentation of %s; it must be a number up to 100", toString(by))
		}
		step = int(n)
	}
	var b strings.Builder
	if err := writeJSON(&b, v, step, 0); err != nil {
		return nil, err
	}
	return b.String(), nil
}

// writeJSON writes a value, with items on separate lines if step is not −1.
func writeJSON(b *strings.Builder, v any, step, depth int) error {
	if b.Len() > maxOutput {
		return errTooLong
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		return quoteJSON(b, v)
	case int64, float64:
		b.WriteString(toString(v))
	case []any:
		return writeItems(b, "[]", len(v), step, depth, func(i int) error { return writeJSON(b, v[i], step, depth+1) })
	case Dict:
		return writeItems(b, "{}", len(v), step, depth, func(i int) error {
			if err := quoteJSON(b, v[i].Key); err != nil {
				return err
			}
			b.WriteString(": ")
			return writeJSON(b, v[i].Value, step, depth+1)
		})
	default:
		return errors.Errorf("%s has no form in JSON", kindOf(v))
	}
	return nil
}

func writeItems(b *strings.Builder, brackets string, n, step, depth int, item func(i int) error) error {
	b.WriteByte(brackets[0])
	for i := range n {
		switch {
		case step >= 0 && i > 0:
			b.WriteByte(',')
		case i > 0:
			b.WriteString(", ")
		}
		if step >= 0 {
			b.WriteString("\n" + strings.Repeat(" ", step*(depth+1)))
		}
		if err := item(i); err != nil {
			return err
		}
	}
	if step >= 0 && n > 0 {
		b.WriteString("\n" + strings.Repeat(" ", step*depth))
	}
	b.WriteByte(brackets[1])
	return nil
}

func quoteJSON(b *strings.Builder, s string) error {
	b.WriteByte('"')
	for s != "" {
		// Python leaves these two as they are.
		n := strings.IndexAny(s, "\u2028\u2029")
		if n == 0 {
			n = len("\u2028")
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		if n < 0 {
			n = len(s)
		}
		var line strings.Builder
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(s[:n]); err != nil {
			return errors.Wrap(err, "writing JSON")
		}
		b.WriteString(strings.TrimSuffix(line.String()[1:], "\"\n"))
		s = s[n:]
	}
	b.WriteByte('"')
	return nil
}
