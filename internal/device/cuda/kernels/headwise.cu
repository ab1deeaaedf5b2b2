// Linear maps of each head on its own: x [n,heads·in], y [n,heads·out], the
// weights of head h are the rows (h·stride + row) … + out of w [heads·stride,in].
// For narrow heads; wide ones are products for cuBLAS.
#include "common.cuh"

struct Headwise {
    i64 n, heads, in, out, row, stride;
};

KERNEL headwise(Headwise s, const T *x, const T *w, const T *bias, T *y) {
    i64 d = s.heads * s.out;
    EACH(i, s.n * d) {
        i64 r = i / d, c = i % d, h = c / s.out, o = c % s.out;
        const T *xh = x + (r * s.heads + h) * s.in, *wo = w + (h * s.stride + s.row + o) * s.in;
        T sum = bias ? bias[c] : (T)0;
        for (i64 k = 0; k < s.in; k++) sum += wo[k] * xh[k];
        y[i] = sum;
    }
}

KERNEL headwise_grad(Headwise s, const T *w, const T *dy, T *dx) {
    i64 d = s.heads * s.in;
    EACH(i, s.n * d) {
        i64 r = i / d, c = i % d, h = c / s.in, k = c % s.in;
        const T *dyh = dy + (r * s.heads + h) * s.out, *wk = w + (h * s.stride + s.row) * s.in + k;
        T sum = 0;
        for (i64 o = 0; o < s.out; o++) sum += wk[o * s.in] * dyh[o];
        dx[i] = sum;
    }
}

// The parts of dw over stretches of rows: part [stretches,heads,out,in]. Grid:
// weights by blockDim.x, stretches.
KERNEL headwise_weight_grad(Headwise s, const T *x, const T *dy, T *part, i64 stretch) {
    i64 size = s.heads * s.out * s.in, i = blockIdx.x * (i64)blockDim.x + threadIdx.x, r0 = blockIdx.y * stretch;
    if (i >= size) return;
    i64 k = i % s.in, o = i / s.in % s.out, h = i / s.in / s.out;
    T sum = 0;
    for (i64 r = r0; r < min(s.n, r0 + stretch); r++) sum += dy[(r * s.heads + h) * s.out + o] * x[(r * s.heads + h) * s.in + k];
    part[blockIdx.y * size + i] = sum;
}

// dw [heads·stride,in]: the sums of the parts, zero in rows that the map lacks.
KERNEL headwise_weight_sums(Headwise s, const T *part, T *dw, i64 parts) {
    i64 size = s.heads * s.out * s.in;
    EACH(i, s.heads * s.stride * s.in) {
        i64 k = i % s.in, o = i / s.in % s.stride - s.row, h = i / s.in / s.stride;
        T sum = 0;
        if (o >= 0 && o < s.out)
            for (i64 p = 0; p < parts; p++) sum += part[p * size + (h * s.out + o) * s.in + k];
        dw[i] = sum;
    }
}
