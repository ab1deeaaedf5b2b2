package vec

import "math"

// Adam holds the coefficients of one step of Adam or AdamW.
type Adam struct {
	Scale, L2      float64 // g ← Scale·g + L2·w
	Beta1, Beta2   float64
	Fresh1, Fresh2 float64 // 1 − β
	Keep           float64 // w ← Keep·w − …
	Rate           float64 // η/(1 − β1ᵗ)
	Unbias         float64 // 1/√(1 − β2ᵗ)
	Eps            float64
}

// AdamStep computes, with g' = Scale·g + L2·w, the moments m = Beta1·m +
// Fresh1·g' and v = Beta2·v + Fresh2·g'², and the weights w = Keep·w −
// Rate·m/(√v·Unbias + Eps), in one pass, in the precision of F.
func AdamStep[F Float](k Adam, g, m, v, w []F) {
	n := len(w)
	if fast[F]() {
		best.adam(n, ptr(g, n), ptr(m, n), ptr(v, n), ptr(w, n), float32(k.Scale), float32(k.L2), float32(k.Keep),
			float32(k.Beta1), float32(k.Fresh1), float32(k.Beta2), float32(k.Fresh2), float32(k.Rate), float32(k.Unbias), float32(k.Eps))
		return
	}
	scale, l2, keep := F(k.Scale), F(k.L2), F(k.Keep)
	beta1, fresh1, beta2, fresh2 := F(k.Beta1), F(k.Fresh1), F(k.Beta2), F(k.Fresh2)
	rate, unbias, eps := F(k.Rate), F(k.Unbias), F(k.Eps)
	g, m, v = first(g, n), first(m, n), first(v, n) // so that the loop needs no bounds checks
	for i, wi := range w {
		gi := scale*g[i] + l2*wi
		mi := beta1*m[i] + fresh1*gi
		vi := beta2*v[i] + fresh2*gi*gi
		m[i], v[i] = mi, vi
		w[i] = keep*wi - rate*mi/(F(math.Sqrt(float64(vi)))*unbias+eps)
	}
}
