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

KERNEL add(const T *a, const T *b, T *y, i64 n) { EACH(i, n) y[i] = a[i] + b[i]; }

KERNEL multiply(const T *a, const T *b, T *y, i64 n) { EACH(i, n) y[i] = a[i] * b[i]; }

// y [n,d] += b [d], a row each.
KERNEL add_rows(const T *b, T *y, i64 n, i64 d) { EACH(i, n * d) y[i] += b[i % d]; }

// y = (h + skip⊙c)⊙SiLU(z), all [n,d] but skip [d].
KERNEL skip_gate(const T *h, const T *c, const T *skip, const T *z, T *y, i64 n, i64 d) {
    EACH(i, n * d) y[i] = (h[i] + skip[i % d] * c[i]) * activate(SILU, z[i]);
}

// dskip is what dh⊙c gives when the rows are added up.
KERNEL skip_gate_grad(const T *h, const T *c, const T *skip, const T *z, const T *dy, T *dh, T *dc, T *dz, i64 n, i64 d) {
    EACH(i, n * d) {
        T s = skip[i % d], up = dy[i], x = z[i], ci = c[i], hi = h[i];
        T g = up * activate(SILU, x);
        dh[i] = g;
        dc[i] = g * s;
        dz[i] = up * (hi + s * ci) * slope(SILU, x);
    }
}

__device__ inline u64 mix(u64 z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// Zeroes elements by the bits of a counter, the CPU's: threshold is rate·2⁵³ and
// keep 1/(1 − rate). The key is a hash of the two numbers at `run`, a seed and a
// step, and of id, which tells the dropouts of a graph apart.
KERNEL dropout(const T *x, T *y, i64 n, u64 threshold, T keep, u64 id, const i64 *run) {
    u64 key = mix(mix(mix(~0ull ^ mix(run[0])) ^ mix(run[1])) ^ mix(id));
    EACH(i, n) y[i] = mix(key + (u64)i * 0x9e3779b97f4a7c15ull) >> 11 < threshold ? (T)0 : x[i] * keep;
}

// Row ids[r] of w [.,d] to row r of y.
KERNEL embedding(const i64 *ids, const T *w, T *y, i64 n, i64 d) { EACH(i, n * d) y[i] = w[ids[i / d] * d + i % d]; }

// Adds up the rows of dy that were taken from row v of w, in their order, for
// every v: a block each.
KERNEL embedding_grad(const i64 *ids, const T *dy, T *dw, i64 n, i64 d) {
    __shared__ int rows[1024];
    __shared__ int count, warps[32];
    i64 v = blockIdx.x;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, of = blockDim.x >> 5;
    for (i64 c = threadIdx.x; c < d; c += blockDim.x) dw[v * d + c] = 0;
    for (i64 r0 = 0; r0 < n; r0 += blockDim.x) {
        i64 r = r0 + threadIdx.x;
        bool mine = r < n && ids[r] == v;
        unsigned who = __ballot_sync(~0u, mine);
        if (lane == 0) warps[warp] = __popc(who);
        __syncthreads();
        int before = 0, all = 0;
        for (int w = 0; w < of; w++) {
            if (w < warp) before += warps[w];
            all += warps[w];
        }
        if (mine) rows[before + __popc(who & ((1u << lane) - 1))] = (int)r;
        if (threadIdx.x == 0) count = all;
        __syncthreads();
        for (i64 c = threadIdx.x; count && c < d; c += blockDim.x) {
            T sum = dw[v * d + c];
            for (int k = 0; k < count; k++) sum += dy[(i64)rows[k] * d + c];
            dw[v * d + c] = sum;
        }
        __syncthreads();
    }
}

// Copies m rows of n elements between arrays whose rows are lds and ldd apart.
KERNEL copy_rows(const T *src, i64 lds, T *dst, i64 ldd, i64 m, i64 n) { EACH(i, m * n) dst[i / n * ldd + i % n] = src[i / n * lds + i % n]; }
