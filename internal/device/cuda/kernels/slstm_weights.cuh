// The gradient of the recurrent weights for heads of 32, 64, 96, 128 and 256 units, by
// sums over stretches of rows: part [stretches,nh,4·dh,dh]. What a row multiplies is
// y of the step before, the state's at the start and 0 where a document begins, and
// the gradients of the pre-activations. weight_grad is in float32; weight_grad_fast
// rounds both to TF32 for the tensor cores.
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

// A tile of 128 gates and outputs by TM inputs; block: 2·TM threads of 8 by 8, in
// quarters of 4 by 4; grid as above.
template <int DH, int TM> __device__ __forceinline__ void inSingleWide(const WeightGrad &s) {
    constexpr int TN = 128, ROWS = 16, THREADS = 2 * TM, AM = DH / TM, AN = 4 * DH / TN, LOADS = (ROWS * TN / 4 + THREADS - 1) / THREADS;
    static_assert(AM * TM == DH, "shape");
    __shared__ __align__(16) float ys[2][ROWS][TM], gs[2][ROWS][TN];
    const int tid = threadIdx.x, tile = blockIdx.x, n0 = tile % AN * TN, m0 = tile / AN % AM * TM, h = tile / AN / AM;
    const i64 d = s.nh * DH, r0 = blockIdx.y * s.stretch, r1 = min(s.b * s.t, r0 + s.stretch);
    const int tn = tid % 16 * 4, tm = tid / 16 * 4;
    float acc[8][8] = {};
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
            const int e = k * THREADS + tid, c = n0 + e % (TN / 4) * 4;
            const i64 row = r + e / (TN / 4);
            g[k] = make_float4(0.f, 0.f, 0.f, 0.f);
            if (e < ROWS * TN / 4 && row < r1) g[k] = __ldg((const float4 *)(s.dx[c / DH] + row * d + h * DH + c % DH));
        }
    };
    load(r0);
    int buffer = 0;
    for (i64 r = r0; r < r1; r += ROWS, buffer ^= 1) {
#pragma unroll
        for (int k = 0; k < 2; k++) ((float4 *)ys[buffer])[k * THREADS + tid] = y[k];
#pragma unroll
        for (int k = 0; k < LOADS; k++)
            if (k * THREADS + tid < ROWS * TN / 4) ((float4 *)gs[buffer])[k * THREADS + tid] = g[k];
        __syncthreads(); // the other buffer has been read, too
        if (r + ROWS < r1) load(r + ROWS);
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
            float in[8], up[8];
            *(float4 *)in = *(float4 *)&ys[buffer][k][tm], *(float4 *)(in + 4) = *(float4 *)&ys[buffer][k][TM / 2 + tm];
            *(float4 *)up = *(float4 *)&gs[buffer][k][tn], *(float4 *)(up + 4) = *(float4 *)&gs[buffer][k][TN / 2 + tn];
#pragma unroll
            for (int j = 0; j < 8; j++)
#pragma unroll
                for (int i = 0; i < 8; i++) acc[j][i] = fmaf(up[j], in[i], acc[j][i]);
        }
    }
    float *p = s.part + ((blockIdx.y * s.nh + h) * 4 * DH + n0 + tn) * DH + m0 + tm;
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 0; i < 2; i++) *(float4 *)(p + (j / 4 * (TN / 2) + j % 4) * DH + i * (TM / 2)) = make_float4(acc[j][4 * i], acc[j][4 * i + 1], acc[j][4 * i + 2], acc[j][4 * i + 3]);
}

// As fetch16 of wgmma.cuh: four numbers for shared memory, or zeros.
__device__ __forceinline__ void fetch4(float *to, const float *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
}

// Rounded to TF32: of what the tensor cores read, they drop the last 13 bits.
__device__ __forceinline__ unsigned rounded(float x) { return __float_as_uint(x) + 0x1000; }

// d += A·B for A 16 by 8, B 8 by 8.
__device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// A tile of 128 gates and outputs by TM inputs, 32 by 16·MT of it for a warp; block:
// 8·TM/MT threads; grid as above. Dynamic shared memory: scanWeightGrad.
template <int DH, int TM, int MT> __device__ __forceinline__ void inTF32(const WeightGrad &s) {
    constexpr int TN = 128, ROWS = 16, STAGES = 3, THREADS = 8 * TM / MT, AM = DH / TM, AN = 4 * DH / TN, YW = TM + 8, GW = TN + 8, STAGE = ROWS * (YW + GW);
    constexpr int MINE = ROWS * MT / 32, APART = 32 / MT; // a thread's pieces of four numbers of y, and the rows from one to the next
    static_assert(AM * TM == DH && TM % (16 * MT) == 0 && MINE > 0, "shape");
    extern __shared__ __align__(16) float room[]; // [STAGES]: [ROWS][YW] of y, [ROWS][GW] of gradients
    const int tid = threadIdx.x, lane = tid & 31, w = tid / 32, wm = w / 4 * (16 * MT), wn = w % 4 * 32, i = lane >> 2, q = lane & 3;
    const int tile = blockIdx.x, n0 = tile % AN * TN, m0 = tile / AN % AM * TM, h = tile / AN / AM, steps = (int)s.t;
    const int r0 = (int)(blockIdx.y * s.stretch), r1 = (int)min(s.b * s.t, r0 + s.stretch), row = tid / (TM / 4), column = tid % (TM / 4) * 4, n = n0 + lane * 4;
    const i64 d = s.nh * DH, of = h * DH + m0 + column;
    const float *y = s.y + (r0 + row - 1) * d + of, *g = s.dx[n / DH] + (r0 + w) * d + h * DH + n % DH;
    int next = r0, at[MINE]; // the first row that is fetched next, and where in their sequences the thread's are
    bool begins[MINE] = {};  // whether documents begin there
    auto look = [&] {
        if (s.resets)
#pragma unroll
            for (int k = 0; k < MINE; k++) begins[k] = s.resets[min(next + row + k * APART, r1 - 1)];
    };
    auto fetch = [&](int stage) {
        float *ys = room + stage * STAGE + row * YW + column, *gs = room + stage * STAGE + ROWS * YW + w * GW + lane * 4;
        if (next < r1) {
#pragma unroll
            for (int k = 0; k < MINE; k++) {
                bool there = next + row + k * APART < r1 && !begins[k];
                const float *from = y + k * APART * d;
                if (at[k] == 0) {
                    there = there && s.state;
                    from = s.state + (next + row + k * APART) / steps * d + of;
                }
                fetch4(ys + k * APART * YW, there ? from : s.y, there);
                at[k] += ROWS;
                if (at[k] >= steps) at[k] %= steps;
            }
#pragma unroll
            for (int k = 0; k < ROWS; k += THREADS / 32) {
                const bool there = next + w + k < r1;
                if (w + k < ROWS) fetch4(gs + k * GW, there ? g + k * d : s.y, there);
            }
            next += ROWS, y += ROWS * d, g += ROWS * d;
            look();
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };
#pragma unroll
    for (int k = 0; k < MINE; k++) at[k] = (r0 + row + k * APART) % steps;
    look();
    fetch(0);
    fetch(1);
    float acc[MT][4][4] = {};
    int stage = 0;
    for (int r = r0; r < r1; r += ROWS, stage = (stage + 1) % STAGES) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        __syncthreads(); // the stage before has been read, too
        fetch((stage + 2) % STAGES);
        const float *ys = room + stage * STAGE + q * YW + wm + i, *gs = room + stage * STAGE + ROWS * YW + q * GW + wn + i;
#pragma unroll
        for (int k = 0; k < ROWS; k += 8) {
            unsigned y[MT][4], g[4][2];
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int j = 0; j < 4; j++) y[m][j] = rounded(ys[(k + j / 2 * 4) * YW + m * 16 + j % 2 * 8]);
#pragma unroll
            for (int n = 0; n < 4; n++)
#pragma unroll
                for (int j = 0; j < 2; j++) g[n][j] = rounded(gs[(k + j * 4) * GW + n * 8]);
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int n = 0; n < 4; n++) multiply(acc[m][n], y[m], g[n]);
        }
    }
    float *p = s.part + ((blockIdx.y * s.nh + h) * 4 * DH + n0 + wn + q * 2) * DH + m0 + wm + i;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < 4; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) p[(n * 8 + (e & 1)) * DH + m * 16 + (e >> 1) * 8] = acc[m][n][e];
}
