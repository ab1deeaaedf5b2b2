package layers

import (
	"math"
	"math/rand/v2"
)

// Init fills a new parameter, given in row-major order.
type Init func(r *rand.Rand, values []float64)

// Constant sets every element to c.
func Constant(c float64) Init {
	return func(_ *rand.Rand, values []float64) {
		for i := range values {
			values[i] = c
		}
	}
}

// Normal draws from a normal distribution with mean 0.
func Normal(std float64) Init {
	return func(r *rand.Rand, values []float64) {
		for i := range values {
			values[i] = r.NormFloat64() * std
		}
	}
}

// Uniform draws from a uniform distribution over [−bound, bound).
func Uniform(bound float64) Init {
	return func(r *rand.Rand, values []float64) {
		for i := range values {
			values[i] = (2*r.Float64() - 1) * bound
		}
	}
}

// Linspace sets evenly spaced values from lo to hi.
func Linspace(lo, hi float64) Init {
	return func(_ *rand.Rand, values []float64) {
		for i := range values {
			values[i] = lo
			if n := len(values) - 1; n > 0 {
				values[i] += (hi - lo) * float64(i) / float64(n)
			}
		}
	}
}

// Small is the small initialisation, N(0, √(2/(5·dim))), of projections that read
// the model's width (Nguyen and Salazar, 2019).
func Small(dim int) Init { return Normal(math.Sqrt(2 / (5 * float64(dim)))) }

// Wang is the initialisation N(0, 2/(blocks·√dim)) of projections back into the
// residual stream (Wang and Komatsuzaki, 2021).
func Wang(dim, blocks int) Init {
	return Normal(2 / (float64(blocks) * sqrt(dim)))
}

func sqrt(n int) float64 { return math.Sqrt(float64(n)) }
