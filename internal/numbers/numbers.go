// Package numbers formats numbers for readers: counts, amounts, shares and
// times, in the same way in a terminal and on a page.
package numbers

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Finite reports whether x is neither NaN nor infinite.
func Finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Commas returns n with a comma between every three digits, such as 1,234,567.
func Commas[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	first := 3
	if n < 0 {
		first = 4
	}
	for i := len(s); i > first; i -= 3 {
		s = s[:i-3] + "," + s[i-3:]
	}
	return s
}

// Count returns "1 thing" or "n things".
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return Commas(n) + " " + thing
}

// Were returns "1 thing was" or "n things were".
func Were(n int, thing string) string {
	if n == 1 {
		return Count(n, thing) + " was"
	}
	return Count(n, thing) + " were"
}

// Percent formats a share of a whole. A small share is not written as 0 %, and
// a share just below 1 is not written as 100 %.
func Percent(share float64) string {
	switch {
	case share > 0 && share < 0.0005:
		return "< 0.1 %"
	case share < 1 && share >= 0.9995:
		return "> 99.9 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// Human returns x with three digits and a decimal prefix, such as 3.41 GB.
func Human(x float64, unit string) string {
	prefixes := []string{"", "k", "M", "G", "T", "P", "E"}
	k := 0
	for x >= 999.5 && k < len(prefixes)-1 {
		x /= 1000
		k++
	}
	decimals := 2
	switch {
	case k == 0 || x >= 99.95:
		decimals = 0
	case x >= 9.995:
		decimals = 1
	}
	return strconv.FormatFloat(x, 'f', decimals, 64) + " " + prefixes[k] + unit
}

// Span formats a duration to the second, or to the minute from one hour on.
func Span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// LogProb returns log softmax(logits)[t].
func LogProb(logits []float64, t int) float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = math.Max(top, v)
	}
	var sum float64
	for _, v := range logits {
		sum += math.Exp(v - top)
	}
	return logits[t] - top - math.Log(sum)
}
