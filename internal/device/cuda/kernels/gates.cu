// The projections of the mLSTM's gates: for gate g and head h
//
//   y_g[r,h] = Σ_k x_k[r,·]·W_g[h, off_k …] + b_g[h]
//
// from up to three inputs x_k [n,width_k]; W_g [nh,width], off_k the widths before.
#include "common.cuh"

struct Gates {
    i64 n, nh, inputs;
    i64 width[3];
    const T *x[3], *w[2], *b[2];
};

// A warp an output.
KERNEL gate_projections(Gates s, T *y0, T *y1) {
    i64 i = (blockIdx.x * (i64)blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (i >= s.n * s.nh * 2) return;
    i64 g = i % 2, h = i / 2 % s.nh, r = i / 2 / s.nh, width = s.width[0] + s.width[1] + s.width[2], off = 0;
    const T *w = s.w[g] + h * width;
    T sum = 0;
    for (i64 k = 0; k < s.inputs; k++) {
        for (i64 c = lane; c < s.width[k]; c += 32) sum += s.x[k][r * s.width[k] + c] * w[off + c];
        off += s.width[k];
    }
    sum = warpSum(sum);
    if (lane == 0) (g ? y1 : y0)[r * s.nh + h] = sum + s.b[g][h];
}

// The gradient of input k, at off: dy_g may be null.
KERNEL gate_input_grad(Gates s, i64 k, i64 off, const T *dy0, const T *dy1, T *dx) {
    i64 d = s.width[k], width = s.width[0] + s.width[1] + s.width[2];
    EACH(i, s.n * d) {
        i64 r = i / d, c = i % d;
        T sum = 0;
        for (i64 h = 0; h < s.nh; h++) {
            if (dy0) sum += dy0[r * s.nh + h] * s.w[0][h * width + off + c];
            if (dy1) sum += dy1[r * s.nh + h] * s.w[1][h * width + off + c];
        }
        dx[i] = sum;
    }
}

// The parts of dW_g over stretches of rows: part [stretches,nh,width]. A thread
// takes a column for EIGHT heads. Grid: columns by blockDim.x, stretches, heads by
// EIGHT.
#define EIGHT 8
KERNEL gate_weight_grad(Gates s, const T *dy, T *part, i64 stretch) {
    i64 width = s.width[0] + s.width[1] + s.width[2], c = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (c >= width) return;
    i64 k = 0, at = c, h0 = blockIdx.z * EIGHT, r0 = blockIdx.y * stretch;
    while (at >= s.width[k]) at -= s.width[k++];
    T sum[EIGHT] = {};
    for (i64 r = r0; r < min(s.n, r0 + stretch); r++) {
        T x = s.x[k][r * s.width[k] + at];
        for (i64 h = 0; h < EIGHT; h++)
            if (h0 + h < s.nh) sum[h] += dy[r * s.nh + h0 + h] * x;
    }
    for (i64 h = 0; h < EIGHT; h++)
        if (h0 + h < s.nh) part[(blockIdx.y * s.nh + h0 + h) * width + c] = sum[h];
}
