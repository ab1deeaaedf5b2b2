package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// tick is a round number on an axis.
type tick struct {
	value float64
	label string
}

// ticks returns about count round numbers of a range, whole ones if told so.
func ticks(low, high float64, count int, whole bool) (all []tick) {
	rough := (high - low) / float64(count)
	step := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5, 10} {
		if step*m >= rough*0.999 {
			step *= m
			break
		}
	}
	if whole {
		step = max(1, math.Round(step))
	}
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		all = append(all, tick{i * step, label(i*step, step)})
	}
	return all
}

// axisTicks returns about count whole numbers of an axis, powers of two if it is
// logarithmic and covers several of them.
func axisTicks(low, high float64, count int, logarithmic bool) (all []tick) {
	if !logarithmic || low <= 0 || high < 4*low {
		return ticks(low, high, count, true)
	}
	first, last := math.Ceil(math.Log2(low)-1e-9), math.Floor(math.Log2(high)+1e-9)
	for e := first; e <= last; e += math.Ceil((last - first + 1) / float64(count+1)) {
		x := math.Exp2(e)
		text := label(x, x)
		if x >= 1024 { // 1k is 1024 here, as for lengths
			text = short6(x/1024) + "Ki"
		}
		if x >= 1<<20 {
			text = short6(x/(1<<20)) + "Mi"
		}
		all = append(all, tick{x, text})
	}
	return all
}

// label writes a number of an axis whose numbers are so far apart.
func label(x, step float64) string {
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	switch {
	case x == 0:
		return "0"
	case math.Abs(x) >= 1e6:
		return short6(x/1e6) + "M"
	case math.Abs(x) >= 1e4:
		return short6(x/1e3) + "k"
	case digits > 4:
		return strconv.FormatFloat(x, 'e', max(0, digits+int(math.Floor(math.Log10(math.Abs(x))))), 64)
	case digits == 0:
		return numbers.Commas(int64(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func short6(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// number writes a number to read: four significant digits, no fraction from a
// thousand on.
func number(x float64) string {
	if math.Abs(x) >= 1000 && math.Abs(x) < 1e15 {
		return numbers.Commas(int64(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

// human writes a number of bytes.
func human(bytes int64) string { return numbers.Human(float64(bytes), "B") }

// fraction returns the share of part in whole, 0 of nothing.
func fraction(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// width returns the share of part in whole in percent, to a decimal.
func width(part, whole int64) float64 { return tenth(100 * fraction(part, whole)) }

// share writes the share of part in whole.
func share(part, whole int64) string { return numbers.Percent(fraction(part, whole)) }

// pieces cuts a name behind its dots and underscores, where a line may break.
func pieces(name string) (all []string) {
	for {
		i := strings.IndexAny(name, "._") + 1
		if i == 0 {
			return append(all, name)
		}
		all, name = append(all, name[:i]), name[i:]
	}
}
