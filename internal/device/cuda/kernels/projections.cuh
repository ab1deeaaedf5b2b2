// The inputs of an mLSTM cell, of maps in blocks of four columns: q and k from c, v
// from x, all [n,4·blocks], and from those the gates, as in gates.cu, of at most HEADS
// heads. F is how fours of operands are read.
#pragma once
#include "early.cuh"

#define HEADS 4
#define OUTPUTS (2 * HEADS) // i~ of all heads, then f~

struct Projections {
    i64 n, blocks, nh;
    In c, x;
    const Four *w[3];            // [blocks,4], of q, k and v
    const T *gates[2], *bias[2]; // [nh,12·blocks], [nh]
};

// The weights of a gate for a block of columns of q, k or v, 0 for what there is not.
__device__ inline Four gateWeights(const Projections &s, int output, int map, i64 block, bool there) {
    const int head = output % HEADS;
    if (!there || head >= s.nh) return {};
    return ((const Four *)s.gates[output / HEADS])[(head * 3 + map) * s.blocks + block];
}

// Sums each of OUTPUTS numbers over the lanes; a lane returns the sum of number lane/4.
__device__ inline T outputSum(T (&x)[OUTPUTS]) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int s = 0; s < 3; s++) {
        const int mask = 16 >> s, half = 4 >> s;
        const bool upper = lane & mask;
#pragma unroll
        for (int i = 0; i < half; i++) {
            T send = upper ? x[i] : x[i + half], keep = upper ? x[i + half] : x[i];
            x[i] = keep + __shfl_xor_sync(~0u, send, mask);
        }
    }
    T sum = x[0] + __shfl_xor_sync(~0u, x[0], 2);
    return sum + __shfl_xor_sync(~0u, sum, 1);
}

// Block: warps, each of which takes 32 blocks of columns of every `parts`-th of ROWS
// rows; grid: rows by ROWS.
#define ROWS 32
template <typename F> __device__ inline void forward(const Projections &s, Out q, Out k, Out v, T *i, T *f, int parts) {
    extern __shared__ char space[];
    T *room = (T *)space; // the gates' sums over the columns of a warp
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, chunks = (int)((s.blocks + 31) / 32);
    const i64 r0 = blockIdx.x * (i64)ROWS;
    for (int task = warp; task < chunks * parts; task += blockDim.x >> 5) {
        const int chunk = task / parts;
        const i64 block = chunk * 32 + lane;
        const bool there = block < s.blocks;
        Four w[3][4] = {}, gates[3][OUTPUTS];
#pragma unroll
        for (int m = 0; m < 3; m++) {
#pragma unroll
            for (int o = 0; o < 4; o++)
                if (there) w[m][o] = s.w[m][4 * block + o];
#pragma unroll
            for (int o = 0; o < OUTPUTS; o++) gates[m][o] = gateWeights(s, o, m, block, there);
        }
#pragma unroll 2
        for (int r = task % parts; r < ROWS; r += parts) {
            const bool write = there && r0 + r < s.n;
            const i64 at = (r0 + r) * s.blocks + block;
            F read[2];
            if (write) read[0].read(s.c, at), read[1].read(s.x, at);
            const Four in[2] = {read[0].numbers(), read[1].numbers()};
            T sum[OUTPUTS] = {};
#pragma unroll
            for (int m = 0; m < 3; m++) {
                Four y = {};
#pragma unroll
                for (int o = 0; o < 4; o++)
                    for (int e = 0; e < 4; e++) y.v[o] += w[m][o].v[e] * in[m / 2].v[e];
                if (write) (m == 0 ? q : m == 1 ? k : v).four(at, y);
#pragma unroll
                for (int o = 0; o < OUTPUTS; o++)
                    for (int e = 0; e < 4; e++) sum[o] += gates[m][o].v[e] * y.v[e];
            }
            T all = outputSum(sum);
            if (lane % 4 == 0) room[(chunk * ROWS + r) * OUTPUTS + lane / 4] = all;
        }
    }
    __syncthreads();
    for (int t = threadIdx.x; t < ROWS * OUTPUTS; t += blockDim.x) {
        const int gate = t % OUTPUTS / HEADS, head = t % HEADS;
        const i64 row = r0 + t / OUTPUTS;
        if (row >= s.n || head >= s.nh) continue;
        T sum = s.bias[gate][head];
        for (int c = 0; c < chunks; c++) sum += room[c * ROWS * OUTPUTS + t];
        (gate ? f : i)[row * s.nh + head] = sum;
    }
}

struct ProjectionGrads {
    In y[3], dy[3];    // q, k and v, and their gradients by way of the cell
    const T *gates[2]; // the gates' gradients
    Out dc, dx;
    Addends plus[2]; // to dc and dx
};

#define TILE 64 // rows whose gates' gradients are in shared memory

// The gradients of MAPS maps of one input from map FIRST on: of the input x, which
// receives dx, and the parts of those of the weights.
template <int FIRST, int MAPS, typename F> __device__ inline void mapsGrad(const Projections &s, const ProjectionGrads &g, In x, Out dx, const Addends &plus, Four *part, T *gatePart, i64 stretch,
                                                               Four (&room)[8][32][4], Four (&ups)[TILE][2]) {
    const int thread = threadIdx.y * 32 + threadIdx.x;
    const i64 block = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = min(s.n, r0 + stretch), width = 12 * s.blocks;
    const bool there = block < s.blocks;
    Four w[MAPS][4] = {}, gates[MAPS][OUTPUTS], sum[MAPS][4] = {}, gateSum[MAPS][OUTPUTS] = {};
    T bias = 0;
#pragma unroll
    for (int m = 0; m < MAPS; m++) {
#pragma unroll
        for (int o = 0; o < 4; o++)
            if (there) w[m][o] = s.w[FIRST + m][4 * block + o];
#pragma unroll
        for (int o = 0; o < OUTPUTS; o++) gates[m][o] = gateWeights(s, o, FIRST + m, block, there);
    }
    for (i64 t0 = r0; t0 < r1; t0 += TILE) {
        __syncthreads(); // the previous rows have been read
        for (int t = thread; t < TILE * OUTPUTS; t += 256) {
            const i64 row = t0 + t / OUTPUTS;
            const int gate = t % OUTPUTS / HEADS, head = t % HEADS;
            ups[t / OUTPUTS][gate].v[head] = row < r1 && head < s.nh ? g.gates[gate][row * s.nh + head] : (T)0;
        }
        __syncthreads();
        for (int r = 0; FIRST == 0 && thread < OUTPUTS && r < TILE; r++) bias += ups[r][thread / HEADS].v[thread % HEADS];
        for (int r = threadIdx.y; r < TILE; r += 8) {
            if (!there || t0 + r >= r1) break;
            const i64 at = (t0 + r) * s.blocks + block;
            F ins, outs[MAPS], upsOf[MAPS];
            Four out[MAPS], up[MAPS], down = {}, more[2] = {};
            ins.read(x, at);
#pragma unroll
            for (int m = 0; m < MAPS; m++) outs[m].read(g.y[FIRST + m], at), upsOf[m].read(g.dy[FIRST + m], at);
            for (int k = 0; k < 2; k++)
                if (plus.at[k]) more[k] = ((const Four *)plus.at[k])[at];
            for (int e = 0; e < 4; e++) down.v[e] = more[0].v[e] + more[1].v[e];
            const Four in = ins.numbers();
#pragma unroll
            for (int m = 0; m < MAPS; m++) out[m] = outs[m].numbers(), up[m] = upsOf[m].numbers();
            const Four of[2] = {ups[r][0], ups[r][1]};
#pragma unroll
            for (int m = 0; m < MAPS; m++) {
#pragma unroll
                for (int o = 0; o < OUTPUTS; o++) {
                    const T u = of[o / HEADS].v[o % HEADS];
                    for (int e = 0; e < 4; e++) up[m].v[e] += u * gates[m][o].v[e], gateSum[m][o].v[e] += u * out[m].v[e];
                }
#pragma unroll
                for (int o = 0; o < 4; o++)
                    for (int e = 0; e < 4; e++) down.v[e] += w[m][o].v[e] * up[m].v[o], sum[m][o].v[e] += up[m].v[o] * in.v[e];
            }
            dx.four(at, down);
        }
    }
    // The sums over the threads that share the rows: of a map's weights, then of the
    // gates'.
#pragma unroll
    for (int round = 0; round < 3 * MAPS; round++) {
        const int m = round / 3, which = round % 3, o = threadIdx.y;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 4; k++) room[threadIdx.y][threadIdx.x][k] = which ? gateSum[m][(which - 1 > 0) * HEADS + k] : sum[m][k];
        __syncthreads();
        if (o >= 4 || !there) continue;
        Four all = room[0][threadIdx.x][o];
        for (int t = 1; t < 8; t++)
            for (int e = 0; e < 4; e++) all.v[e] += room[t][threadIdx.x][o].v[e];
        if (which == 0) part[(((FIRST + m) * gridDim.y + blockIdx.y) * s.blocks + block) * 4 + o] = all;
        else if (o < s.nh)
            for (int e = 0; e < 4; e++) gatePart[((blockIdx.y * 2 + which - 1) * s.nh + o) * (width + 1) + ((FIRST + m) * s.blocks + block) * 4 + e] = all.v[e];
    }
    const int head = thread % HEADS;
    if (FIRST == 0 && blockIdx.x == 0 && thread < OUTPUTS && head < s.nh) gatePart[((blockIdx.y * 2 + thread / HEADS) * s.nh + head) * (width + 1) + width] = bias;
}

// dc, dx, and the parts of the gradients of the weights over stretches of rows: part
// [3,stretches,blocks,4] of the maps, gatePart of the gates as in gates.cu. Block: 32
// blocks of columns by 8 threads that share the rows; grid: blocks of columns,
// stretches, and two: q with k, and v.
template <typename F> __device__ inline void backward(const Projections &s, const ProjectionGrads &g, Four *part, T *gatePart, i64 stretch) {
    __shared__ Four room[8][32][4], ups[TILE][2];
    if (blockIdx.z == 0) mapsGrad<0, 2, F>(s, g, s.c, g.dc, g.plus[0], part, gatePart, stretch, room, ups);
    else mapsGrad<2, 1, F>(s, g, s.x, g.dx, g.plus[1], part, gatePart, stretch, room, ups);
}

#define PROJECTIONS(F)                                                                                                              \
    KERNEL __launch_bounds__(256) projections(const __grid_constant__ Projections s, Out q, Out k, Out v, T *i, T *f, int parts) {  \
        forward<F>(s, q, k, v, i, f, parts);                                                                                        \
    }                                                                                                                               \
    KERNEL __launch_bounds__(256, 1)                                                                                                \
        projections_grad(const __grid_constant__ Projections s, const __grid_constant__ ProjectionGrads g, Four *part, T *gatePart, i64 stretch) { \
        backward<F>(s, g, part, gatePart, stretch);                                                                                 \
    }
