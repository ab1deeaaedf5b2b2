package kernels

// A document that begins within a batch is computed as a separate batch, since its
// rows are contiguous in all inputs and outputs. Its results are therefore the same
// to the bit as those of the document alone, in every form.

// mlstmSpan is a contiguous part of one sequence of a batch.
type mlstmSpan struct {
	MLSTM // of the batch
	span
}

// alone returns the description of the span as a batch.
func (s mlstmSpan) alone() MLSTM {
	one := s.MLSTM
	one.B, one.T, one.Resets = 1, s.to-s.from, nil
	return one
}

// ends reports whether the span reaches the end of its sequence.
func (s mlstmSpan) ends() bool { return s.to == s.T }

// rows returns the span's rows of an array [B·T, width].
func rows[F Float](s mlstmSpan, x []F, width int) []F {
	if x == nil {
		return nil
	}
	return x[(s.b*s.T+s.from)*width : (s.b*s.T+s.to)*width]
}

// memoryOf returns the part of a state that belongs to the span's sequence; of an
// absent state it returns an absent one.
func memoryOf[F Float](s mlstmSpan, st MLSTMState[F]) MLSTMState[F] {
	part := func(x []F) []F {
		n := len(x) / s.B
		return x[s.b*n : (s.b+1)*n]
	}
	return MLSTMState[F]{part(st.C), part(st.N), part(st.M)}
}

// mlstmSpanState returns the initial state of the span.
func mlstmSpanState[F Float](s mlstmSpan, state MLSTMState[F]) MLSTMState[F] {
	if s.fresh {
		return MLSTMState[F]{}
	}
	return memoryOf(s, state)
}

// mlstmSpans calls f for every span of the batch in turn; the work of each span is
// shared by the cores.
func mlstmSpans(s MLSTM, f func(s mlstmSpan)) {
	for b := range s.B {
		for part := range s.Resets.spans(s.T, b) {
			f(mlstmSpan{s, part})
		}
	}
}

// mlstmForward is MLSTMForward or MLSTMRecurrentForward.
type mlstmForward[F Float] func(s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F])

// mlstmResetForward runs a forward pass span by span. The state after a span is
// discarded unless the span ends its sequence.
func mlstmResetForward[F Float](run mlstmForward[F], s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	head := s.size() + s.DQK + 1
	buf, lent := scratch[F](s.NH * head)
	defer giveBack(lent)
	c, n := s.NH*s.size(), s.NH*s.DQK
	unused := MLSTMState[F]{buf[:c], buf[c : c+n], buf[c+n:]}
	qk, hv := s.NH*s.DQK, s.NH*s.DHV
	mlstmSpans(s, func(p mlstmSpan) {
		end := unused
		if p.ends() {
			end = memoryOf(p, last)
		}
		run(p.alone(), rows(p, q, qk), rows(p, k, qk), rows(p, v, hv), rows(p, i, s.NH), rows(p, f, s.NH), mlstmSpanState(p, state), rows(p, h, hv), end)
	})
}

// mlstmSpanGrads returns the part of the gradients that belongs to a span. The
// gradient of an initial state from which no span begins is zero.
func mlstmSpanGrads[F Float](p mlstmSpan, grads MLSTMGrads[F]) MLSTMGrads[F] {
	qk, hv := p.NH*p.DQK, p.NH*p.DHV
	g := MLSTMGrads[F]{Q: rows(p, grads.Q, qk), K: rows(p, grads.K, qk), V: rows(p, grads.V, hv), I: rows(p, grads.I, p.NH), F: rows(p, grads.F, p.NH)}
	switch state := memoryOf(p, grads.State); {
	case !p.fresh:
		g.State = state
	case p.from == 0:
		clear(state.C)
		clear(state.N)
		clear(state.M)
	}
	return g
}

// mlstmResetBackward is the backward pass of mlstmResetForward. run is given a span,
// its upstream gradients, and the memory for its gradients.
func mlstmResetBackward[F Float](s MLSTM, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F], run func(p mlstmSpan, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F])) {
	mlstmSpans(s, func(p mlstmSpan) {
		var end MLSTMState[F]
		if p.ends() {
			end = memoryOf(p, dLast)
		}
		run(p, rows(p, dh, s.NH*s.DHV), end, mlstmSpanGrads(p, grads))
	})
}
