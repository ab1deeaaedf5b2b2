// The scan of the classic LSTM for many units, a launch a step, so that all processors
// share the sums. The layouts are those of lstm.cu.
#include "steps.cuh"

struct LSTM {
    i64 b, t, h;
    const i64 *resets;
    const T *x, *r, *bias, *state; // r [4·h,h]
    T *hs, *next, *tape; // next: h only behind lstm_end; it may be the memory of state
};

// Step t. A warp has a unit, whose four gates are its sums; block: 8 warps; grid:
// units by 8, sequences by ROWS.
KERNEL lstm_step(const __grid_constant__ LSTM s, i64 t) {
    const i64 j = blockIdx.x * 8ll + threadIdx.x / 32, b0 = blockIdx.y * (i64)ROWS, h = s.h;
    const T *w[SUMS];
    for (int k = 0; k < SUMS; k++) w[k] = j < h ? s.r + (k * h + j) * h : nullptr;
    const T mine = sumsOfSteps(w, [&](int q, int i) {
        const i64 b = b0 + q;
        if (b >= s.b || begins(s.resets, s.t, b, t)) return (T)0;
        if (t > 0) return s.hs[(b * s.t + t - 1) * h + i];
        return s.state ? s.state[b * h + i] : (T)0;
    }, (int)h);
    const int q = threadIdx.x % ROWS;
    T p[4];
    for (int k = 0; k < 4; k++) p[k] = __shfl_sync(~0u, mine, k * ROWS + q);
    const i64 b = b0 + q, at = s.b * h + b * h + j, row = b * s.t + t;
    if (threadIdx.x % 32 >= ROWS || b >= s.b || j >= h) return;
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

// Step t back, from the last to −1, which leaves the gradient of the state. A lane has
// a unit of a sequence; block: 4 warps; grid: units by 16, sequences by ROWS.
KERNEL lstm_step_back(const __grid_constant__ LSTMBack s, i64 t) {
    const i64 j0 = blockIdx.x * 16ll + threadIdx.x / 32 * SUMS, b0 = blockIdx.y * (i64)ROWS, h = s.h, bh = s.b * h;
    const bool last = t == s.t - 1;
    T gh = 0, gc = 0;
    if (!last) {
        const T *w[SUMS];
        for (int k = 0; k < SUMS; k++) w[k] = j0 + k < h ? s.r + (j0 + k) * 4 * h : nullptr;
        gh = sumsOfSteps(w, [&](int q, int k) { return b0 + q < s.b ? s.dx[((b0 + q) * s.t + t + 1) * 4 * h + k] : (T)0; }, (int)(4 * h));
    }
    const int lane = threadIdx.x % 32;
    const i64 b = b0 + lane % ROWS, j = j0 + lane / ROWS, at = b * h + j, row = b * s.t + t;
    if (b >= s.b || j >= h) return;
    if (last) {
        if (s.dnext) gh = s.dnext[at], gc = s.dnext[bh + at];
    } else {
        gc = s.dstate[bh + at];
        if (begins(s.resets, s.t, b, t + 1)) gh = gc = 0;
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
