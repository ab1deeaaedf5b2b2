// The scan of the simplified cell, one block per few sequences. internal/kernels has
// the equations.
//
// x [b·t,4·h], gate by gate (i, f, o, g); norms [4,h], γ_i, β_i, γ_f and β_f; m [h,h],
// input first; hs [b·t,h]; states h, C [2,b,h]; tape [8,b·t,h]: the pre-activations of
// i and f, the gates, g·M and C.
#include "common.cuh"

struct Simplified {
    i64 b, t, h;
    i64 rows; // sequences per block
    double eps;
    const i64 *resets;
    const T *x;
    const T *r; // [h,4·h], transposed
    const T *norms, *m, *state;
    T *hs, *next, *tape;
};

#define ROWS 4 // maximum of Simplified.rows

enum { PRE_I, PRE_F, IN, FORGET, OUT, CANDIDATE, WRITTEN, MEMORY };

// The mean and the reciprocal standard deviation of the pre-activations of i and f of
// each sequence in the block, pre [rows,4·h], one warp for each.
__device__ inline void statistics(const T *pre, i64 rows, i64 h, double eps, T (*mean)[2], T (*rstd)[2]) {
    for (int p = threadIdx.x / 32; p < 2 * rows; p += blockDim.x / 32) {
        const T *a = pre + p / 2 * 4 * h + p % 2 * h;
        T sum = 0, square = 0;
        for (i64 j = threadIdx.x % 32; j < h; j += 32) sum += a[j];
        T mu = warpSum(sum) / h;
        for (i64 j = threadIdx.x % 32; j < h; j += 32) square += (a[j] - mu) * (a[j] - mu);
        square = warpSum(square);
        if (threadIdx.x % 32 == 0) mean[p / 2][p % 2] = mu, rstd[p / 2][p % 2] = (T)(1 / sqrt((double)square / h + eps));
    }
}

// Dynamic shared memory: h and C [rows,h], then the pre-activations [rows,4·h], of
// which the gates take the place.
KERNEL __launch_bounds__(1024) simplified(Simplified s) {
    extern __shared__ char space[];
    __shared__ T mean[ROWS][2], rstd[ROWS][2];
    i64 h = s.h, four = 4 * h, b0 = blockIdx.x * s.rows, rows = min(s.rows, s.b - b0), bh = s.b * h, all = s.b * s.t * h;
    T *y = (T *)space, *c = y + s.rows * h, *pre = c + s.rows * h;
    for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
        y[e] = s.state ? s.state[b0 * h + e] : (T)0;
        c[e] = s.state ? s.state[bh + b0 * h + e] : (T)0;
    }
    for (i64 t = 0; t < s.t; t++) {
        if (s.resets) {
            __syncthreads();
            for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x)
                if (begins(s.resets, s.t, b0 + e / h, t)) y[e] = c[e] = 0;
        }
        __syncthreads();
        for (i64 o = threadIdx.x; o < four; o += blockDim.x) {
            T sum[ROWS] = {};
            for (i64 i = 0; i < h; i++) {
                T w = s.r[i * four + o];
                for (int q = 0; q < ROWS; q++)
                    if (q < rows) sum[q] += w * y[q * h + i];
            }
            for (int q = 0; q < ROWS; q++)
                if (q < rows) pre[q * four + o] = sum[q] + s.x[((b0 + q) * s.t + t) * four + o];
        }
        __syncthreads();
        statistics(pre, rows, h, s.eps, mean, rstd);
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, to = ((b0 + q) * s.t + t) * h + j;
            T *p = pre + q * four + j;
            if (s.tape) s.tape[PRE_I * all + to] = p[0], s.tape[PRE_F * all + to] = p[h];
            p[0] = exp((p[0] - mean[q][0]) * rstd[q][0] * s.norms[j] + s.norms[h + j]);
            p[h] = sigmoid((p[h] - mean[q][1]) * rstd[q][1] * s.norms[2 * h + j] + s.norms[3 * h + j]);
            p[2 * h] = sigmoid(p[2 * h]);
            p[3 * h] = tanh(p[3 * h]);
            for (int k = 0; s.tape && k < 4; k++) s.tape[(IN + k) * all + to] = p[k * h];
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, to = ((b0 + q) * s.t + t) * h + j;
            const T *p = pre + q * four;
            T u = 0;
            for (i64 k = 0; k < h; k++) u += p[3 * h + k] * s.m[k * h + j];
            c[e] = p[h + j] * c[e] + p[j] * u;
            y[e] = p[2 * h + j] * tanh(c[e]);
            s.hs[to] = y[e];
            if (s.tape) s.tape[WRITTEN * all + to] = u, s.tape[MEMORY * all + to] = c[e];
        }
    }
    for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) s.next[b0 * h + e] = y[e], s.next[bh + b0 * h + e] = c[e];
}

struct SimplifiedBack {
    i64 b, t, h, rows;
    double eps;
    const i64 *resets;
    const T *r, *norms, *m; // r as it is stored, m transposed
    const T *state, *tape, *dh, *dnext;
    T *dx, *du, *dnorms, *dstate; // du [b·t,h] is that of g·M, dnorms [blocks,4·h]
};

// Dynamic shared memory: the gradients of h and C [rows,h], of the pre-activations
// [rows,4·h], of which g's have that of g·M at first, and the pre-activations of i and
// f in an array like that [rows,4·h].
KERNEL __launch_bounds__(1024) simplified_backward(SimplifiedBack s) {
    extern __shared__ char space[];
    __shared__ T mean[ROWS][2], rstd[ROWS][2], sums[ROWS][2][2];
    i64 h = s.h, four = 4 * h, b0 = blockIdx.x * s.rows, rows = min(s.rows, s.b - b0), bh = s.b * h, all = s.b * s.t * h;
    T *gh = (T *)space, *gc = gh + s.rows * h, *d = gc + s.rows * h, *pre = d + s.rows * four;
    T *norms = s.dnorms + blockIdx.x * four;
    for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
        gh[e] = s.dnext ? s.dnext[b0 * h + e] : (T)0;
        gc[e] = s.dnext ? s.dnext[bh + b0 * h + e] : (T)0;
    }
    for (i64 e = threadIdx.x; e < four; e += blockDim.x) norms[e] = 0;
    for (i64 t = s.t - 1; t >= 0; t--) {
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, to = ((b0 + q) * s.t + t) * h + j;
            T i = s.tape[IN * all + to], f = s.tape[FORGET * all + to], o = s.tape[OUT * all + to], u = s.tape[WRITTEN * all + to];
            T y = tanh(s.tape[MEMORY * all + to]), before = 0;
            if (!begins(s.resets, s.t, b0 + q, t)) {
                if (t > 0) before = s.tape[MEMORY * all + to - h];
                else if (s.state) before = s.state[bh + b0 * h + e];
            }
            T up = gh[e] + (s.dh ? s.dh[to] : (T)0), dc = gc[e] + up * o * (1 - y * y);
            T *p = d + q * four + j, *a = pre + q * four + j;
            p[0] = dc * u * i, p[h] = dc * before * (f - f * f), p[2 * h] = up * y * (o - o * o), p[3 * h] = dc * i;
            s.du[to] = p[3 * h];
            gc[e] = dc * f;
            a[0] = s.tape[PRE_I * all + to], a[h] = s.tape[PRE_F * all + to];
        }
        __syncthreads();
        statistics(pre, rows, h, s.eps, mean, rstd);
        __syncthreads();
        for (int p = threadIdx.x / 32; p < 2 * rows; p += blockDim.x / 32) {
            int q = p / 2, gate = p % 2;
            const T *a = pre + q * four + gate * h, *g = d + q * four + gate * h, *gamma = s.norms + 2 * gate * h;
            T sum = 0, sumX = 0;
            for (i64 j = threadIdx.x % 32; j < h; j += 32) {
                T v = g[j] * gamma[j];
                sum += v, sumX += v * (a[j] - mean[q][gate]) * rstd[q][gate];
            }
            sum = warpSum(sum), sumX = warpSum(sumX);
            if (threadIdx.x % 32 == 0) sums[q][gate][0] = sum / h, sums[q][gate][1] = sumX / h;
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < 2 * h; e += blockDim.x) { // gate·h + unit
            i64 gate = e / h, j = e % h;
            T gamma = s.norms[2 * gate * h + j], dgamma = 0, dbeta = 0;
            for (int q = 0; q < rows; q++) {
                T *p = d + q * four + e, x = (pre[q * four + e] - mean[q][gate]) * rstd[q][gate];
                dgamma += *p * x, dbeta += *p;
                *p = rstd[q][gate] * (*p * gamma - sums[q][gate][0] - x * sums[q][gate][1]);
            }
            norms[2 * gate * h + j] += dgamma, norms[(2 * gate + 1) * h + j] += dbeta;
        }
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) { // through M, in the place of gh
            i64 q = e / h, j = e % h;
            T sum = 0;
            for (i64 k = 0; k < h; k++) sum += d[q * four + 3 * h + k] * s.m[k * h + j];
            gh[e] = sum;
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, row = (b0 + q) * s.t + t;
            T *p = d + q * four + j, g = s.tape[CANDIDATE * all + row * h + j];
            p[3 * h] = gh[e] * (1 - g * g);
            for (int k = 0; k < 4; k++) s.dx[row * four + k * h + j] = p[k * h];
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h;
            bool begin = begins(s.resets, s.t, b0 + q, t);
            T sum = 0;
            for (i64 o = 0; o < four; o++) sum += s.r[o * h + j] * d[q * four + o];
            gh[e] = begin ? (T)0 : sum;
            if (begin) gc[e] = 0;
        }
    }
    __syncthreads();
    for (i64 e = threadIdx.x; s.dstate && e < rows * h; e += blockDim.x) s.dstate[b0 * h + e] = gh[e], s.dstate[bh + b0 * h + e] = gc[e];
}
