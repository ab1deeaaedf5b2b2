package vec

import "math"

// Add computes dst = a + b.
func Add[F Float](dst, a, b []F) {
	n := len(dst)
	if fast[F]() {
		best.add(n, ptr(a, n), ptr(b, n), ptr(dst, n))
		return
	}
	a, b = first(a, n), first(b, n)
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Mul computes dst = a⊙b.
func Mul[F Float](dst, a, b []F) {
	n := len(dst)
	if fast[F]() {
		best.mul(n, ptr(a, n), ptr(b, n), ptr(dst, n))
		return
	}
	a, b = first(a, n), first(b, n)
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// Scale computes dst = alpha·x.
func Scale[F Float](dst []F, alpha F, x []F) {
	n := len(dst)
	if fast[F]() {
		best.scale(n, ptr(x, n), ptr(dst, n), float32(alpha))
		return
	}
	for i, v := range first(x, n) {
		dst[i] = alpha * v
	}
}

// Axpy computes y += alpha·x.
func Axpy[F Float](y []F, alpha F, x []F) {
	n := len(y)
	if fast[F]() {
		best.axpy(n, ptr(x, n), ptr(y, n), float32(alpha))
		return
	}
	for i, v := range first(x, n) {
		y[i] += alpha * v
	}
}

// MulAdd computes y += a⊙b.
func MulAdd[F Float](y, a, b []F) {
	n := len(y)
	if fast[F]() {
		best.mulAdd(n, ptr(a, n), ptr(b, n), ptr(y, n))
		return
	}
	a, b = first(a, n), first(b, n)
	for i := range y {
		y[i] += a[i] * b[i]
	}
}

// Sum returns Σ x.
func Sum[F Float](x []F) F {
	if fast[F]() {
		return F(best.sum(len(x), ptr(x, len(x))))
	}
	var s float64
	for _, v := range x {
		s += float64(v)
	}
	return F(s)
}

// Dot returns Σ a·b.
func Dot[F Float](a, b []F) F {
	n := len(a)
	if fast[F]() {
		return F(best.dot(n, ptr(a, n), ptr(b, n)))
	}
	b = first(b, n)
	var s float64
	for i, v := range a {
		s += float64(v) * float64(b[i])
	}
	return F(s)
}

// Max returns the largest element that is not NaN, or −∞ if there is none.
func Max[F Float](x []F) F {
	if fast[F]() {
		return F(best.max(len(x), ptr(x, len(x))))
	}
	top := F(math.Inf(-1))
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

// Squares returns Σ (x − mean)².
func Squares[F Float](x []F, mean F) F {
	if fast[F]() {
		return F(best.squares(len(x), ptr(x, len(x)), float32(mean)))
	}
	var s float64
	for _, v := range x {
		d := float64(v) - float64(mean)
		s += d * d
	}
	return F(s)
}

// Exp computes dst = eˣ.
func Exp[F Float](dst, x []F) {
	n := len(dst)
	if fast[F]() {
		best.exp(n, ptr(x, n), ptr(dst, n))
		return
	}
	for i, v := range first(x, n) {
		dst[i] = F(math.Exp(float64(v)))
	}
}

// ExpSum returns Σ e^(x − shift).
func ExpSum[F Float](x []F, shift F) F {
	if fast[F]() {
		return F(best.expSum(len(x), ptr(x, len(x)), float32(shift)))
	}
	var s float64
	for _, v := range x {
		s += math.Exp(float64(v) - float64(shift))
	}
	return F(s)
}

// ExpScale computes dst = scale·e^(x − shift).
func ExpScale[F Float](dst []F, scale, shift F, x []F) {
	n := len(dst)
	if fast[F]() {
		best.expScale(n, ptr(x, n), ptr(dst, n), float32(shift), float32(scale))
		return
	}
	for i, v := range first(x, n) {
		dst[i] = F(float64(scale) * math.Exp(float64(v)-float64(shift)))
	}
}

// Prefetch asks for a vector that will be read or written soon, and does not wait
// for it. Rows of a matrix that lie apart are worth it, because a processor foresees
// only what is read in the order of the memory; Zen 4 seems to ignore requests for
// more than some twenty lines of 64 bytes at a time.
func Prefetch[F Float](x []F) {
	const line = 16
	if len(x) > 0 && fast[F]() {
		prefetch((len(x)+line-1)/line, ptr(x, 1))
	}
}
