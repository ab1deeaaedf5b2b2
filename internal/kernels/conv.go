package kernels

// Conv describes a causal depthwise convolution over time, each channel on its
// own:
//
//	out[t] = bias + Σ_j w[j]·x[t−(K−1)+j],  j = 0 … K−1
//
// followed by SiLU if set. x is [B·T,D]; the weight [D,1,K] as the official code
// stores it; the window [B,K,D] holds the last K inputs, newest last, so that a
// sequence can be continued (its oldest row is never read).
type Conv struct {
	B, T, D, K int
	SiLU       bool
}

// inputAt says where row t of sequence b lies, t ≥ −K; negative rows lie in the
// window.
func (s Conv) inputAt(b, t int) (fromWindow bool, offset int) {
	if t < 0 {
		return true, (b*s.K + s.K + t) * s.D
	}
	return false, (b*s.T + t) * s.D
}

func convRow[F Float](s Conv, b, t int, x, window []F) []F {
	inWindow, at := s.inputAt(b, t)
	switch {
	case !inWindow:
		return x[at : at+s.D]
	case window == nil:
		return nil
	}
	return window[at : at+s.D]
}

// convTaps writes the weight as [K,D], each tap contiguous over the channels.
func convTaps[F Float](s Conv, w, taps []F) {
	for d := range s.D {
		for j := range s.K {
			taps[j*s.D+d] = w[d*s.K+j]
		}
	}
}

// convPre computes the sums of step t before the activation.
func convPre[F Float](s Conv, b, t int, x, taps, bias, window, pre []F) {
	copy(pre, bias)
	for j := range s.K {
		src := convRow(s, b, t-(s.K-1)+j, x, window)
		if src == nil {
			continue
		}
		tap := taps[j*s.D : (j+1)*s.D]
		for d, v := range src {
			pre[d] += tap[d] * v
		}
	}
}

// convBlock is the number of time steps that make one piece of work.
const convBlock = 64

// ConvForward computes y [B·T,D] and the new window, which may lie in the memory
// of window: its rows move towards the beginning. window may be nil.
func ConvForward[F Float](s Conv, x, w, bias, window, y, newWindow []F) {
	taps, release := scratch[F](s.K * s.D)
	defer release()
	convTaps(s, w, taps)
	perSeq := (s.T + convBlock - 1) / convBlock
	Parallel(s.B*perSeq, func(i int) {
		b, t0 := i/perSeq, i%perSeq*convBlock
		for t := t0; t < min(s.T, t0+convBlock); t++ {
			row := y[(b*s.T+t)*s.D:][:s.D]
			convPre(s, b, t, x, taps, bias, window, row)
			if s.SiLU {
				for d, v := range row {
					row[d] = F(silu(float64(v)))
				}
			}
		}
	})
	for b := range s.B {
		for k := range s.K {
			dst := newWindow[(b*s.K+k)*s.D:][:s.D]
			if src := convRow(s, b, s.T-s.K+k, x, window); src != nil {
				copy(dst, src)
			} else {
				clear(dst)
			}
		}
	}
}

// ConvBackward computes the gradients of ConvForward. window and dNewWindow may
// be nil, and dWindow with the former.
func ConvBackward[F Float](s Conv, x, w, bias, window, dy, dNewWindow, dx, dw, dbias, dWindow []F) {
	taps, release := scratch[F](s.K * s.D)
	defer release()
	convTaps(s, w, taps)
	clear(dx)
	clear(dWindow)
	// One vector per sequence for the taps and the bias, added up in order.
	size := (s.K + 1) * s.D
	parts, releaseParts := scratch[F](s.B * size)
	defer releaseParts()
	clear(parts)
	Parallel(s.B, func(b int) {
		part := parts[b*size : (b+1)*size]
		pre, releasePre := scratch[F](s.D)
		defer releasePre()
		for t := range s.T {
			convPre(s, b, t, x, taps, bias, window, pre)
			convGradPre(s, pre, dy[(b*s.T+t)*s.D:][:s.D])
			convScatter(s, b, t, x, window, taps, pre, dx, dWindow, part)
		}
		if dNewWindow != nil {
			for k := range s.K {
				if dst := convRow(s, b, s.T-s.K+k, dx, dWindow); dst != nil {
					axpy(1, dNewWindow[(b*s.K+k)*s.D:][:s.D], dst)
				}
			}
		}
	})
	for b := 1; b < s.B; b++ {
		axpy(1, parts[b*size:(b+1)*size], parts[:size])
	}
	for d := range s.D {
		for j := range s.K {
			dw[d*s.K+j] = parts[j*s.D+d]
		}
	}
	copy(dbias, parts[s.K*s.D:size])
}

// convGradPre turns the sums before the activation into their gradient.
func convGradPre[F Float](s Conv, pre, dy []F) {
	if !s.SiLU {
		copy(pre, dy)
		return
	}
	for d, v := range pre {
		pre[d] = dy[d] * F(SiLU.slope(float64(v)))
	}
}

// convScatter adds step t's share of every gradient; part is [K+1,D], the last
// row for the bias.
func convScatter[F Float](s Conv, b, t int, x, window, taps, dpre, dx, dWindow, part []F) {
	for j := range s.K {
		src := convRow(s, b, t-(s.K-1)+j, x, window)
		if src == nil {
			continue
		}
		dst := convRow(s, b, t-(s.K-1)+j, dx, dWindow)
		tap, dtap := taps[j*s.D:(j+1)*s.D], part[j*s.D:(j+1)*s.D]
		for d, g := range dpre {
			dtap[d] += g * src[d]
			dst[d] += g * tap[d]
		}
	}
	axpy(1, dpre, part[s.K*s.D:])
}
