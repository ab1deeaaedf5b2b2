// The scan of the classic LSTM for many units, a launch a step, so that all processors
// share the sums. The layouts are those of lstm.cu. A block has UNITS units of GROUPS·ROWS
// sequences; its warps share the sums out by sequences, and forward by units, back by
// gates. The kernels whose names end in 4 are for numbers of units that are multiples of
// four.
//gen: PTX
#include "steps.cuh"

#define UNITS SUMS
#define GROUPS 2

// Four elements from the i-th on of n, zeros beyond them and for null.
template <bool FOURS> __device__ __forceinline__ Four four(const T *p, i64 i, i64 n) {
    if (FOURS && p) return *(const Four *)(p + i);
    Four f;
    for (int k = 0; k < 4; k++) f.v[k] = !FOURS && p && i + k < n ? p[i + k] : (T)0;
    return f;
}

// Σ_k w_s[k]·x_q[k] over k < n for SUMS rows w and ROWS rows x: that of s and q in lane
// s·ROWS + q.
template <bool FOURS> __device__ __forceinline__ T sumsOfRows(const T *const (&w)[SUMS], const T *const (&x)[ROWS], i64 n) {
    T sum[SUMS * ROWS] = {};
    const int lane = threadIdx.x % 32;
#pragma unroll 2
    for (i64 k = 4 * lane; k < n; k += 128) {
        Four a[SUMS], b[ROWS];
#pragma unroll
        for (int s = 0; s < SUMS; s++) a[s] = four<FOURS>(w[s], k, n);
#pragma unroll
        for (int q = 0; q < ROWS; q++) b[q] = four<FOURS>(x[q], k, n);
#pragma unroll
        for (int s = 0; s < SUMS; s++)
#pragma unroll
            for (int q = 0; q < ROWS; q++)
#pragma unroll
                for (int c = 0; c < 4; c++) sum[s * ROWS + q] += a[s].v[c] * b[q].v[c];
    }
    halve<SUMS * ROWS>(sum, lane);
    return sum[0];
}

struct LSTM {
    i64 b, t, h;
    const i64 *resets;
    const T *x, *r, *bias, *state; // r [4·h,h]
    T *hs, *next, *tape; // next: h only behind lstm_end; it may be the memory of state
};

// Step t. A warp has a unit, whose four gates are its sums, and ROWS sequences.
template <bool FOURS> __device__ __forceinline__ void step(const LSTM &s, i64 t) {
    const int warp = threadIdx.x / 32, q = threadIdx.x % ROWS;
    const i64 h = s.h, j = blockIdx.x * (i64)UNITS + warp % UNITS, b0 = (blockIdx.y * (i64)GROUPS + warp / UNITS) * ROWS;
    if (j >= h || b0 >= s.b) return;
    const T *w[SUMS], *x[ROWS];
    for (int k = 0; k < SUMS; k++) w[k] = s.r + (k * h + j) * h;
    for (int k = 0; k < ROWS; k++) {
        const i64 b = b0 + k;
        if (b >= s.b || begins(s.resets, s.t, b, t)) x[k] = nullptr;
        else if (t > 0) x[k] = s.hs + (b * s.t + t - 1) * h;
        else x[k] = s.state ? s.state + b * h : nullptr;
    }
    const T mine = sumsOfRows<FOURS>(w, x, h);
    T p[4];
    for (int k = 0; k < 4; k++) p[k] = __shfl_sync(~0u, mine, k * ROWS + q);
    const i64 b = b0 + q, at = s.b * h + b * h + j, row = b * s.t + t;
    if (threadIdx.x % 32 >= ROWS || b >= s.b) return;
    for (int k = 0; k < 4; k++) p[k] += s.x[row * 4 * h + k * h + j] + s.bias[k * h + j];
    const T *from = t > 0 ? s.next : s.state;
    const T old = from && !begins(s.resets, s.t, b, t) ? from[at] : (T)0;
    const T kept[4] = {sigmoid(p[0]), sigmoid(p[1]), tanh(p[2]), sigmoid(p[3])}, c = kept[1] * old + kept[0] * kept[2];
    s.next[at] = c;
    s.hs[row * h + j] = kept[3] * tanh(c);
    if (!s.tape) return;
    for (int k = 0; k < 4; k++) s.tape[row * 4 * h + k * h + j] = kept[k];
    s.tape[s.b * s.t * 4 * h + row * h + j] = c;
}

KERNEL __launch_bounds__(32 * UNITS * GROUPS) lstm_step(const __grid_constant__ LSTM s, i64 t) { step<false>(s, t); }
KERNEL __launch_bounds__(32 * UNITS * GROUPS) lstm_step4(const __grid_constant__ LSTM s, i64 t) { step<true>(s, t); }

// h of the new state.
KERNEL lstm_end(const __grid_constant__ LSTM s) {
    EACH(i, s.b * s.h) s.next[i] = s.hs[(i / s.h * s.t + s.t - 1) * s.h + i % s.h];
}

struct LSTMBack {
    i64 b, t, h;
    const i64 *resets;
    const T *r, *state, *tape; // r [h,4·h], transposed
    const T *dh, *dnext;
    T *dx, *dstate; // dstate: memory for 2·b·h elements, a result or scratch
};

// Step t back, from the last to −1, which leaves the gradient of the state. A warp has a
// gate of the block's units and ROWS sequences; the first warp of these adds the gates up
// and has a unit of a sequence in each lane.
template <bool FOURS> __device__ __forceinline__ void stepBack(const LSTMBack &s, i64 t) {
    __shared__ T parts[GROUPS][4][32];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, gate = warp % 4, group = warp / 4;
    const i64 h = s.h, bh = s.b * h, j0 = blockIdx.x * (i64)UNITS, b0 = (blockIdx.y * (i64)GROUPS + group) * ROWS;
    const bool last = t == s.t - 1;
    if (!last) {
        const T *w[SUMS], *x[ROWS];
        for (int k = 0; k < SUMS; k++) w[k] = j0 + k < h ? s.r + (j0 + k) * 4 * h + gate * h : nullptr;
        for (int k = 0; k < ROWS; k++) x[k] = b0 + k < s.b ? s.dx + ((b0 + k) * s.t + t + 1) * 4 * h + gate * h : nullptr;
        parts[group][gate][lane] = sumsOfRows<FOURS>(w, x, h);
    }
    __syncthreads();
    const i64 b = b0 + lane % ROWS, j = j0 + lane / ROWS, at = b * h + j, row = b * s.t + t;
    if (gate > 0 || b >= s.b || j >= h) return;
    T gh = 0, gc = 0;
    if (!last) {
        gh = (parts[group][0][lane] + parts[group][1][lane]) + (parts[group][2][lane] + parts[group][3][lane]);
        gc = s.dstate[bh + at];
        if (begins(s.resets, s.t, b, t + 1)) gh = gc = 0;
    } else if (s.dnext) {
        gh = s.dnext[at], gc = s.dnext[bh + at];
    }
    if (t < 0) {
        s.dstate[at] = gh, s.dstate[bh + at] = gc;
        return;
    }
    const T *kept = s.tape + row * 4 * h + j, *cells = s.tape + s.b * s.t * 4 * h + row * h + j;
    const T i = kept[0], f = kept[h], g = kept[2 * h], o = kept[3 * h], y = tanh(cells[0]);
    T before = 0;
    if (!begins(s.resets, s.t, b, t)) {
        if (t > 0) before = *(cells - h);
        else if (s.state) before = s.state[bh + at];
    }
    const T up = gh + (s.dh ? s.dh[row * h + j] : (T)0), d = gc + up * o * (1 - y * y);
    T *dx = s.dx + row * 4 * h + j;
    dx[0] = d * g * (i - i * i), dx[h] = d * before * (f - f * f), dx[2 * h] = d * i * (1 - g * g), dx[3 * h] = up * y * (o - o * o);
    s.dstate[bh + at] = d * f;
}

KERNEL __launch_bounds__(32 * 4 * GROUPS) lstm_step_back(const __grid_constant__ LSTMBack s, i64 t) { stepBack<false>(s, t); }
KERNEL __launch_bounds__(32 * 4 * GROUPS) lstm_step_back4(const __grid_constant__ LSTMBack s, i64 t) { stepBack<true>(s, t); }
