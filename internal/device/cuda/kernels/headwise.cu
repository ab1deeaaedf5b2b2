// A separate linear map for each head: x [n,heads·in], y [n,heads·out], the
// weights of head h are the rows (h·stride + row) … + out of w [heads·stride,in].
// For narrow heads; wide ones are products for cuBLAS.
#include "outer.cuh"

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

KERNEL headwise_grad(Headwise s, const T *w, const T *dy, T *dx, Addends plus) {
    i64 d = s.heads * s.in;
    EACH(i, s.n * d) {
        i64 r = i / d, c = i % d, h = c / s.in, k = c % s.in;
        const T *dyh = dy + (r * s.heads + h) * s.out, *wk = w + (h * s.stride + s.row) * s.in + k;
        T sum = 0;
        for (i64 o = 0; o < s.out; o++) sum += wk[o * s.in] * dyh[o];
        dx[i] = plused(sum, plus, i);
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
// Block: that of rowsSum; grid: weights.
KERNEL headwise_weight_sums(Headwise s, const T *part, T *dw, i64 parts) {
    i64 size = s.heads * s.out * s.in, i = blockIdx.x * 32ll + threadIdx.x;
    i64 k = i % s.in, o = i / s.in % s.stride - s.row, h = i / s.in / s.stride;
    bool there = i < s.heads * s.stride * s.in;
    T sum = partsSum(part, parts, size, (h * s.out + o) * s.in + k, there && o >= 0 && o < s.out);
    if (threadIdx.y == 0 && there) dw[i] = sum;
}

// The map, and below its gradients, for heads of 4 inputs and 4 outputs at addresses
// that are multiples of 16 bytes.
KERNEL headwise_4(Headwise s, const Four *x, const Four *w, const Four *bias, Four *y) {
    EACH(i, s.n * s.heads) {
        i64 h = i % s.heads;
        Four in = x[i], out = {};
        if (bias) out = bias[h];
        for (int o = 0; o < 4; o++) {
            Four row = w[h * s.stride + s.row + o];
            for (int k = 0; k < 4; k++) out.v[o] += row.v[k] * in.v[k];
        }
        y[i] = out;
    }
}

// dx, and the parts of dw over stretches of rows, as in headwise_weight_grad.
// Block: 32 heads by 8 threads that share the rows; grid: heads, stretches.
KERNEL headwise_4_grad(Headwise s, const Four *x, const Four *w, const Four *dy, Four *dx, Four *part, i64 stretch, Addends plus) {
    __shared__ Four room[8][32][4];
    i64 h = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = h < s.heads ? min(s.n, r0 + stretch) : r0;
    Four rows[4] = {}, sum[4] = {};
    for (int o = 0; o < 4 && h < s.heads; o++) rows[o] = w[h * s.stride + s.row + o];
#pragma unroll 4
    for (i64 r = r0 + threadIdx.y; r < r1; r += 8) {
        Four in = x[r * s.heads + h], up = dy[r * s.heads + h], down = {};
        for (int o = 0; o < 4; o++)
            for (int k = 0; k < 4; k++) {
                down.v[k] += rows[o].v[k] * up.v[o];
                sum[o].v[k] += up.v[o] * in.v[k];
            }
        for (int k = 0; k < 2; k++) {
            if (!plus.at[k]) continue;
            Four more = ((const Four *)plus.at[k])[r * s.heads + h];
            for (int e = 0; e < 4; e++) down.v[e] += more.v[e];
        }
        dx[r * s.heads + h] = down;
    }
    for (int o = 0; o < 4; o++) room[threadIdx.y][threadIdx.x][o] = sum[o];
    __syncthreads();
    int o = threadIdx.y; // the row of the weights whose gradient the thread sums
    if (o >= 4 || h >= s.heads) return;
    Four all = room[0][threadIdx.x][o];
    for (int y = 1; y < 8; y++)
        for (int k = 0; k < 4; k++) all.v[k] += room[y][threadIdx.x][o].v[k];
    part[(blockIdx.y * s.heads + h) * 4 + o] = all;
}

// The parts of dw as in headwise_weight_grad, for wider heads. Block: OUTER
// threads; grid: tiles, heads, stretches.
KERNEL headwise_outer(Headwise s, const T *x, const T *dy, T *part, i64 stretch) {
    i64 tiles = (s.in + TILE - 1) / TILE, o0 = blockIdx.x / tiles * TILE, k0 = blockIdx.x % tiles * TILE, h = blockIdx.y;
    T sum[4][4];
    outer([&](i64 r, i64 o) { return o0 + o < s.out ? dy[(r * s.heads + h) * s.out + o0 + o] : (T)0; },
          [&](i64 r, i64 k) { return k0 + k < s.in ? x[(r * s.heads + h) * s.in + k0 + k] : (T)0; },
          blockIdx.z * stretch, min(s.n, (blockIdx.z + 1) * stretch), sum);
    eachOfTile(m, n) {
        i64 o = o0 + tileRow(m), k = k0 + tileColumn(n);
        if (o < s.out && k < s.in) part[((blockIdx.z * s.heads + h) * s.out + o) * s.in + k] = sum[m][n];
    }
}
