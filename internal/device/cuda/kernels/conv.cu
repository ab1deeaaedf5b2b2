// The causal convolution over time, a filter of k taps per channel, with SiLU if silu
// is set. x, y [b·t,d]; w [d,k], the oldest step first; window [b,k,d], the
// steps before the batch, or null.
#include "common.cuh"

struct Conv {
    i64 b, t, d, k;
    int silu;
    const i64 *resets;
};

// Whether a document begins after step `from` and not after step `last`, so that
// last does not see from.
__device__ inline bool hidden(const Conv &s, i64 b, i64 from, i64 last) {
    if (!s.resets) return false;
    for (i64 u = max(from + 1, 0ll); u <= min(last, s.t - 1); u++)
        if (begins(s.resets, s.t, b, u)) return true;
    return false;
}

__device__ inline T at(const Conv &s, In x, const T *window, i64 b, i64 t, i64 c) {
    if (t >= 0) return x[(b * s.t + t) * s.d + c];
    return window ? window[(b * s.k + s.k + t) * s.d + c] : (T)0;
}

__device__ inline T sumOfTaps(const Conv &s, In x, const T *w, const T *bias, const T *window, i64 b, i64 t, i64 c) {
    T sum = bias ? bias[c] : (T)0;
    for (i64 j = 0; j < s.k; j++) {
        i64 from = t - (s.k - 1) + j;
        if (!hidden(s, b, from, t)) sum += w[c * s.k + j] * at(s, x, window, b, from, c);
    }
    return sum;
}

KERNEL conv(Conv s, In x, const T *w, const T *bias, const T *window, Out y) {
    EACH(i, s.b * s.t * s.d) {
        i64 c = i % s.d, t = i / s.d % s.t, b = i / s.d / s.t;
        T sum = sumOfTaps(s, x, w, bias, window, b, t, c);
        y.put(i, s.silu ? activate(SILU, sum) : sum);
    }
}

// The last k steps. next may be the memory of window: a thread copies one channel
// from the oldest step to the newest.
KERNEL conv_window(Conv s, In x, const T *window, T *next) {
    EACH(i, s.b * s.d) {
        i64 c = i % s.d, b = i / s.d;
        for (i64 k = 0; k < s.k; k++) {
            i64 from = s.t - s.k + k;
            next[(b * s.k + k) * s.d + c] = hidden(s, b, from, s.t - 1) ? (T)0 : at(s, x, window, b, from, c);
        }
    }
}

// The gradient of the sums before SiLU.
KERNEL conv_pre_grad(Conv s, In x, const T *w, const T *bias, const T *window, In dy, T *dpre) {
    EACH(i, s.b * s.t * s.d) {
        i64 c = i % s.d, t = i / s.d % s.t, b = i / s.d / s.t;
        dpre[i] = s.silu ? dy[i] * slope(SILU, sumOfTaps(s, x, w, bias, window, b, t, c)) : dy[i];
    }
}

// dx and, unless null, the gradient of the window, from dpre and, unless null, the
// gradient of the new window.
KERNEL conv_grad(Conv s, const T *w, const T *dpre, const T *dnext, Out dx, T *dwindow) {
    i64 first = dwindow ? -s.k : 0, steps = s.t - first;
    EACH(i, s.b * steps * s.d) {
        i64 c = i % s.d, t = i / s.d % steps + first, b = i / s.d / steps;
        T sum = 0;
        for (i64 j = 0; j < s.k; j++) {
            i64 to = t + j; // its tap k−1−j is step t
            if (to >= 0 && to < s.t && !hidden(s, b, t, to)) sum += w[c * s.k + s.k - 1 - j] * dpre[(b * s.t + to) * s.d + c];
        }
        i64 k = t - (s.t - s.k); // of the new window
        if (dnext && k >= 0 && !hidden(s, b, t, s.t - 1)) sum += dnext[(b * s.k + k) * s.d + c];
        if (t >= 0) dx.put((b * s.t + t) * s.d + c, sum);
        else dwindow[(b * s.k + s.k + t) * s.d + c] = sum;
    }
}

// The parts of dw and dbias over stretches of rows: part [stretches,k+1,d], the
// bias last. Grid: channels by blockDim.x, taps and bias, stretches.
KERNEL conv_weight_grad(Conv s, In x, const T *window, const T *dpre, T *part, i64 stretch) {
    i64 c = blockIdx.x * (i64)blockDim.x + threadIdx.x, j = blockIdx.y, r0 = blockIdx.z * stretch;
    if (c >= s.d) return;
    T sum = 0;
    for (i64 r = r0; r < min(s.b * s.t, r0 + stretch); r++) {
        i64 b = r / s.t, t = r % s.t, from = t - (s.k - 1) + j;
        if (j == s.k) sum += dpre[r * s.d + c];
        else if (!hidden(s, b, from, t)) sum += dpre[r * s.d + c] * at(s, x, window, b, from, c);
    }
    part[(blockIdx.z * (s.k + 1) + j) * s.d + c] = sum;
}

// dw [d,k] and, unless null, dbias [d] from the sums [k+1,d] of the parts. Block: that
// of rowsSum; grid: the sums.
KERNEL conv_weight_sums(const T *part, T *dw, T *dbias, i64 parts, i64 d, i64 k) {
    i64 i = blockIdx.x * 32ll + threadIdx.x, c = i % d, j = i / d, size = (k + 1) * d;
    T sum = partsSum(part, parts, size, i, i < size);
    if (threadIdx.y || i >= size) return;
    if (j < k) dw[c * k + j] = sum;
    else if (dbias) dbias[c] = sum;
}

// For filters of four taps, a thread takes a channel over a stretch of the steps of a
// sequence and reads every input once.
#define TAPS 4

struct Taps {
    T w[TAPS], bias;
    T past[TAPS]; // the inputs that the step sees, 0 where a document lies between
    bool seen[TAPS];

    __device__ void begin(const Conv &s, const T *weights, const T *b, i64 c) {
        for (int j = 0; j < TAPS; j++) w[j] = weights[c * TAPS + j], past[j] = 0, seen[j] = false;
        bias = b ? b[c] : (T)0;
    }
    // Advances to step t; before the first step the inputs come from the window.
    __device__ void step(const Conv &s, In x, const T *window, i64 b, i64 t, i64 c) {
        bool fresh = t >= 0 && t < s.t && begins(s.resets, s.t, b, t);
        for (int j = 0; j + 1 < TAPS; j++) past[j] = fresh ? (T)0 : past[j + 1], seen[j] = !fresh && seen[j + 1];
        past[TAPS - 1] = t < s.t ? at(s, x, window, b, t, c) : (T)0;
        seen[TAPS - 1] = true;
    }
    __device__ T sum() const {
        T y = bias;
        for (int j = 0; j < TAPS; j++) y += w[j] * past[j];
        return y;
    }
};

// Grid: channels by blockDim.x, stretches, sequences.
KERNEL conv_4(Conv s, In x, const T *w, const T *bias, const T *window, Out y, i64 stretch) {
    i64 c = blockIdx.x * (i64)blockDim.x + threadIdx.x, b = blockIdx.z, t0 = blockIdx.y * stretch;
    if (c >= s.d) return;
    Taps taps;
    taps.begin(s, w, bias, c);
    for (i64 t = t0 - TAPS + 1; t < t0; t++) taps.step(s, x, window, b, t, c);
#pragma unroll 4
    for (i64 t = t0; t < min(s.t, t0 + stretch); t++) {
        taps.step(s, x, window, b, t, c);
        T sum = taps.sum();
        y.put((b * s.t + t) * s.d + c, s.silu ? activate(SILU, sum) : sum);
    }
}

// The derivative of SiLU, with one exponential.
__device__ inline T siluSlope(T x) {
    x = min(fromBelow(x), (T)1000);
    const T s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

// All gradients; dy, dnext and dwindow may be null, and plus is added to dx. The parts
// of dw and dbias are those of conv_weight_grad, one for each block of a sequence. A
// thread has STEPS steps of a channel, and reads first all that it needs, from the
// steps before to those after. Block: 32 channels by 8 threads; grid: channels, steps,
// sequences.
#define STEPS 8
#define PAST (TAPS - 1)

template <bool RESETS> __device__ inline void fourTapsGrad(const Conv &s, In x, const T *w, const T *bias, const T *window, In dy, const T *dnext, Out dx, T *dwindow, T *part, const Addends &plus) {
    __shared__ T room[TAPS + 1][8][32];
    const i64 c = blockIdx.x * 32ll + threadIdx.x, b = blockIdx.z, t0 = (blockIdx.y * 8ll + threadIdx.y) * STEPS;
    const bool there = c < s.d && t0 < s.t;
    T sum[TAPS + 1] = {};
    if (there) {
        T f[TAPS], in[STEPS + 2 * PAST], up[STEPS + PAST]; // in from step t0 − PAST on, up from t0
        unsigned fresh = 0;                                // whether a document begins, as in
        const int d = (int)s.d, left = (int)(s.t - t0);    // steps from t0 on
        const i64 here = (b * s.t + t0) * s.d + c;
        for (int j = 0; j < TAPS; j++) f[j] = w[c * TAPS + j];
#pragma unroll
        for (int k = 0; k < PAST; k++) in[k] = at(s, x, window, b, t0 + k - PAST, c);
#pragma unroll
        for (int k = 0; k < STEPS + PAST; k++) in[k + PAST] = k < left ? x[here + k * d] : (T)0;
#pragma unroll
        for (int k = 0; k < STEPS + PAST; k++) up[k] = dy.at && k < left ? dy[here + k * d] : (T)0;
#pragma unroll
        for (int k = 0; k < STEPS + 2 * PAST; k++) {
            const i64 t = t0 + k - PAST;
            if (RESETS && t >= 0 && t < s.t && begins(s.resets, s.t, b, t)) fresh |= 1u << k;
        }
        // Step k + PAST of `in` sees step k + j unless a document begins in between.
        auto sees = [&](int k, int j) { return !RESETS || !(fresh >> (k + j + 1) & ((1u << (PAST - j)) - 1)); };
        const T offset = bias ? bias[c] : (T)0;
#pragma unroll
        for (int k = 0; k < STEPS + PAST; k++) {
            T pre = offset;
            for (int j = 0; j < TAPS; j++) pre += sees(k, j) ? f[j] * in[k + j] : (T)0;
            if (s.silu) up[k] *= siluSlope(pre);
            if (k >= STEPS) continue;
            for (int j = 0; j < TAPS; j++) sum[j] += sees(k, j) ? up[k] * in[k + j] : (T)0;
            sum[TAPS] += up[k];
        }
        const bool last = dnext && left < STEPS + TAPS; // steps of the new window are among the thread's
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            if (k >= left) continue;
            T down = 0;
            for (int j = 0; j < TAPS; j++) down += sees(k + j, PAST - j) ? f[PAST - j] * up[k + j] : (T)0;
            if (last && left - k <= TAPS && !(RESETS && hidden(s, b, t0 + k, s.t - 1))) down += dnext[(b * TAPS + k - left + TAPS) * s.d + c];
            dx.put(here + k * d, plused(down, plus, here + k * d));
        }
#pragma unroll
        for (int k = 0; t0 == 0 && dwindow && k < TAPS; k++) { // step k − TAPS, of the old window
            T down = 0;
#pragma unroll
            for (int j = TAPS - k; j < TAPS; j++) {
                const i64 to = k - TAPS + j;
                if (to < s.t && !(RESETS && hidden(s, b, k - TAPS, to))) down += f[PAST - j] * up[to];
            }
            const i64 next = k - s.t; // of the new window
            if (dnext && next >= 0 && !(RESETS && hidden(s, b, k - TAPS, s.t - 1))) down += dnext[(b * TAPS + next) * s.d + c];
            dwindow[(b * TAPS + k) * s.d + c] = down;
        }
    }
    for (int j = 0; j <= TAPS; j++) room[j][threadIdx.y][threadIdx.x] = sum[j];
    __syncthreads();
    const int j = threadIdx.y; // the sum that the thread adds up
    if (j > TAPS || c >= s.d) return;
    T all = 0;
    for (int y = 0; y < 8; y++) all += room[j][y][threadIdx.x];
    part[((b * gridDim.y + blockIdx.y) * (TAPS + 1) + j) * s.d + c] = all;
}

KERNEL __launch_bounds__(256, 3) conv_4_grad(Conv s, In x, const T *w, const T *bias, const T *window, In dy, const T *dnext, Out dx, T *dwindow, T *part, Addends plus) {
    fourTapsGrad<false>(s, x, w, bias, window, dy, dnext, dx, dwindow, part, plus);
}
KERNEL __launch_bounds__(256, 3) conv_4_grad_resets(Conv s, In x, const T *w, const T *bias, const T *window, In dy, const T *dnext, Out dx, T *dwindow, T *part, Addends plus) {
    fourTapsGrad<true>(s, x, w, bias, window, dy, dnext, dx, dwindow, part, plus);
}
