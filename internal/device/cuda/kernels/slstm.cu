// The sLSTM scan for heads of any width, one block per head and a few sequences.
// internal/kernels has the equations.
//
// x_k, y [b·t,nh·dh] for the gates k = i, f, z, o; r [nh,4·dh,dh]; bias [4,nh·dh];
// states y, c, n, m [4,b,nh·dh].
#include "outer.cuh"

struct SLSTM {
    i64 b, t, nh, dh;
    i64 rows; // sequences per block
    T clip;   // bounds the gradient of the previous step's y; infinity for no bound
    const i64 *resets;
    const T *x[4];
    const T *r; // [nh,dh,4·dh], transposed, forward
    const T *bias, *state;
    T *y, *next, *tape;
};

#define ROWS 4 // maximum of SLSTM.rows

// Beyond this the rounding of a stabiliser changes exponents by whole numbers.
#define COARSE 1048576.0

// Transposes r [heads,m,n] to out [heads,n,m].
KERNEL slstm_transpose(const T *r, T *out, i64 heads, i64 m, i64 n) {
    EACH(i, heads * m * n) {
        i64 row = i % m, col = i / m % n, h = i / m / n;
        out[i] = r[(h * m + row) * n + col];
    }
}

// Dynamic shared memory: y [rows,dh], then the pre-activations [rows,4·dh].
KERNEL slstm(SLSTM s) {
    extern __shared__ char space[];
    T *y = (T *)space, *pre = y + s.rows * s.dh;
    i64 h = blockIdx.x, b0 = blockIdx.y * s.rows, rows = min(s.rows, s.b - b0), d = s.nh * s.dh, all = s.b * s.t * d, four = 4 * s.dh;
    const T *r = s.r + h * s.dh * four;
    for (i64 e = threadIdx.x; e < rows * s.dh; e += blockDim.x) {
        i64 at = (b0 + e / s.dh) * d + h * s.dh + e % s.dh;
        for (int k = 0; k < 4; k++) {
            T v = s.state ? s.state[k * s.b * d + at] : (T)0;
            s.next[k * s.b * d + at] = v;
            if (k == 0) y[e] = v;
        }
    }
    for (i64 t = 0; t < s.t; t++) {
        if (s.resets) {
            __syncthreads();
            for (i64 e = threadIdx.x; e < rows * s.dh; e += blockDim.x)
                if (begins(s.resets, s.t, b0 + e / s.dh, t)) {
                    y[e] = 0;
                    for (int k = 1; k < 4; k++) s.next[k * s.b * d + (b0 + e / s.dh) * d + h * s.dh + e % s.dh] = 0;
                }
        }
        __syncthreads();
        for (i64 o = threadIdx.x; o < four; o += blockDim.x) {
            T sum[ROWS] = {};
            for (i64 i = 0; i < s.dh; i++) {
                T w = r[i * four + o];
                for (int q = 0; q < ROWS; q++)
                    if (q < rows) sum[q] += w * y[q * s.dh + i];
            }
            for (int q = 0; q < ROWS; q++)
                if (q < rows) pre[q * four + o] = sum[q];
        }
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * s.dh; e += blockDim.x) {
            i64 q = e / s.dh, j = e % s.dh, at = (b0 + q) * d + h * s.dh + j, to = ((b0 + q) * s.t + t) * d + h * s.dh + j;
            double p[4];
            for (int k = 0; k < 4; k++) p[k] = (double)pre[q * four + k * s.dh + j] + (double)s.x[k][to] + (double)s.bias[k * d + h * s.dh + j];
            T c = s.next[s.b * d + at], n = s.next[2 * s.b * d + at], z = tanh((T)p[2]), out = sigmoid((T)p[3]);
            double lf = min(p[1], 0.0) + (double)log1p(exp(-abs((T)p[1]))) * -1.0 + (double)s.next[3 * s.b * d + at], it = p[0];
            bool empty = n == 0;
            double m = (double)(T)(empty ? it : max(lf, it));
            s.next[3 * s.b * d + at] = (T)m;
            if (abs(m) >= COARSE) it = (T)it, lf = (T)lf;
            if (empty) lf = min(lf, m);
            T i = exp((T)(it - m)), f = exp((T)(lf - m));
            c = f * c + i * z;
            n = f * n + i;
            y[e] = out * c / n;
            s.next[at] = y[e], s.next[s.b * d + at] = c, s.next[2 * s.b * d + at] = n;
            s.y[to] = y[e];
            if (s.tape) {
                T kept[7] = {i, f, z, out, sigmoid((T)-p[1]), c, n};
                for (int k = 0; k < 7; k++) s.tape[k * all + to] = kept[k];
            }
        }
    }
}

struct SLSTMBack {
    i64 b, t, nh, dh, rows;
    T clip;
    const i64 *resets;
    const T *r, *state, *y, *next, *tape; // r as it is stored
    const T *dy, *dnext;
    T *dx[4], *dstate; // dstate: memory for 4·b·nh·dh elements, a result or scratch
};

// Dynamic shared memory: the gradients of the pre-activations [rows,4·dh].
KERNEL slstm_backward(SLSTMBack s) {
    extern __shared__ char space[];
    T *dpre = (T *)space;
    i64 h = blockIdx.x, b0 = blockIdx.y * s.rows, rows = min(s.rows, s.b - b0), d = s.nh * s.dh, all = s.b * s.t * d, four = 4 * s.dh, bd = s.b * d;
    const T *r = s.r + h * four * s.dh;
    for (i64 e = threadIdx.x; e < rows * s.dh; e += blockDim.x) {
        i64 at = (b0 + e / s.dh) * d + h * s.dh + e % s.dh;
        T g[4] = {};
        for (int k = 0; s.dnext && k < 4; k++) g[k] = s.dnext[k * bd + at];
        // The gradient left to a stored stabiliser; it follows the path of the maximum.
        if (s.dnext) g[3] -= s.next[bd + at] * g[1] + s.next[2 * bd + at] * g[2];
        for (int k = 0; k < 4; k++) s.dstate[k * bd + at] = g[k];
    }
    for (i64 t = s.t - 1; t >= 0; t--) {
        __syncthreads();
        for (i64 e = threadIdx.x; e < rows * s.dh; e += blockDim.x) {
            i64 q = e / s.dh, j = e % s.dh, at = (b0 + q) * d + h * s.dh + j, to = ((b0 + q) * s.t + t) * d + h * s.dh + j;
            T i = s.tape[to], f = s.tape[all + to], z = s.tape[2 * all + to], o = s.tape[3 * all + to], fbar = s.tape[4 * all + to];
            T n = s.tape[6 * all + to], y = s.y[to], before = 0, nBefore = 0;
            if (!begins(s.resets, s.t, b0 + q, t)) {
                if (t > 0) before = s.tape[5 * all + to - d], nBefore = s.tape[6 * all + to - d];
                else if (s.state) before = s.state[bd + at], nBefore = s.state[2 * bd + at];
            }
            T dy = s.dstate[at] + (s.dy ? s.dy[to] : (T)0), rest = s.dstate[3 * bd + at];
            T part = dy / n, dc = s.dstate[bd + at] + o * part, dn = s.dstate[2 * bd + at] - y * part;
            T di = i * (dc * z + dn), df = f * (dc * before + dn * nBefore);
            if (f >= i && nBefore != 0) df += rest;
            else di += rest, rest = 0;
            T g[4] = {di, df * fbar, dc * i * (1 - z * z), (1 - o) * y * dy};
            for (int k = 0; k < 4; k++) {
                s.dx[k][to] = g[k];
                dpre[q * four + k * s.dh + j] = g[k];
            }
            s.dstate[bd + at] = f * dc, s.dstate[2 * bd + at] = f * dn, s.dstate[3 * bd + at] = rest;
        }
        __syncthreads();
        for (i64 j = threadIdx.x; j < s.dh; j += blockDim.x) {
            T sum[ROWS] = {};
            for (i64 o = 0; o < four; o++) {
                T w = r[o * s.dh + j];
                for (int q = 0; q < ROWS; q++)
                    if (q < rows) sum[q] += w * dpre[q * four + o];
            }
            for (int q = 0; q < ROWS; q++)
                if (q < rows) {
                    i64 at = (b0 + q) * d + h * s.dh + j;
                    bool cut = begins(s.resets, s.t, b0 + q, t);
                    s.dstate[at] = cut ? (T)0 : min(max(sum[q], -s.clip), s.clip);
                    for (int k = 1; cut && k < 4; k++) s.dstate[k * bd + at] = 0;
                }
        }
    }
    __syncthreads();
    for (i64 e = threadIdx.x; s.state && e < rows * s.dh; e += blockDim.x) {
        i64 at = (b0 + e / s.dh) * d + h * s.dh + e % s.dh;
        s.dstate[3 * bd + at] += s.state[bd + at] * s.dstate[bd + at] + s.state[2 * bd + at] * s.dstate[2 * bd + at];
    }
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
