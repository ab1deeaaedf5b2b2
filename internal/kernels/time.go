package kernels

// TimeStep copies step t of x [B·T,D] to y [B,D].
func TimeStep[F Float](b, t, d, step int, x, y []F) {
	for r := range b {
		copy(y[r*d:(r+1)*d], x[(r*t+step)*d:][:d])
	}
}

// PutTimeStep writes x [B,D] to step t of y [B·T,D] and does not change other
// steps.
func PutTimeStep[F Float](b, t, d, step int, x, y []F) {
	for r := range b {
		copy(y[(r*t+step)*d:][:d], x[r*d:(r+1)*d])
	}
}
