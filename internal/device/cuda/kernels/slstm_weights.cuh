// The gradient of the recurrent weights for heads of 32, 64, 96, 128 and 256 units, by
// sums over stretches of rows: part [stretches,nh,4·dh,dh]. What a row multiplies is
// y of the step before, the state's at the start and 0 where a document begins, and
// the gradients of the pre-activations. weight_grad is in float32; weight_grad_half
// splits both in two bfloat16 and takes three products on the tensor cores, which is
// off by 1e-5 at most.
#pragma once
#include "tensor.cuh"

struct WeightGrad {
    i64 b, t, nh;
    const i64 *resets;
    const T *state, *y;
    const T *dx[4];
    T *part;
    i64 stretch;
};

// Four neighbours of y before a row, from column col on.
__device__ __forceinline__ float4 before(const WeightGrad &s, i64 d, i64 row, i64 col) {
    if (s.resets && s.resets[row]) return make_float4(0.f, 0.f, 0.f, 0.f);
    if ((unsigned)row % (unsigned)s.t) return __ldg((const float4 *)(s.y + (row - 1) * d + col));
    return s.state ? __ldg((const float4 *)(s.state + row / s.t * d + col)) : make_float4(0.f, 0.f, 0.f, 0.f);
}

// A tile of 128 gates and outputs by 32 inputs; block: 256 threads of 4 by 4; grid:
// tiles of all heads, stretches.
template <int DH> __device__ __forceinline__ void inSingle(const WeightGrad &s) {
    constexpr int TM = 32, TN = 128, ROWS = 16, AM = DH / TM, AN = 4 * DH / TN;
    __shared__ __align__(16) float ys[2][ROWS][TM + 4], gs[2][ROWS][TN + 4];
    const int tid = threadIdx.x, tile = blockIdx.x, n0 = tile % AN * TN, m0 = tile / AN % AM * TM, h = tile / AN / AM;
    const i64 d = s.nh * DH, r0 = blockIdx.y * s.stretch, r1 = min(s.b * s.t, r0 + s.stretch);
    const int tn = tid / 8, tm = tid % 8, yr = tid / 8 % ROWS, yc = tid % 8 * 4; // threads 0 … 127 bring y
    float acc[4][4] = {};
    float4 y, g[2];
    auto load = [&](i64 r) {
        y = g[0] = g[1] = make_float4(0.f, 0.f, 0.f, 0.f);
        if (tid < 128 && r + yr < r1) y = before(s, d, r + yr, h * DH + m0 + yc);
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const i64 row = r + (k * 256 + tid) / 32;
            const int c = n0 + tid % 32 * 4;
            if (row < r1) g[k] = __ldg((const float4 *)(s.dx[c / DH] + row * d + h * DH + c % DH));
        }
    };
    auto store = [&](int buffer) {
        if (tid < 128) *(float4 *)&ys[buffer][yr][yc] = y;
#pragma unroll
        for (int k = 0; k < 2; k++) *(float4 *)&gs[buffer][(k * 256 + tid) / 32][tid % 32 * 4] = g[k];
    };
    load(r0);
    store(0);
    __syncthreads();
    int buffer = 0;
    for (i64 r = r0; r < r1; r += ROWS, buffer ^= 1) {
        if (r + ROWS < r1) load(r + ROWS);
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            const float4 y4 = *(float4 *)&ys[buffer][k][tm * 4], g4 = *(float4 *)&gs[buffer][k][tn * 4];
            const float in[4] = {y4.x, y4.y, y4.z, y4.w}, up[4] = {g4.x, g4.y, g4.z, g4.w};
#pragma unroll
            for (int j = 0; j < 4; j++)
#pragma unroll
                for (int i = 0; i < 4; i++) acc[j][i] = fmaf(up[j], in[i], acc[j][i]);
        }
        if (r + ROWS < r1) store(buffer ^ 1);
        __syncthreads();
    }
    float *p = s.part + ((blockIdx.y * s.nh + h) * 4 * DH + n0 + tn * 4) * DH + m0 + tm * 4;
#pragma unroll
    for (int j = 0; j < 4; j++) *(float4 *)(p + j * DH) = make_float4(acc[j][0], acc[j][1], acc[j][2], acc[j][3]);
}

// A tile of 128 gates and outputs by 32·WM inputs; block: 128·WM threads; grid as
// above.
template <int DH, int WM> __device__ __forceinline__ void inHalves(const WeightGrad &s) {
    constexpr int TM = 32 * WM, TN = 128, ROWS = 32, THREADS = WM * 128, AM = DH / TM, AN = 4 * DH / TN, YW = TM + 8, GW = TN + 8, LOADS = (1024 + THREADS - 1) / THREADS;
    static_assert(AM * TM == DH, "shape");
    __shared__ __align__(16) unsigned short ys[2][ROWS][YW], gs[2][ROWS][GW]; // the parts of each
    const int tid = threadIdx.x, lane = tid & 31, w = tid / 32, wm = w / 4, wn = w % 4;
    const int tile = blockIdx.x, n0 = tile % AN * TN, m0 = tile / AN % AM * TM, h = tile / AN / AM;
    const i64 d = s.nh * DH, r0 = blockIdx.y * s.stretch, r1 = min(s.b * s.t, r0 + s.stretch);
    float4 y[2], g[LOADS];
    auto load = [&](i64 r) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int e = k * THREADS + tid;
            const i64 row = r + e / (TM / 4);
            y[k] = row < r1 ? before(s, d, row, h * DH + m0 + e % (TM / 4) * 4) : make_float4(0.f, 0.f, 0.f, 0.f);
        }
#pragma unroll
        for (int k = 0; k < LOADS; k++) {
            const int e = k * THREADS + tid, c = n0 + e % 32 * 4;
            const i64 row = r + e / 32;
            g[k] = make_float4(0.f, 0.f, 0.f, 0.f);
            if (e < 1024 && row < r1) g[k] = __ldg((const float4 *)(s.dx[c / DH] + row * d + h * DH + c % DH));
        }
    };
    auto split = [&](unsigned short *high, unsigned short *low, float4 v) {
        const unsigned p = pack<true>(v.x, v.y), q = pack<true>(v.z, v.w);
        *(uint2 *)high = make_uint2(p, q);
        *(uint2 *)low = make_uint2(packRest<true>(v.x, v.y, p), packRest<true>(v.z, v.w, q));
    };
    float acc[2][4][4] = {};
    const int i = lane >> 3, l = lane & 7;
    const unsigned ya = shared(&ys[0][(i >> 1) * 8 + l][wm * 32 + (i & 1) * 8]), ga = shared(&gs[0][(i & 1) * 8 + l][wn * 32 + (i >> 1) * 8]);
    load(r0);
    for (i64 r = r0; r < r1; r += ROWS) {
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const int e = k * THREADS + tid, row = e / (TM / 4), c = e % (TM / 4) * 4;
            split(&ys[0][row][c], &ys[1][row][c], y[k]);
        }
#pragma unroll
        for (int k = 0; k < LOADS; k++) {
            const int e = k * THREADS + tid;
            if (e < 1024) split(&gs[0][e / 32][e % 32 * 4], &gs[1][e / 32][e % 32 * 4], g[k]);
        }
        __syncthreads();
        if (r + ROWS < r1) load(r + ROWS);
#pragma unroll
        for (int k = 0; k < ROWS; k += 16) {
            unsigned ah[2][4], al[2][4], bh[2][4], bl[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                matricesTransposed(ah[m], ya + (k * YW + m * 16) * 2);
                matricesTransposed(al[m], ya + ((ROWS + k) * YW + m * 16) * 2);
                matricesTransposed(bh[m], ga + (k * GW + m * 16) * 2);
                matricesTransposed(bl[m], ga + ((ROWS + k) * GW + m * 16) * 2);
            }
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int n = 0; n < 4; n++) {
                    multiply<true>(acc[m][n], ah[m], bh[n / 2][n % 2 * 2], bh[n / 2][n % 2 * 2 + 1]);
                    multiply<true>(acc[m][n], al[m], bh[n / 2][n % 2 * 2], bh[n / 2][n % 2 * 2 + 1]);
                    multiply<true>(acc[m][n], ah[m], bl[n / 2][n % 2 * 2], bl[n / 2][n % 2 * 2 + 1]);
                }
        }
        __syncthreads();
    }
    float *p = s.part + ((blockIdx.y * s.nh + h) * 4 * DH + n0 + wn * 32 + (lane & 3) * 2) * DH + m0 + wm * 32 + (lane >> 2);
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < 4; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) p[(n * 8 + (e & 1)) * DH + m * 16 + (e >> 1) * 8] = acc[m][n][e];
}

#define WEIGHTS(DH, WM)                                                                                  \
    KERNEL __launch_bounds__(256) weight_grad(const __grid_constant__ WeightGrad s) { inSingle<DH>(s); } \
    KERNEL __launch_bounds__(WM * 128) weight_grad_half(const __grid_constant__ WeightGrad s) { inHalves<DH, WM>(s); }
