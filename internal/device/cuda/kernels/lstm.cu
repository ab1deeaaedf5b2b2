// The scan of the classic LSTM for any number of units, one block per few sequences.
// internal/kernels has the equations.
//
// x [b·t,4·h], gate by gate (i, f, g, o); bias [4·h]; hs [b·t,h]; states h, c
// [2,b,h]; tape: the gates [b·t,4·h], then c [b·t,h].
#include "common.cuh"

struct LSTM {
    i64 b, t, h;
    i64 rows; // sequences per block: 1, 2 or 4
    const i64 *resets;
    const T *x;
    const T *r; // [h,4·h], transposed
    const T *bias, *state;
    T *hs, *next, *tape;
};

// sum_q = Σ_i w[i·stride]·v[q·apart + i] over i < n, for N sequences q.
template <int N> __device__ inline void products(const T *w, i64 stride, i64 n, const T *v, i64 apart, T *sum, i64 to) {
    T s[N] = {};
#pragma unroll 8
    for (i64 i = 0; i < n; i++) {
        T u = w[i * stride];
        for (int q = 0; q < N; q++) s[q] += u * v[q * apart + i];
    }
    for (int q = 0; q < N; q++) sum[q * to] = s[q];
}

// The same for 1, 2 or 4 sequences.
__device__ inline void multiply(i64 rows, const T *w, i64 stride, i64 n, const T *v, i64 apart, T *sum, i64 to) {
    if (rows == 1) products<1>(w, stride, n, v, apart, sum, to);
    else if (rows == 2) products<2>(w, stride, n, v, apart, sum, to);
    else products<4>(w, stride, n, v, apart, sum, to);
}

// Transposes r [m,n] to out [n,m].
KERNEL lstm_transpose(const T *r, T *out, i64 m, i64 n) {
    EACH(i, m * n) out[i] = r[i % m * n + i / m];
}

// Dynamic shared memory: h and c [rows,h], then the pre-activations [rows,4·h].
KERNEL __launch_bounds__(1024) lstm(LSTM s) {
    extern __shared__ char space[];
    i64 h = s.h, four = 4 * h, b0 = blockIdx.x * s.rows, rows = min(s.rows, s.b - b0), bh = s.b * h;
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
            multiply(s.rows, s.r + o, four, h, y, h, pre + o, four);
            for (int q = 0; q < rows; q++) pre[q * four + o] += s.x[((b0 + q) * s.t + t) * four + o] + s.bias[o];
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, row = (b0 + q) * s.t + t;
            const T *p = pre + q * four + j;
            T i = sigmoid(p[0]), f = sigmoid(p[h]), g = tanh(p[2 * h]), o = sigmoid(p[3 * h]);
            c[e] = f * c[e] + i * g;
            y[e] = o * tanh(c[e]);
            s.hs[row * h + j] = y[e];
            if (s.tape) {
                T *kept = s.tape + row * four + j;
                kept[0] = i, kept[h] = f, kept[2 * h] = g, kept[3 * h] = o;
                s.tape[s.b * s.t * four + row * h + j] = c[e];
            }
        }
    }
    for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) s.next[b0 * h + e] = y[e], s.next[bh + b0 * h + e] = c[e];
}

struct LSTMBack {
    i64 b, t, h, rows;
    const i64 *resets;
    const T *r, *state, *tape; // r as it is stored
    const T *dh, *dnext;
    T *dx, *dstate;
};

// Dynamic shared memory: the gradients of h and c [rows,h], then of the
// pre-activations [rows,4·h], and each gate's part of h's next gradient [rows,4·h].
KERNEL __launch_bounds__(1024) lstm_backward(LSTMBack s) {
    extern __shared__ char space[];
    i64 h = s.h, four = 4 * h, b0 = blockIdx.x * s.rows, rows = min(s.rows, s.b - b0), bh = s.b * h;
    T *gh = (T *)space, *gc = gh + s.rows * h, *dpre = gc + s.rows * h, *parts = dpre + s.rows * four;
    const T *cells = s.tape + s.b * s.t * four;
    for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
        gh[e] = s.dnext ? s.dnext[b0 * h + e] : (T)0;
        gc[e] = s.dnext ? s.dnext[bh + b0 * h + e] : (T)0;
    }
    for (i64 t = s.t - 1; t >= 0; t--) {
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            i64 q = e / h, j = e % h, row = (b0 + q) * s.t + t;
            const T *kept = s.tape + row * four + j;
            T i = kept[0], f = kept[h], g = kept[2 * h], o = kept[3 * h], y = tanh(cells[row * h + j]), before = 0;
            if (!begins(s.resets, s.t, b0 + q, t)) {
                if (t > 0) before = cells[(row - 1) * h + j];
                else if (s.state) before = s.state[bh + b0 * h + e];
            }
            T up = gh[e] + (s.dh ? s.dh[row * h + j] : (T)0), d = gc[e] + up * o * (1 - y * y);
            T grads[4] = {d * g * (i - i * i), d * before * (f - f * f), d * i * (1 - g * g), up * y * (o - o * o)};
            for (int k = 0; k < 4; k++) dpre[q * four + k * h + j] = s.dx[row * four + k * h + j] = grads[k];
            gc[e] = d * f;
        }
        __syncthreads();
        for (i64 o = threadIdx.x; o < four; o += blockDim.x) { // gate·h + unit
            i64 gate = o / h;
            multiply(s.rows, s.r + gate * h * h + o % h, h, h, dpre + gate * h, four, parts + o, four);
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * h; e += blockDim.x) {
            const T *p = parts + e / h * four + e % h;
            bool begin = begins(s.resets, s.t, b0 + e / h, t);
            gh[e] = begin ? (T)0 : (p[0] + p[h]) + (p[2 * h] + p[3 * h]);
            if (begin) gc[e] = 0;
        }
    }
    __syncthreads();
    for (i64 e = threadIdx.x; s.dstate && e < rows * h; e += blockDim.x) s.dstate[b0 * h + e] = gh[e], s.dstate[bh + b0 * h + e] = gc[e];
}

// Sets before [b·t,h] to what h is before each step.
KERNEL lstm_before(const i64 *resets, const T *state, const T *hs, T *before, i64 b, i64 t, i64 h) {
    EACH(e, b * t * h) {
        i64 row = e / h, step = row % t, sequence = row / t;
        T v = 0;
        if (!begins(resets, t, sequence, step)) {
            if (step > 0) v = hs[e - h];
            else if (state) v = state[sequence * h + e % h];
        }
        before[e] = v;
    }
}
