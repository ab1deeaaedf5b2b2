package numbers

import (
	"testing"
	"time"
)

func TestNumbersForPeople(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 470_123: "470 kB", 999_499: "999 kB", 999_500: "1.00 MB",
		9_994_000: "9.99 MB", 9_996_000: "10.0 MB", 99_960_000: "100 MB", 3.41e9: "3.41 GB", 2e21: "2000 EB",
	} {
		if got := Human(x, "B"); got != want {
			t.Errorf("%v is %q, want %q", x, got, want)
		}
	}
	for n, want := range map[int64]string{-1234567: "-1,234,567", -100: "-100", 0: "0", 999: "999", 1000: "1,000", 100000: "100,000", 1422559616: "1,422,559,616"} {
		if got := Commas(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestShareOfSomethingIsNotZero(t *testing.T) {
	for share, want := range map[float64]string{0: "0.0 %", 1e-9: "< 0.1 %", 0.0004: "< 0.1 %", 0.0006: "0.1 %", 0.125: "12.5 %", 0.9999: "> 99.9 %", 1: "100.0 %"} {
		if got := Percent(share); got != want {
			t.Errorf("%v is %q, want %q", share, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond:           "0s",
		92 * time.Second:                 "1m32s",
		time.Hour - time.Millisecond:     "1h00m",
		27*time.Hour + 605*time.Second:   "27h10m",
		2*time.Hour + 59*time.Second + 1: "2h00m",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
