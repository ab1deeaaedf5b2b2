// y = (norm(x)⊙w + skip⊙c)⊙SiLU(z), where the norm is over each head's columns of a
// row, and its gradients. A warp takes a row. A head has 32/heads lanes, each of which
// has PIECES times eight of its columns, so that the kernels exist for widths of 256
// times PIECES. E is how eights of x, c, z and dy are read:
// if early, all of a row before any is used.
#pragma once
#include "early.cuh"

#define WARPS 4 // of a block

struct Exit {
    i64 n, heads;
    double eps;
    i64 centered, residual;
    In x, c, z;
    const T *w, *skip;
};

// The number of eights before piece k of a lane in a row.
template <int PIECES> __device__ inline int place(const Exit &s, int k) {
    const int lane = threadIdx.x & 31, lanes = 32 / (int)s.heads;
    return (lane / lanes * PIECES + k) * lanes + lane % lanes;
}

// The sum over the lanes of a head, returned to all of them.
__device__ inline T headSum(const Exit &s, T x) {
    for (int o = 16 / (int)s.heads; o; o >>= 1) x += __shfl_xor_sync(~0u, x, o);
    return x;
}

// Subtracts the mean of a row's x, and returns the reciprocal of its deviation.
template <int PIECES, typename E> __device__ inline T centered(const Exit &s, const E (&read)[PIECES], Eight (&x)[PIECES]) {
    const T width = (T)(256 * PIECES / s.heads);
    T sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < PIECES; k++) {
        x[k] = read[k].numbers();
        for (int e = 0; e < 8; e++) sum += x[k].v[e];
    }
    const T mean = s.centered ? headSum(s, sum) / width : (T)0;
#pragma unroll
    for (int k = 0; k < PIECES; k++)
        for (int e = 0; e < 8; e++) x[k].v[e] -= mean, squares += x[k].v[e] * x[k].v[e];
    return 1 / sqrt(headSum(s, squares) / width + (T)s.eps);
}

template <typename E> __device__ inline T opened(const Exit &s, T z) { return E::half(s.z) ? quickSigmoid(z) : sigmoid(z); }

// Grid: rows by WARPS.
template <int PIECES, typename E> __device__ inline void forward(const Exit &s, Out y) {
    const i64 row = blockIdx.x * (i64)WARPS + (threadIdx.x >> 5);
    if (row >= s.n) return;
    E xs[PIECES], cs[PIECES], zs[PIECES];
    auto to = [&](int k) { return row * 32 * PIECES + place<PIECES>(s, k); };
    auto rest = [&](int k) { cs[k].read(s.c, to(k)), zs[k].read(s.z, to(k)); };
#pragma unroll
    for (int k = 0; k < PIECES; k++) xs[k].read(s.x, to(k));
#pragma unroll
    for (int k = 0; E::early && k < PIECES; k++) rest(k);
    Eight x[PIECES];
    const T rstd = centered(s, xs, x);
#pragma unroll
    for (int k = 0; k < PIECES; k++) {
        const int at = place<PIECES>(s, k);
        if (!E::early) rest(k);
        Eight c = cs[k].numbers(), z = zs[k].numbers(), w = In{s.w, 0}.eight(at), skip = In{s.skip, 0}.eight(at);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            T f = s.residual ? 1 + w.v[e] : w.v[e], zb = fromBelow(z.v[e]);
            x[k].v[e] = (x[k].v[e] * rstd * f + skip.v[e] * c.v[e]) * (zb * opened<E>(s, zb));
        }
        y.eight(to(k), x[k]);
    }
}

// dx, dc, dz, and the parts of dw and dskip by blocks: [blocks,width] each. The blocks
// take all rows in turn.
template <int PIECES, typename E> __device__ inline void backward(const Exit &s, In dy, Out dx, Out dc, Out dz, T *partW, T *partSkip) {
    extern __shared__ char space[];
    T *room = (T *)space; // [WARPS,width]
    const int warp = threadIdx.x >> 5;
    const T width = (T)(256 * PIECES / s.heads);
    Eight sums[2][PIECES] = {};
    for (i64 row = blockIdx.x * (i64)WARPS + warp; row < s.n; row += gridDim.x * (i64)WARPS) {
        E xs[PIECES], cs[PIECES], zs[PIECES], ups[PIECES];
        auto to = [&](int k) { return row * 32 * PIECES + place<PIECES>(s, k); };
        auto rest = [&](int k) { cs[k].read(s.c, to(k)), zs[k].read(s.z, to(k)), ups[k].read(dy, to(k)); };
#pragma unroll
        for (int k = 0; k < PIECES; k++) xs[k].read(s.x, to(k));
#pragma unroll
        for (int k = 0; E::early && k < PIECES; k++) rest(k);
        Eight x[PIECES], g[PIECES];
        const T rstd = centered(s, xs, x);
        T sum = 0, sumX = 0;
#pragma unroll
        for (int k = 0; k < PIECES; k++) {
            const int at = place<PIECES>(s, k);
            if (!E::early) rest(k);
            Eight c = cs[k].numbers(), z = zs[k].numbers(), up = ups[k].numbers(), w = In{s.w, 0}.eight(at), skip = In{s.skip, 0}.eight(at), down;
#pragma unroll
            for (int e = 0; e < 8; e++) {
                T f = s.residual ? 1 + w.v[e] : w.v[e], zb = min(fromBelow(z.v[e]), (T)1000), open = opened<E>(s, zb), du = up.v[e] * zb * open;
                x[k].v[e] *= rstd;
                z.v[e] = up.v[e] * (x[k].v[e] * f + skip.v[e] * c.v[e]) * open * (1 + zb * (1 - open));
                down.v[e] = du * skip.v[e];
                sums[0][k].v[e] += du * x[k].v[e], sums[1][k].v[e] += du * c.v[e];
                g[k].v[e] = du * f;
                sum += g[k].v[e], sumX += g[k].v[e] * x[k].v[e];
            }
            dc.eight(to(k), down);
            dz.eight(to(k), z);
        }
        sum = s.centered ? headSum(s, sum) / width : (T)0;
        sumX = headSum(s, sumX) / width;
#pragma unroll
        for (int k = 0; k < PIECES; k++) {
            for (int e = 0; e < 8; e++) g[k].v[e] = rstd * (g[k].v[e] - sum - x[k].v[e] * sumX);
            dx.eight(to(k), g[k]);
        }
    }
#pragma unroll
    for (int which = 0; which < 2; which++) {
        T *part = (which ? partSkip : partW) + blockIdx.x * 256ll * PIECES;
        __syncthreads(); // room has been read
#pragma unroll
        for (int k = 0; k < PIECES; k++) Out{room, 0}.eight(warp * 32 * PIECES + place<PIECES>(s, k), sums[which][k]);
        __syncthreads();
        for (int c = threadIdx.x; c < 256 * PIECES; c += 32 * WARPS) {
            T all = 0;
            for (int y = 0; y < WARPS; y++) all += room[y * 256 * PIECES + c];
            part[c] = all;
        }
    }
}

#define EXITS(E) EXIT(1, E) EXIT(2, E) EXIT(3, E) EXIT(4, E)
#define EXIT(PIECES, E)                                                                                     \
    KERNEL __launch_bounds__(32 * WARPS) mlstm_exit_##PIECES(const __grid_constant__ Exit s, Out y) {       \
        forward<PIECES, E>(s, y);                                                                           \
    }                                                                                                       \
    KERNEL __launch_bounds__(32 * WARPS, 3)                                                                 \
        mlstm_exit_grad_##PIECES(const __grid_constant__ Exit s, In dy, Out dx, Out dc, Out dz, T *w, T *skip) { \
        backward<PIECES, E>(s, dy, dx, dc, dz, w, skip);                                                    \
    }
