// The sLSTM for heads of any width, a launch a step, so that all processors share
// the sums. internal/kernels has the equations.
//
// x_k, y [b·t,nh·dh] for the gates k = i, f, z, o; r [nh,4·dh,dh]; bias [4,nh·dh];
// states y, c, n, m [4,b,nh·dh].
#include "outer.cuh"
#include "steps.cuh"

struct SLSTM {
    i64 b, t, nh, dh;
    T clip; // bounds the gradient of y of the step before; infinity for no bound
    const i64 *resets;
    const T *x[4];
    const T *r, *bias, *state;
    T *y, *next, *tape; // next: of y only behind slstm_end; it may be the memory of state
};

// Beyond this the rounding of a stabiliser changes exponents by whole numbers.
#define COARSE 1048576.0

// Transposes r [heads,m,n] to out [heads,n,m].
KERNEL slstm_transpose(const T *r, T *out, i64 heads, i64 m, i64 n) {
    EACH(i, heads * m * n) {
        i64 row = i % m, col = i / m % n, h = i / m / n;
        out[i] = r[(h * m + row) * n + col];
    }
}

// Step t. A warp has a unit, whose four gates are its sums; block: 8 warps; grid:
// units by 8, heads, sequences by ROWS.
KERNEL slstm_step(const __grid_constant__ SLSTM s, i64 t) {
    const i64 h = blockIdx.y, j = blockIdx.x * 8ll + threadIdx.x / 32, b0 = blockIdx.z * (i64)ROWS, d = s.nh * s.dh, all = s.b * s.t * d;
    const T *w[SUMS];
    for (int k = 0; k < SUMS; k++) w[k] = j < s.dh ? s.r + ((h * 4 + k) * s.dh + j) * s.dh : nullptr;
    const T mine = sumsOfSteps(w, [&](int q, int i) {
        const i64 b = b0 + q;
        if (b >= s.b || begins(s.resets, s.t, b, t)) return (T)0;
        if (t > 0) return s.y[(b * s.t + t - 1) * d + h * s.dh + i];
        return s.state ? s.state[b * d + h * s.dh + i] : (T)0;
    }, (int)s.dh);
    const int q = threadIdx.x % ROWS;
    T sum[4];
    for (int k = 0; k < 4; k++) sum[k] = __shfl_sync(~0u, mine, k * ROWS + q);
    const i64 b = b0 + q, col = h * s.dh + j, at = b * d + col, to = (b * s.t + t) * d + col, bd = s.b * d;
    if (threadIdx.x % 32 >= ROWS || b >= s.b || j >= s.dh) return;
    double p[4];
    for (int k = 0; k < 4; k++) p[k] = (double)sum[k] + (double)s.x[k][to] + (double)s.bias[k * d + col];
    T old[4] = {}; // c, n and m at 1, 2 and 3
    const T *from = t > 0 ? s.next : s.state;
    for (int k = 1; from && k < 4; k++) old[k] = begins(s.resets, s.t, b, t) ? (T)0 : from[k * bd + at];
    T c = old[1], n = old[2], z = tanh((T)p[2]), out = sigmoid((T)p[3]);
    double lf = min(p[1], 0.0) + (double)log1p(exp(-abs((T)p[1]))) * -1.0 + (double)old[3], it = p[0];
    bool empty = n == 0;
    double m = (double)(T)(empty ? it : max(lf, it));
    if (abs(m) >= COARSE) it = (T)it, lf = (T)lf;
    if (empty) lf = min(lf, m);
    T i = exp((T)(it - m)), f = exp((T)(lf - m));
    c = f * c + i * z;
    n = f * n + i;
    s.next[bd + at] = c, s.next[2 * bd + at] = n, s.next[3 * bd + at] = (T)m;
    s.y[to] = out * c / n;
    const T kept[7] = {i, f, z, out, sigmoid((T)-p[1]), c, n};
    for (int k = 0; k < 7; k++) s.tape[k * all + to] = kept[k];
}

// y of the new state.
KERNEL slstm_end(const __grid_constant__ SLSTM s) {
    const i64 d = s.nh * s.dh;
    EACH(i, s.b * d) s.next[i] = s.y[(i / d * s.t + s.t - 1) * d + i % d];
}

struct SLSTMBack {
    i64 b, t, nh, dh;
    T clip;
    const i64 *resets;
    const T *r, *state, *y, *next, *tape; // r [nh,dh,4·dh], transposed
    const T *dy, *dnext;
    T *dx[4], *dstate; // dstate: memory for 4·b·nh·dh elements, a result or scratch
};

// Step t back, from the last to −1, which leaves the gradient of the state. A lane has
// a unit of a sequence; block: 4 warps; grid: units by 16, heads, sequences by ROWS.
KERNEL slstm_step_back(const __grid_constant__ SLSTMBack s, i64 t) {
    const i64 h = blockIdx.y, j0 = blockIdx.x * 16ll + threadIdx.x / 32 * SUMS, b0 = blockIdx.z * (i64)ROWS, d = s.nh * s.dh, all = s.b * s.t * d, bd = s.b * d;
    const bool last = t == s.t - 1;
    T g[4] = {}; // the gradients of y, c, n and m
    if (!last) {
        const T *w[SUMS];
        for (int k = 0; k < SUMS; k++) w[k] = j0 + k < s.dh ? s.r + (h * s.dh + j0 + k) * 4 * s.dh : nullptr;
        const int dh = (int)s.dh;
        g[0] = sumsOfSteps(w, [&](int q, int k) {
            const i64 b = b0 + q;
            return b < s.b ? s.dx[k / dh][(b * s.t + t + 1) * d + h * dh + k % dh] : (T)0;
        }, 4 * dh);
        g[0] = min(max(g[0], -s.clip), s.clip);
    }
    const int lane = threadIdx.x % 32;
    const i64 b = b0 + lane % ROWS, j = j0 + lane / ROWS, at = b * d + h * s.dh + j, to = (b * s.t + t) * d + h * s.dh + j;
    if (b >= s.b || j >= s.dh) return;
    if (!last) {
        for (int k = 1; k < 4; k++) g[k] = s.dstate[k * bd + at];
        if (begins(s.resets, s.t, b, t + 1)) g[0] = g[1] = g[2] = g[3] = 0;
    } else if (s.dnext) {
        for (int k = 0; k < 4; k++) g[k] = s.dnext[k * bd + at];
        // What a stored stabiliser leaves; it follows the path of the maximum.
        g[3] -= s.next[bd + at] * g[1] + s.next[2 * bd + at] * g[2];
    }
    if (t < 0) {
        if (s.state) g[3] += s.state[bd + at] * g[1] + s.state[2 * bd + at] * g[2];
        for (int k = 0; k < 4; k++) s.dstate[k * bd + at] = g[k];
        return;
    }
    const T i = s.tape[to], f = s.tape[all + to], z = s.tape[2 * all + to], o = s.tape[3 * all + to], fbar = s.tape[4 * all + to];
    const T n = s.tape[6 * all + to], y = s.y[to];
    T before = 0, nBefore = 0;
    if (!begins(s.resets, s.t, b, t)) {
        if (t > 0) before = s.tape[5 * all + to - d], nBefore = s.tape[6 * all + to - d];
        else if (s.state) before = s.state[bd + at], nBefore = s.state[2 * bd + at];
    }
    const T dy = g[0] + (s.dy ? s.dy[to] : (T)0), part = dy / n, dc = g[1] + o * part, dn = g[2] - y * part;
    T di = i * (dc * z + dn), df = f * (dc * before + dn * nBefore);
    if (f >= i && nBefore != 0) df += g[3];
    else di += g[3], g[3] = 0;
    s.dx[0][to] = di, s.dx[1][to] = df * fbar, s.dx[2][to] = dc * i * (1 - z * z), s.dx[3][to] = (1 - o) * y * dy;
    s.dstate[bd + at] = f * dc, s.dstate[2 * bd + at] = f * dn, s.dstate[3 * bd + at] = g[3];
}

// The factors of the gradient of R: dx of the gates, and the y that each step read:
// that of the previous step, the state's at the start, 0 where a document begins.
struct WeightGrad {
    i64 b, t, nh, dh;
    const i64 *resets;
    const T *state, *y;
    const T *dx[4];
};

__device__ inline T before(const WeightGrad &s, i64 row, i64 col) {
    i64 d = s.nh * s.dh, t = row % s.t, b = row / s.t;
    if (begins(s.resets, s.t, b, t)) return 0;
    if (t > 0) return s.y[(row - 1) * d + col];
    return s.state ? s.state[b * d + col] : (T)0;
}

// The parts of dR over stretches of rows: part [stretches,nh,4·dh,dh], by tiles of
// outputs and inputs. Block: OUTER threads; grid: tiles, heads and gates, stretches.
KERNEL slstm_weight_grad(WeightGrad s, T *part, i64 stretch) {
    i64 d = s.nh * s.dh, tiles = (s.dh + TILE - 1) / TILE, o0 = blockIdx.x / tiles * TILE, i0 = blockIdx.x % tiles * TILE;
    i64 h = blockIdx.y / 4, k = blockIdx.y % 4;
    const T *dx = s.dx[k] + h * s.dh;
    T sum[4][4];
    outer([&](i64 r, i64 o) { return o0 + o < s.dh ? dx[r * d + o0 + o] : (T)0; },
          [&](i64 r, i64 i) { return i0 + i < s.dh ? before(s, r, h * s.dh + i0 + i) : (T)0; },
          blockIdx.z * stretch, min(s.b * s.t, (blockIdx.z + 1) * stretch), sum);
    eachOfTile(m, n) {
        i64 o = o0 + tileRow(m), i = i0 + tileColumn(n);
        if (o < s.dh && i < s.dh) part[((blockIdx.z * s.nh + h) * 4 * s.dh + k * s.dh + o) * s.dh + i] = sum[m][n];
    }
}
