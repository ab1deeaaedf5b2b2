package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Fields lists all values in a JSON object in their order, by their paths: names
// and indices joined by dots.
func Fields(object []byte) (rows []Row, err error) {
	err = addFields(&rows, "", object)
	return rows, errors.Wrap(err, "listing settings")
}

// addFields adds a value, or every value in it, to rows.
func addFields(rows *[]Row, path string, value json.RawMessage) error {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return errors.Errorf("%s has no value", path)
	}
	inner := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch {
	case value[0] == '{':
		return eachField(value, func(name string, v json.RawMessage) error { return addFields(rows, inner(name), v) })
	case value[0] == '[' && bytes.Contains(value, []byte("{")):
		var all []json.RawMessage
		if err := json.Unmarshal(value, &all); err != nil {
			return err
		}
		for i, v := range all {
			if err := addFields(rows, inner(strconv.Itoa(i)), v); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := fieldText(path, value)
	*rows = append(*rows, Row{Name: path, Value: text})
	return err
}

// fieldText writes a value to read. A seed is a name rather than a number.
func fieldText(path string, value json.RawMessage) (string, error) {
	text := string(value)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n >= 0 && path != "seed" {
			text = numbers.Commas(n)
		}
	} else if x, err := strconv.ParseFloat(text, 64); err == nil { // 0.1·3e-3 has 17 digits
		text = strconv.FormatFloat(x, 'g', 10, 64)
	}
	if value[0] == '"' {
		if err := json.Unmarshal(value, &text); err != nil {
			return "", err
		}
	}
	if text == "" || text == "null" {
		text = "–"
	}
	return text, nil
}

// eachField calls f with the fields of a JSON object, in their order.
func eachField(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

// Differences returns the fields in which several lists of fields differ, with a
// column for each list, and those that they have in common.
func Differences(names []string, lists [][]Row) (differ Grid, common []Row) {
	values := make([]map[string]string, len(lists))
	var order []string
	for i, list := range lists {
		values[i] = make(map[string]string)
		at := 0
		for _, r := range list {
			values[i][r.Name] = r.Value
			if k := slices.Index(order, r.Name); k >= 0 {
				at = k + 1
				continue
			}
			order = slices.Insert(order, at, r.Name)
			at++
		}
	}
	differ.Head = append([]string{"setting"}, names...)
	for _, name := range order {
		row, same := []string{name}, true
		for _, v := range values {
			value, ok := v[name]
			if !ok {
				value = "–"
			}
			row = append(row, value)
			same = same && value == row[1]
		}
		if same {
			common = append(common, Row{name, row[1]})
		} else {
			differ.Rows = append(differ.Rows, row)
		}
	}
	return differ, common
}
