package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// clearLine takes the cursor to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// part is a part of a line: a cell of the table, or what stands beside the bar.
type part struct {
	title, text string
	width       int
	rank        int // the parts of the highest rank are left out first
}

// fit leaves parts out, the highest ranks first, until they and a space before
// each fit into width columns. Those of rank 0 stay.
func fit(parts []part, width int) []part {
	total, worst := -1, 0
	for _, p := range parts {
		total += 1 + p.width
		worst = max(worst, p.rank)
	}
	if total <= width || worst == 0 {
		return parts
	}
	var kept []part
	for _, p := range parts {
		if p.rank < worst {
			kept = append(kept, p)
		}
	}
	return fit(kept, width)
}

// bar returns a progress bar that fits into width columns: the share that is done,
// from 0 to 1, a count, and as much of the state as there is room for.
func bar(done float64, count string, state []part, width int) string {
	const least = 6 // columns of the bar itself
	done = max(0, min(done, 1))
	head, tail := fmt.Sprintf("%.0f%% |", 100*done), "| "+count
	room := width - len("100% |") - utf8.RuneCountInString(tail) - 1
	for i := range state {
		state[i].width = utf8.RuneCountInString(state[i].text)
	}
	for _, p := range fit(state, room-1-least) {
		tail += " " + p.text
		room -= 1 + p.width
	}
	room = max(room, 1)
	full := int(float64(room) * done)
	line := []rune(head + strings.Repeat("█", full) + strings.Repeat(" ", room-full) + tail)
	return string(line[:min(len(line), width)])
}
