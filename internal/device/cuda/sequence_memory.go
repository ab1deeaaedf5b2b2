//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "slices"

// take returns room for a vector in shared memory, aligned to 16 bytes.
func (s *sequence) take(n int32) int32 {
	n = (n + 3) / 4 * 4
	for k, f := range s.free {
		if f.to-f.from >= n {
			if s.free[k].from += n; s.free[k].from == f.to {
				s.free = slices.Delete(s.free, k, k+1)
			}
			return f.from
		}
	}
	at := s.size
	s.size += n
	return at
}

// give frees the room of a vector from the next barrier on: until then some thread
// may still read it.
func (s *sequence) give(at, n int32) {
	s.freed = append(s.freed, interval{at, at + (n+3)/4*4})
}

// emit appends an instruction. Those with barriers let freed room be taken.
func (s *sequence) emit(in seqInstruction) {
	s.list = append(s.list, in)
	if in.kind != seqProducts && in.kind != seqCell {
		return
	}
	for _, f := range s.freed {
		k := 0
		for k < len(s.free) && s.free[k].from < f.from {
			k++
		}
		s.free = slices.Insert(s.free, k, f)
	}
	s.freed = nil
	for k := len(s.free) - 1; k > 0; k-- {
		if s.free[k-1].to == s.free[k].from {
			s.free[k-1].to = s.free[k].to
			s.free = slices.Delete(s.free, k, k+1)
		}
	}
}

// release frees the vectors that no step after i reads.
func (s *sequence) release(i int) {
	step := s.steps[i]
	for _, id := range slices.Concat(step.In, step.Out) {
		if v := s.values[id]; v != nil && v.last <= i && v.there {
			s.give(v.at, v.n)
			v.there = false
		}
	}
}

// vector returns where the vector of a value is in shared memory, which the blocks
// wait for if it is not there yet.
func (s *sequence) vector(id int) int32 {
	v := s.values[id]
	if v == nil || v.n%4 != 0 || !v.there && !v.exchanged {
		s.failed = true // a vector from outside, or not whole fours
		return 0
	}
	if !v.there {
		v.at, v.there, v.awaited = s.take(v.n), true, true
		s.emit(seqInstruction{kind: seqAwait, n: v.n, words: v.words, to: v.at})
	}
	return v.at
}

// exchange returns room for the words of a value, a multiple of 16 bytes.
func (s *sequence) exchange(id int) address {
	v := s.values[id]
	v.exchanged, v.words = true, s.words
	s.words += address(8*v.n+15) / 16 * 16
	return v.words
}
