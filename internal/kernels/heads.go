package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Products per row and head, the small steps of a symbolic mLSTM. A row of a is
// NH blocks of A numbers, a row of b NH blocks of B numbers.

// HeadOuter computes the outer product of each pair of blocks:
// y[r, h, i, j] = a[r,h,i]·b[r,h,j].
func HeadOuter[F Float](blocks, na, nb int, a, b, y []F) {
	for h := range blocks {
		for i := range na {
			vec.Scale(y[(h*na+i)*nb:][:nb], a[h*na+i], b[h*nb:(h+1)*nb])
		}
	}
}

// HeadLeft multiplies each block of a [A] with its matrix c [A,B] from the left:
// y[r,h,j] = Σ_i a[r,h,i]·c[r,h,i,j].
func HeadLeft[F Float](blocks, na, nb int, a, c, y []F) {
	clear(y)
	for h := range blocks {
		for i := range na {
			vec.Axpy(y[h*nb:(h+1)*nb], a[h*na+i], c[(h*na+i)*nb:][:nb])
		}
	}
}

// HeadRight multiplies each block of b [B] with its matrix c [A,B] from the
// right: y[r,h,i] = Σ_j c[r,h,i,j]·b[r,h,j].
func HeadRight[F Float](blocks, na, nb int, b, c, y []F) {
	for h := range blocks {
		for i := range na {
			y[h*na+i] = vec.Dot(b[h*nb:(h+1)*nb], c[(h*na+i)*nb:][:nb])
		}
	}
}
