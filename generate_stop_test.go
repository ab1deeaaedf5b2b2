package xlstm

import "testing"

func TestStopStringsAreFoundEarliestFirst(t *testing.T) {
	for _, c := range []struct {
		text  string
		stops []string
		want  int
	}{
		{"abc", nil, -1}, {"abc", []string{""}, -1}, {"abcb", []string{"b"}, 1}, {"abcd", []string{"d", "bc"}, 1},
	} {
		if got := firstStop(c.text, c.stops); got != c.want {
			t.Errorf("firstStop(%q, %q) = %d, want %d", c.text, c.stops, got, c.want)
		}
	}
}

func TestPendingKeepsWhatMayBecomeAStopString(t *testing.T) {
	for _, c := range []struct {
		text  string
		stops []string
		want  int
	}{
		{"abc", nil, 0}, {"abc", []string{"cd"}, 1}, {"abc", []string{"bcd", "cx"}, 2}, {"abc", []string{"abc"}, 0}, {"caf\xc3", nil, 1}, {"\xe2\x82", nil, 2}, {"\xff", nil, 0}, {"é", nil, 0},
	} {
		if got := pending(c.text, c.stops); got != c.want {
			t.Errorf("pending(%q, %q) = %d, want %d", c.text, c.stops, got, c.want)
		}
	}
}
