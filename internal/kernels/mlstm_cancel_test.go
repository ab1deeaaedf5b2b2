package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// cancelKind makes cells in which h becomes large because the shares that
// normalise it nearly cancel, and in which one share, a state or an old input,
// outweighs the others. What the gates get are then small differences of large
// numbers.
type cancelKind struct {
	name string
	make func(c mlstmCase, uniform func(x []float64, low, high float64), r *rand.Rand)
	// The largest float32 error of PyTorch's automatic derivative on the same
	// cases, relative to the largest element: of the official chunkwise form in
	// chunks of 16 and of 96, of the recurrent form, and of the better official
	// parallel form with the first input in the place of the state.
	chunkwise, recurrent, parallel map[string]float64
}

var cancelKinds = []cancelKind{
	{
		"hot gates",
		func(c mlstmCase, uniform func(x []float64, low, high float64), r *rand.Rand) {
			uniform(c.i, -20, 40)
			uniform(c.f, -20, 20)
			uniform(c.state.M, 10, 11)
		},
		map[string]float64{"h": 3.9e-4, "dq": 7.8e-4, "dk": 8.0e-4, "dv": 3.9e-4, "di": 7.9e-4, "df": 7.8e-4, "dC": 3.9e-7, "dn": 7.0e-7, "dm": 1.4e-4},
		map[string]float64{"h": 1.8e-5, "dq": 1.4e-4, "dk": 6.4e-5, "dv": 1.8e-5, "di": 3.7e-5, "df": 3.7e-5, "dC": 3.5e-7, "dn": 1.2e-6, "dm": 6.4e-5},
		map[string]float64{"h": 2.0e-5, "dq": 4.0e-5, "dk": 4.0e-5, "dv": 2.0e-5, "di": 3.9e-5, "df": 3.9e-5},
	},
	{
		"long memory",
		func(c mlstmCase, uniform func(x []float64, low, high float64), r *rand.Rand) {
			uniform(c.i, -12, -4)
			uniform(c.f, 4, 12)
			uniform(c.state.M, 4, 6)
		},
		map[string]float64{"h": 1.3e-5, "dq": 9.4e-6, "dk": 9.1e-6, "dv": 1.2e-5, "di": 6.9e-6, "df": 5.2e-6, "dC": 1.3e-5, "dn": 9.4e-6, "dm": 4.0e-6},
		map[string]float64{"h": 5.2e-5, "dq": 7.8e-5, "dk": 2.1e-5, "dv": 3.1e-5, "di": 4.5e-5, "df": 1.9e-5, "dC": 4.5e-5, "dn": 6.0e-5, "dm": 1.7e-5},
		map[string]float64{"h": 1.1e-5, "dq": 3.1e-5, "dk": 1.8e-5, "dv": 1.3e-6, "di": 1.4e-5, "df": 1.4e-5},
	},
	{
		"long memory, then a fresh input",
		func(c mlstmCase, uniform func(x []float64, low, high float64), r *rand.Rand) {
			uniform(c.i, -12, -4)
			uniform(c.f, 6, 12)
			uniform(c.state.M, 4, 6)
			for i := range c.i {
				if r.IntN(32) == 0 {
					c.i[i] = 5 + float64(i)/16
				}
			}
		},
		map[string]float64{"h": 1.4e-4, "dq": 2.7e-4, "dk": 1.3e-4, "dv": 1.2e-4, "di": 2.8e-4, "df": 2.8e-4, "dC": 6.7e-5, "dn": 1.3e-4, "dm": 1.3e-4},
		map[string]float64{"h": 8.4e-5, "dq": 2.5e-4, "dk": 2.5e-4, "dv": 7.3e-5, "di": 1.7e-4, "df": 2.0e-4, "dC": 1.2e-4, "dn": 2.5e-4, "dm": 2.4e-4},
		map[string]float64{"h": 3.3e-5, "dq": 4.5e-5, "dk": 4.4e-5, "dv": 2.6e-5, "di": 4.3e-5, "df": 4.3e-5},
	},
	{
		"large state",
		func(c mlstmCase, uniform func(x []float64, low, high float64), r *rand.Rand) {
			uniform(c.i, -2, 8)
			uniform(c.f, 2, 10)
			uniform(c.state.M, 3, 5)
			for i := range c.state.C {
				c.state.C[i] *= 300
			}
		},
		map[string]float64{"h": 3.9e-5, "dq": 1.8e-4, "dk": 1.8e-4, "dv": 8.8e-5, "di": 1.8e-4, "df": 1.8e-4, "dC": 5.5e-5, "dn": 1.4e-4, "dm": 2.4e-4},
		map[string]float64{"h": 7.0e-5, "dq": 4.9e-4, "dk": 5.2e-4, "dv": 2.1e-4, "di": 5.7e-4, "df": 4.8e-4, "dC": 3.4e-5, "dn": 1.2e-4, "dm": 4.8e-5},
		map[string]float64{"h": 5.4e-5, "dq": 1.1e-4, "dk": 1.1e-4, "dv": 4.9e-5, "di": 1.1e-4, "df": 1.1e-4},
	},
}

func (k cancelKind) cell(seed uint64) mlstmCase {
	s := MLSTM{B: 1, T: 96, NH: 2, DQK: 8, DHV: 16, ScaleQ: 1 / math.Sqrt(8), ScaleK: 1, Eps: 1e-6}
	c := newMLSTMCase(seed, s, 1, true)
	r := rand.New(rand.NewPCG(seed, 2))
	k.make(c, func(x []float64, low, high float64) {
		for i := range x {
			x[i] = low + (high-low)*r.Float64()
		}
	}, r)
	c.dLast = zeroState[float64](s)
	c.rounded()
	return c
}

// withoutState changes to the parallel form, which has no state: the first input
// gets the weight of the state.
func (c mlstmCase) withoutState() mlstmCase {
	c.s.Chunk = 0
	for h := range c.s.NH {
		c.i[h] = c.state.M[h]
	}
	c.state = MLSTMState[float64]{}
	return c
}

// TestMLSTMGradientsWhereSharesCancel: in single precision all forms are as near to
// double precision as an automatic derivative, within a factor of ten.
func TestMLSTMGradientsWhereSharesCancel(t *testing.T) {
	for _, kind := range cancelKinds {
		for seed := range uint64(6) {
			c := kind.cell(seed)
			check := func(form string, got mlstmResult[float32], want mlstmResult[float64], torch map[string]float64) {
				for name, tol := range torch {
					if d := apart(got.all()[name], want.all()[name]); !(d <= 10*tol) {
						t.Errorf("%s %d, %s: %s is %.2g away from float64, PyTorch %.2g", kind.name, seed, form, name, d, tol)
					}
				}
			}
			want := c.run(true)
			check("recurrent", c.runSingle(true), want, kind.recurrent)
			for _, chunk := range []int{16, 40, 96} {
				c.s.Chunk = chunk
				check(fmt.Sprintf("chunks of %d", chunk), c.runSingle(false), want, kind.chunkwise)
			}
			c = c.withoutState()
			check("parallel", c.runSingle(false), c.run(false), kind.parallel)
		}
	}
}

// TestMLSTMGradientsStayFiniteWithExtremeGates: gates of ±1e4 beside usual ones.
func TestMLSTMGradientsStayFiniteWithExtremeGates(t *testing.T) {
	for seed := range uint64(20) {
		c := cancelKinds[1].cell(seed)
		c.dLast = randomState(rand.New(rand.NewPCG(seed, 4)), c.s)
		r := rand.New(rand.NewPCG(seed, 3))
		for _, gates := range [][]float64{c.i, c.f} {
			for i := range gates {
				if r.IntN(6) == 0 {
					gates[i] = math.Copysign(1e4, r.Float64()-0.5)
				}
			}
		}
		c.rounded()
		for _, chunk := range []int{1, 16, 96} {
			for _, recurrent := range []bool{false, true} {
				c.s.Chunk = chunk
				for name, x := range c.runSingle(recurrent).all() {
					for _, v := range x {
						if math.IsNaN(v) || math.IsInf(v, 0) {
							t.Fatalf("seed %d, chunk %d, recurrent %v: %s has %v", seed, chunk, recurrent, name, v)
						}
					}
				}
			}
		}
	}
}
