// The forward pass of an mLSTM whose sequences are one chunk each, without a memory
// before it, in one launch: gates, scores and h. All operands of a block are in shared
// memory at once, and the loops over the scores are not unrolled: what such a block
// does once is so little that reading its instructions would take longer.
//gen: f32 compute_90a
#include "mlstm_gates.cuh"
#include "mlstm_wgmma.cuh"

// What the scores of a block of 128 steps read.
struct Steps {
    Log *u, *top;            // of the chunk's steps, of the block's
    int *segment;            // of the chunk's steps
    float *floor, *inverse; // of the block's

    __device__ Steps(char *at, int length) {
        u = (Log *)at, top = u + length, segment = (int *)(top + BLOCK), floor = (float *)(segment + length), inverse = floor + BLOCK;
    }
};

// Computes the gates, a thread to a step of the chunk, and stores those of the block's
// own steps.
__device__ inline void gates(const MLSTM &s, const Gates &g, const Place &at, T in, T f, T *last, const Steps &steps) {
    __shared__ Forget total;
    __shared__ double top;
    int j = threadIdx.x;
    bool there = j < s.t;
    Scanned x = scanSteps<1>(s, in, f, there, there && begins(s.resets, s.t, at.b, j));
    if (j == s.t - 1) total = x.forget, top = x.highest.u;
    __syncthreads();
    double behind = behindChunk(s, total, top, s.begin);
    Gate gate(s, x, total, s.begin, behind);
    if (j < at.length) steps.u[j] = there ? gate.u : Log{0, 0}, steps.segment[j] = gate.segment;
    if (j / BLOCK == at.r) {
        steps.top[j % BLOCK] = there ? gate.top : Log{3e38f, 0}; // no share
        steps.floor[j % BLOCK] = gate.floor;
        if (there) gate.store(g, at.first + j);
    }
    if (j || at.r) return;
    g.keep[at.chunk] = keptOf(total, s.begin, behind);
    if (last) last[at.item] = (T)behind;
}

// Where a warp's lane stores two neighbours of a row, from column 8·piece + 2·(lane%4)
// of a panel on.
__device__ inline u32 *inPanel(char *panel, int row, int piece) { return (u32 *)(panel + row * 128 + ((piece ^ (row & 7)) << 4) + (threadIdx.x & 3) * 4); }

// Grid: blocks of steps, items. h may be null: then only what the backward pass needs
// is computed.
KERNEL __launch_bounds__(256, 1) mlstm_whole(MLSTM s, Gates g, const T *i, const T *f, T *last, const bf16 *q, const bf16 *k, const bf16 *v, bf16 *a, float *dens, float *inverses, bf16 *h) {
    Place at(s, blockIdx.y, blockIdx.x);
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, row = group * 64 + (warp & 3) * 16 + (lane >> 2);
    int keys = s.dqk / 64, values = s.dhv / 64, columns = max(keys, values), ldk = s.nh * s.dqk, ldv = s.nh * s.dhv;
    char *ofQ = panels(room), *ofKV = ofQ + keys * SIDE, *ofA = ofKV + at.blocks * columns * SIDE; // the values take the place of the keys
    Steps steps(ofA + at.blocks * 2 * SIDE, at.length);
    i64 gate = ((i64)at.b * s.t + min(tid, s.t - 1)) * s.nh + at.head;
    T in = i[gate], forget = f[gate];
    auto load = [&](char *to, const bf16 *from, int ld, int panels, int there) {
#pragma unroll 1
        for (int c = 0; c < panels; c++) loadPanel<BLOCK, 256>(shared(to) + c * SIDE, from + c * 64, ld, there);
    };
    load(ofQ, at.in(q, s, s.dqk, at.t0), ldk, keys, at.there);
#pragma unroll 1
    for (int block = 0; block <= at.r; block++) load(ofKV + block * columns * SIDE, at.in(k, s, s.dqk, block * BLOCK), ldk, keys, at.inChunk - block * BLOCK);
    commit();
    gates(s, g, at, in, forget, last, steps);
    arrive<0>();
    Log top[2] = {steps.top[row], steps.top[row + 8]};
    int segment[2] = {steps.segment[at.r * BLOCK + row], steps.segment[at.r * BLOCK + row + 8]};
    float sums[2] = {0, 0}, scale = (float)(s.scaleQ * s.scaleK);
#pragma unroll 1
    for (int block = 0; block <= at.r; block++) {
        char *ofK = ofKV + block * columns * SIDE;
        int below = block == at.r && group == 0 ? 2 : 4; // pieces of 32 columns that are not above the diagonal
#pragma unroll 1
        for (int piece = 0; piece < below; piece++) {
            float sum[16] = {};
#pragma unroll 1
            for (int c = 0; c < keys; c++) {
                product<0, 0>(sum, shared(ofQ) + c * SIDE + group * 8192, shared(ofK) + c * SIDE + piece * 4096);
                productsWait();
            }
            int j0 = block * BLOCK + piece * 32 + t * 2;
#pragma unroll
            for (int p = 0; p < 4; p++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int j = j0 + p * 8 + e;
                    Log u = steps.u[j];
                    int begun = s.resets ? steps.segment[j] : 0;
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        float &x = sum[p * 4 + h * 2 + e];
                        x = j <= at.r * BLOCK + row + h * 8 ? x * scale * quotient(u, top[h]) : 0.f;
                        if (s.resets && begun != segment[h]) x = 0;
                        sums[h] += x;
                    }
                }
#pragma unroll
            for (int p = 0; p < 4; p++)
#pragma unroll
                for (int h = 0; h < 2; h++) *inPanel(ofA + (block * 2 + piece / 2) * SIDE, row + h * 8, piece % 2 * 4 + p) = pack(sum[p * 4 + h * 2], sum[p * 4 + h * 2 + 1]);
        }
        if (!h) continue;
        __syncthreads(); // all have read the block's keys
        load(ofK, at.in(v, s, s.dhv, block * BLOCK), ldv, values, at.inChunk - block * BLOCK);
        commit();
    }
    float inverse[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int i = row + h * 8;
        bool there = i < at.there;
        float den = quadSum(sums[h]);
        inverse[h] = there ? 1 / (max(abs(den), steps.floor[i]) + (float)s.eps) : 0.f;
        if (t) continue;
        steps.inverse[i] = inverse[h];
        if (there) dens[at.step + i] = den, inverses[at.step + i] = inverse[h];
    }
    arrive<0>();
#pragma unroll 1
    for (int c = 0; h && c < values; c++) {
        float sum[32] = {};
#pragma unroll 1
        for (int k = 0; k <= at.r * 2 + group; k++) { // 64 steps
            product<0, 1>(sum, shared(ofA) + k * SIDE + group * 8192, shared(ofKV) + (k / 2 * columns + c) * SIDE + k % 2 * 8192);
            productsWait();
        }
#pragma unroll
        for (int e = 0; e < 32; e++) sum[e] *= inverse[e >> 1 & 1];
        int first = row - (lane >> 2);
        store(sum, at.in(h, s, s.dhv, at.t0) + (i64)first * ldv + c * 64, ldv, at.there - first);
    }
    // A/N, 8 neighbours at a time
    bf16 *to = a + (at.chunk * at.length + at.r * BLOCK) * at.length;
    int pieces = (at.r + 1) * BLOCK / 8;
#pragma unroll 1
    for (int n = tid; n < BLOCK * pieces; n += 256) {
        int i = n / pieces, e = n % pieces;
        if (e * 8 >= at.r * BLOCK + i / 64 * 64 + 64) continue; // above the diagonal, which nothing reads
        uint4 x = *(uint4 *)(ofA + e / 8 * SIDE + i * 128 + ((e % 8 ^ (i & 7)) << 4));
        float y = steps.inverse[i];
        *(uint4 *)(to + (i64)i * at.length + e * 8) = make_uint4(pack(low(x.x) * y, high(x.x) * y), pack(low(x.y) * y, high(x.y) * y), pack(low(x.z) * y, high(x.z) * y), pack(low(x.w) * y, high(x.w) * y));
    }
}
