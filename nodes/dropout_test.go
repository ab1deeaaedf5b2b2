package nodes

import (
	"math"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const dropoutSize = 100_000

// dropped runs a dropout of ones.
func dropped(t *testing.T, dt tensor.Dtype, id uint64, rate float64, seed, step int) []float64 {
	t.Helper()
	return droppedFrom(t, dt, id, rate, seed, step, 0)
}

// droppedFrom runs a dropout of ones in rows of which the first has a number.
func droppedFrom(t *testing.T, dt tensor.Dtype, id uint64, rate float64, seed, step, row int) []float64 {
	t.Helper()
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, dt, gorgonia.WithShape(dropoutSize/10, 10), gorgonia.WithName("x"), gorgonia.WithInit(gorgonia.Ones()))
	key := DropoutKey(g)
	y, err := Dropout(x, key, id, rate)
	if err != nil {
		t.Fatal(err)
	}
	if err := gorgonia.Let(key, tensor.New(tensor.WithShape(3), tensor.WithBacking([]int{seed, step, row}))); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return elementsOf(y.Value())
}

func TestDropoutFollowsFromItsKeyAndID(t *testing.T) {
	const rate = 0.3
	want := dropped(t, tensor.Float64, 1, rate, 5, 9)
	if !slices.Equal(want, dropped(t, tensor.Float64, 1, rate, 5, 9)) {
		t.Error("the same key and id drop other elements")
	}
	// Two independent masks agree in a share of p² + (1−p)².
	const agree = rate*rate + (1-rate)*(1-rate)
	for name, other := range map[string][]float64{
		"seed": dropped(t, tensor.Float64, 1, rate, 6, 9), "step": dropped(t, tensor.Float64, 1, rate, 5, 10),
		"id": dropped(t, tensor.Float64, 2, rate, 5, 9), "seed and step exchanged": dropped(t, tensor.Float64, 1, rate, 9, 5),
	} {
		same := 0
		for k := range want {
			if want[k] == other[k] {
				same++
			}
		}
		if share := float64(same) / dropoutSize; math.Abs(share-agree) > 5*math.Sqrt(agree*(1-agree)/dropoutSize) {
			t.Errorf("masks of another %s agree in %v, want about %v", name, share, agree)
		}
	}
	single := dropped(t, tensor.Float32, 1, rate, 5, 9)
	for k := range want {
		if (want[k] == 0) != (single[k] == 0) {
			t.Fatalf("float32 and float64 drop different elements, the first at %d", k)
		}
	}
}

func TestDropoutKeepsItsShareAndTheMean(t *testing.T) {
	for _, rate := range []float64{0.01, 0.1, 0.5, 0.9} {
		kept, sum := 0, 0.0
		for _, v := range dropped(t, tensor.Float64, 3, rate, 1, 2) {
			if v != 0 {
				kept++
				if math.Abs(v-1/(1-rate)) > 1e-12 {
					t.Fatalf("rate %v: an element that stays becomes %v, want %v", rate, v, 1/(1-rate))
				}
			}
			sum += v
		}
		sigma := math.Sqrt(rate * (1 - rate) / dropoutSize)
		if share := float64(kept) / dropoutSize; math.Abs(share-(1-rate)) > 5*sigma {
			t.Errorf("rate %v keeps %v", rate, share)
		}
		if mean := sum / dropoutSize; math.Abs(mean-1) > 5*sigma/(1-rate) {
			t.Errorf("rate %v: the mean becomes %v", rate, mean)
		}
	}
}

func TestDropoutOfRateZeroChangesNothing(t *testing.T) {
	for k, v := range dropped(t, tensor.Float64, 1, 0, 1, 1) {
		if v != 1 {
			t.Fatalf("element %d is %v", k, v)
		}
	}
}

func TestRowsOfAPartDropWhatTheyDropInTheWhole(t *testing.T) {
	const row = 3000
	whole, part := dropped(t, tensor.Float32, 1, 0.5, 5, 9), droppedFrom(t, tensor.Float32, 1, 0.5, 5, 9, row)
	if !slices.Equal(whole[row*10:], part[:dropoutSize-row*10]) {
		t.Errorf("rows from %d on drop other elements than in the whole", row)
	}
}
