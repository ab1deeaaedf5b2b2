// The projections of the mLSTM's gates: for gate g and head h
//
//   y_g[r,h] = Σ_k x_k[r,·]·W_g[h, off_k …] + b_g[h]
//
// from up to three inputs x_k [n,width_k]; W_g [nh,width], off_k the widths before.
#include "common.cuh"

struct Gates {
    i64 n, nh, inputs;
    i64 width[3];
    const T *x[3], *w[2], *b[2];
};

// The numbers of outputs and of rows that a warp sums at once.
#define OUTPUTS 8
#define ROWS 4

__device__ inline i64 widthOf(const Gates &s) { return s.width[0] + s.width[1] + s.width[2]; }

KERNEL gate_projections(Gates s, T *y0, T *y1) {
    i64 r0 = (blockIdx.x * (i64)blockDim.x + threadIdx.x) / 32 * ROWS, lane = threadIdx.x & 31, width = widthOf(s);
    if (r0 >= s.n) return;
    for (i64 o0 = 0; o0 < 2 * s.nh; o0 += OUTPUTS) {
        const T *w[OUTPUTS];
        T sum[OUTPUTS][ROWS] = {};
        for (int o = 0; o < OUTPUTS; o++) {
            i64 at = min(o0 + o, 2 * s.nh - 1);
            w[o] = (at < s.nh ? s.w[0] : s.w[1]) + at % s.nh * width;
        }
        i64 off = 0;
        for (int k = 0; k < 3; k++) {
            const T *x[ROWS];
            for (int r = 0; r < ROWS; r++) x[r] = s.x[k] + min(r0 + r, s.n - 1) * s.width[k];
#pragma unroll 2
            for (i64 c = lane; c < s.width[k]; c += 32) {
                T in[ROWS];
                for (int r = 0; r < ROWS; r++) in[r] = x[r][c];
                for (int o = 0; o < OUTPUTS; o++) {
                    T f = w[o][off + c];
                    for (int r = 0; r < ROWS; r++) sum[o][r] += in[r] * f;
                }
            }
            off += s.width[k];
        }
        for (int o = 0; o < OUTPUTS; o++)
            for (int r = 0; r < ROWS; r++) {
                T y = warpSum(sum[o][r]);
                i64 g = o0 + o >= s.nh, h = o0 + o - g * s.nh;
                if (lane == 0 && o0 + o < 2 * s.nh && r0 + r < s.n) (g ? y1 : y0)[(r0 + r) * s.nh + h] = y + (g ? s.b[1] : s.b[0])[h];
            }
    }
}

// The gradients of the outputs, dy_g or null, and those of the inputs.
struct GateGrads {
    const T *dy[2];
    T *dx[3];
    Addends plus[3]; // to dx
};

// The gradients of the inputs, and the parts of dW and db over stretches of rows:
// part [stretches,2,nh,width+1], that of b last. Block: 32 columns by 8 threads that
// share the rows; grid: columns and one more, stretches. HEADS heads are
// processed at once.
#define HEADS 4
#define TILE 32 // rows whose dy is in shared memory: TILE·2·HEADS is the block's size
KERNEL __launch_bounds__(256) gate_grads(Gates s, GateGrads g, T *part, i64 stretch) {
    __shared__ Four ups[TILE][2];
    __shared__ T room[8][2 * HEADS][32];
    i64 width = widthOf(s), c = blockIdx.x * 32ll + threadIdx.x, at = c, r0 = blockIdx.y * stretch, r1 = min(s.n, r0 + stretch);
    const T *x = s.x[0];
    T *dx = g.dx[0];
    Addends plus = g.plus[0];
    i64 ld = s.width[0];
    if (at >= ld) at -= ld, x = s.x[1], dx = g.dx[1], plus = g.plus[1], ld = s.width[1];
    if (at >= ld) at -= ld, x = s.x[2], dx = g.dx[2], plus = g.plus[2], ld = s.width[2];
    bool there = c < width; // otherwise x is 1, for the bias
    int mine = threadIdx.y * 32 + threadIdx.x, myRow = mine / 8, myGate = mine / 4 % 2, myHead = mine % 4;
    const T *dy = myGate ? g.dy[1] : g.dy[0];
    for (i64 h0 = 0; h0 < s.nh; h0 += HEADS) {
        Four w[2] = {}, sum[2] = {};
        for (int k = 0; k < 2; k++)
            for (int h = 0; h < HEADS; h++)
                if (h0 + h < s.nh && there) w[k].v[h] = s.w[k][(h0 + h) * width + c];
        const bool final = h0 + HEADS >= s.nh;
        for (i64 r = r0; r < r1; r += TILE) {
            T ins[TILE / 8], downs[TILE / 8];
#pragma unroll
            for (int e = 0; e < TILE / 8; e++) {
                i64 row = r + e * 8 + threadIdx.y;
                ins[e] = there ? row < r1 ? x[row * ld + at] : (T)0 : (T)1;
                downs[e] = there && row < r1 && h0 ? dx[row * ld + at] : (T)0;
            }
            __syncthreads(); // the previous rows have been read
            ups[myRow][myGate].v[myHead] = dy && r + myRow < r1 && h0 + myHead < s.nh ? dy[(r + myRow) * s.nh + h0 + myHead] : (T)0;
            __syncthreads();
#pragma unroll
            for (int e = 0; e < TILE / 8; e++) {
                i64 row = r + e * 8 + threadIdx.y;
                T down = downs[e];
                for (int k = 0; k < 2; k++) {
                    Four up = ups[e * 8 + threadIdx.y][k];
                    for (int h = 0; h < HEADS; h++) {
                        down += up.v[h] * w[k].v[h];
                        sum[k].v[h] += up.v[h] * ins[e];
                    }
                }
                if (there && row < r1) dx[row * ld + at] = final ? plused(down, plus, row * ld + at) : down;
            }
        }
        for (int k = 0; k < 2; k++)
            for (int h = 0; h < HEADS; h++) room[threadIdx.y][k * HEADS + h][threadIdx.x] = sum[k].v[h];
        __syncthreads();
        int k = threadIdx.y / HEADS, h = threadIdx.y % HEADS; // the thread's sum
        T all = 0;
        for (int y = 0; y < 8; y++) all += room[y][threadIdx.y][threadIdx.x];
        if (c <= width && h0 + h < s.nh) part[((blockIdx.y * 2 + k) * s.nh + h0 + h) * (width + 1) + c] = all;
    }
}

// dW_g [nh,width] and db_g [nh] from the parts. Block: that of rowsSum;
// grid: the sums.
KERNEL gate_sums(const T *part, T *dw0, T *db0, T *dw1, T *db1, i64 nh, i64 width, i64 parts) {
    i64 i = blockIdx.x * 32ll + threadIdx.x, size = 2 * nh * (width + 1), c = i % (width + 1), h = i / (width + 1) % nh;
    T sum = partsSum(part, parts, size, i, i < size);
    if (threadIdx.y || i >= size) return;
    bool second = i >= size / 2;
    if (c < width) (second ? dw1 : dw0)[h * width + c] = sum;
    else (second ? db1 : db0)[h] = sum;
}
