package kernels

import "math"

// Dropout sets each element to zero with probability rate and multiplies the
// others by 1/(1−rate). The mask depends only on the key and the index of the
// element, which is first for the first one, so that the gradient is the same call on the upstream gradient, and
// the order of the work does not matter.
func Dropout[F Float](rate float64, key, first uint64, x, y []F) {
	key += first * 0x9e3779b97f4a7c15
	threshold := uint64(rate * (1 << 53))
	keep := F(1 / (1 - rate))
	ParallelRows(len(x), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if mix(key+uint64(i)*0x9e3779b97f4a7c15)>>11 < threshold {
				y[i] = 0
			} else {
				y[i] = x[i] * keep
			}
		}
	})
}

// DropoutKey mixes numbers that identify an application of dropout into a key.
func DropoutKey(parts ...uint64) uint64 {
	key := uint64(math.MaxUint64)
	for _, p := range parts {
		key = mix(key ^ mix(p))
	}
	return key
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
