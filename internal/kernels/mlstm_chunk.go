package kernels

// Bounds of the chunk lengths among which BestChunk chooses. Products of shorter
// chunks are too small to be fast, and the triangular matrices of longer ones do not
// fit into a second-level cache.
const shortestChunk, longestChunk = 64, 256

// pairWork is how many multiply-adds take as long as the decay of one pair of steps
// and its derivative.
const pairWork = 110

// pastDiagonal is how many steps products with triangular matrices go beyond the
// diagonal.
const pastDiagonal = 16

// BestChunk returns the chunk length with the least work for a forward and a
// backward pass. Longer chunks have more pairs of steps and fewer memories between
// them; the first chunk and the last one do without products with a memory, unless
// the sequence continues another one.
func (s MLSTM) BestChunk(continues bool) int {
	best, least := shortestChunk, s.work(shortestChunk, continues)
	for l := 2 * shortestChunk; l <= longestChunk; l *= 2 {
		if w := s.work(l, continues); w < least && l < s.T+shortestChunk {
			best, least = l, w
		}
	}
	return best
}

// work returns the multiply-adds of one head, forward and backward, in chunks of at
// most l steps, with the share of triangular matrices that is computed. Per chunk
// these are the products of MLSTMForward and MLSTMBackward with the memory before it
// (two) and with that after it or its gradient (five).
func (s MLSTM) work(l int, continues bool) (sum int) {
	for t := 0; t < s.T; t += l {
		n := min(l, s.T-t)
		sum += n * (n + pastDiagonal) / 2 * (4*s.DQK + 3*s.DHV + pairWork)
		if t > 0 || continues {
			sum += 3 * n * s.size()
		}
		if t+l < s.T {
			sum += 4 * n * s.size()
		}
	}
	return sum
}
