// Operations on one element at a time.
#include "common.cuh"

KERNEL activation(int a, const T *x, T *y, i64 n) { EACH(i, n) y[i] = activate(a, x[i]); }

KERNEL activation_grad(int a, const T *x, const T *dy, T *dx, i64 n) { EACH(i, n) dx[i] = dy[i] * slope(a, x[i]); }

KERNEL gated(int a, const T *g, const T *u, T *y, i64 n) { EACH(i, n) y[i] = activate(a, g[i]) * u[i]; }

KERNEL gated_grad(int a, const T *g, const T *u, const T *dy, T *dg, T *du, i64 n) {
    EACH(i, n) {
        T x = g[i], up = dy[i], v = u[i];
        dg[i] = up * v * slope(a, x);
        du[i] = up * activate(a, x);
    }
}

KERNEL soft_cap(T cap, const T *x, T *y, i64 n) { EACH(i, n) y[i] = cap * tanh(x[i] / cap); }

// The gradient of soft_cap from its output y.
KERNEL soft_cap_grad(T cap, const T *y, const T *dy, T *dx, i64 n) {
    EACH(i, n) {
        T t = y[i] / cap;
        dx[i] = dy[i] * (1 - t * t);
    }
}

KERNEL add(const T *a, const T *b, T *y, i64 n) {
    i64 whole = fours(a) && fours(b) && fours(y) ? n / 4 : 0;
    EACH(i, whole) {
        Four p = ((const Four *)a)[i], q = ((const Four *)b)[i];
        for (int k = 0; k < 4; k++) p.v[k] += q.v[k];
        ((Four *)y)[i] = p;
    }
    EACH(i, n - 4 * whole) y[4 * whole + i] = a[4 * whole + i] + b[4 * whole + i];
}

KERNEL multiply(const T *a, const T *b, T *y, i64 n) { EACH(i, n) y[i] = a[i] * b[i]; }

// Adds b [d] to every row of y [n,d].
KERNEL add_rows(const T *b, T *y, i64 n, i64 d) { EACH(i, n * d) y[i] += b[i % d]; }

// y = (h + skip⊙c)⊙SiLU(z), all [n,d] but skip [d].
KERNEL skip_gate(const T *h, const T *c, const T *skip, const T *z, T *y, i64 n, i64 d) {
    EACH(i, n * d) y[i] = (h[i] + skip[i % d] * c[i]) * activate(SILU, z[i]);
}

// The gradients, and the parts of dskip over stretches of rows: part [stretches,d].
// Block: 32 columns by threads that share the rows; grid: columns, stretches.
KERNEL skip_gate_grad(const T *h, const T *c, const T *skip, const T *z, const T *dy, T *dh, T *dc, T *dz, T *part, i64 n, i64 d, i64 stretch) {
    i64 col = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = col < d ? min(n, r0 + stretch) : r0;
    T s = col < d ? skip[col] : (T)0, sum = 0;
#pragma unroll 4
    for (i64 r = r0 + threadIdx.y; r < r1; r += blockDim.y) {
        i64 i = r * d + col;
        T up = dy[i], x = z[i], ci = c[i], hi = h[i];
        T g = up * activate(SILU, x);
        dh[i] = g;
        dc[i] = g * s;
        dz[i] = up * (hi + s * ci) * slope(SILU, x);
        sum += g * ci;
    }
    sum = rowsSum(sum);
    if (threadIdx.y == 0 && col < d) part[blockIdx.y * d + col] = sum;
}

__device__ inline u64 mix(u64 z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// Zeroes elements by the bits of a counter, the same as on the CPU: threshold is
// rate·2⁵³, keep is 1/(1 − rate). The key is a hash of the two numbers at `run`, a
// seed and a step, and of id, which distinguishes the dropouts of a graph.
KERNEL dropout(const T *x, T *y, i64 n, u64 threshold, T keep, u64 id, const i64 *run, i64 width) {
    u64 key = mix(mix(mix(~0ull ^ mix(run[0])) ^ mix(run[1])) ^ mix(id)) + (u64)(run[2] * width) * 0x9e3779b97f4a7c15ull;
    EACH(i, n) y[i] = mix(key + (u64)i * 0x9e3779b97f4a7c15ull) >> 11 < threshold ? (T)0 : x[i] * keep;
}

// Copies row ids[r] of w [.,d] to row r of y.
KERNEL embedding(const i64 *ids, const T *w, T *y, i64 n, i64 d) { EACH(i, n * d) y[i] = w[ids[i / d] * d + i % d]; }

// The sum of the rows of dy whose id is v, for every row v of dw. Block: 32
// columns by 32 threads that share the rows; grid: v, columns.
KERNEL embedding_grad(const i64 *ids, const T *dy, T *dw, i64 n, i64 d) {
    __shared__ int rows[1024], warps[32];
    __shared__ T room[32][33];
    i64 v = blockIdx.x, c = blockIdx.y * 32ll + threadIdx.x;
    int lane = threadIdx.x, warp = threadIdx.y;
    T sum = 0;
    for (i64 r0 = 0; r0 < n; r0 += 1024) {
        i64 r = r0 + warp * 32 + lane;
        bool mine = r < n && ids[r] == v;
        unsigned who = __ballot_sync(~0u, mine);
        if (lane == 0) warps[warp] = __popc(who);
        __syncthreads();
        int before = 0, all = 0;
        for (int w = 0; w < 32; w++) {
            if (w < warp) before += warps[w];
            all += warps[w];
        }
        if (mine) rows[before + __popc(who & ((1u << lane) - 1))] = (int)(r - r0);
        __syncthreads();
        for (int k = warp; c < d && k < all; k += 32) sum += dy[(r0 + rows[k]) * d + c];
        __syncthreads();
    }
    room[warp][lane] = sum;
    __syncthreads();
    for (int w = 1; warp == 0 && w < 32; w++) sum += room[w][lane];
    if (warp == 0 && c < d) dw[v * d + c] = sum;
}
