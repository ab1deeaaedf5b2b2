package report

import (
	"fmt"
	"testing"
)

// TestFieldsAreInOrder with their paths, and those of lists of objects too.
func TestFieldsAreInOrder(t *testing.T) {
	rows, err := Fields([]byte(`{"z": 1234, "seed": 1234, "a": {"s": "x", "n": null, "list": [1,2]}, "l": [{"b": true}, {"c": ""}], "f": 0.5, "g": 0.00030000000000000003, "n": -2}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(rows), "[{z 1,234} {seed 1234} {a.s x} {a.n –} {a.list [1,2]} {l.0.b true} {l.1.c –} {f 0.5} {g 0.0003} {n -2}]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if _, err := Fields([]byte(`{"z": `)); err == nil {
		t.Error("half an object is an object")
	}
}

// TestDifferencesAndCommonFields divide all fields.
func TestDifferencesAndCommonFields(t *testing.T) {
	differ, common := Differences([]string{"one", "two"}, [][]Row{{{"a", "1"}, {"b", "2"}, {"d", "3"}}, {{"a", "1"}, {"b", "4"}, {"c", "5"}, {"d", "3"}}})
	if got, want := fmt.Sprint(differ.Head, differ.Rows, common), "[setting one two] [[b 2 4] [c – 5]] [{a 1} {d 3}]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
