// The matrix products of the chunkwise mLSTM for Hopper. Inputs, outputs, scores and
// the memories between chunks are bfloat16; gates, sums and n are float32. Widths are
// multiples of 64, and a block processes 128 steps. mlstm_chunks.cuh is the version for
// all cards; it describes the arrays.
#pragma once
#include "mlstm.cuh"
#include "wgmma.cuh"

extern __shared__ char room[];

#define BLOCK 128 // steps
#define STAGES 3
#define SIDE (BLOCK * 128) // bytes of a panel with a row for each step

// The steps that a thread block processes: block r of chunk c of an item.
struct Place {
    int item, c, r, b, head, t0, c0, there, inChunk, length, blocks; // there, inChunk: steps from t0 and from c0 onwards
    i64 step, first, chunk;                                          // the indices of values of t0, c0 and the chunk

    __device__ Place(const MLSTM &s, int i, int block) {
        item = i, b = item / s.nh, head = item % s.nh, length = s.tiles * TILE, blocks = length / BLOCK;
        c = block / blocks, r = block % blocks, c0 = c * length, t0 = block * BLOCK, there = s.t - t0, inChunk = s.t - c0;
        first = (i64)item * s.t + c0, step = (i64)item * s.t + t0, chunk = (i64)item * s.nc + c;
    }
    template <class X> __device__ X *in(X *x, const MLSTM &s, int width, int t) const {
        return x + (((i64)b * s.t + t) * s.nh + head) * width;
    }
};

// The operands of mlstm_states. The weights of the rows are w·factor, or w if factor is
// null.
struct Borders {
    const bf16 *x, *y;
    const float *w, *factor;
    const float *first;
    bf16 *c;
    float *last;
};

// See mlstm_states in mlstm_chunks.cuh; mlstm_normalisers.cu computes n. A block holds
// BM x BN elements of C in registers for the whole sequence. Grid: tiles of C, items;
// block: 2·BM threads.
template <int BM, int BN> __device__ inline void borders(const MLSTM &s, const float *keep, const Borders &m, bool back) {
    constexpr int THREADS = BM * 2, R = BN / 2, SA = BM * 128, SB = BN * 128, WEIGHTS = 512;
    char *panel = panels(room), *weights = panel + STAGES * (SA + SB);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, group = warp >> 2, g = lane >> 2, t = lane & 3, item = blockIdx.y, b = item / s.nh, head = item % s.nh;
    int across = s.dhv / BN, d0 = blockIdx.x / across * BM, e0 = blockIdx.x % across * BN, ldx = s.nh * s.dqk, ldy = s.nh * s.dhv;
    const bf16 *x = m.x + ((i64)b * s.t * s.nh + head) * s.dqk + d0, *y = m.y + ((i64)b * s.t * s.nh + head) * s.dhv + e0;
    const float *w = m.w + (i64)item * s.t, *factor = m.factor ? m.factor + (i64)item * s.t : w;
    int row = d0 + group * 64 + (warp & 3) * 16; // the warp's first row of C
    i64 size = (i64)s.dqk * s.dhv;
    float sum[R];
#pragma unroll
    for (int i = 0; i < R; i++) sum[i] = 0;
    if (m.first) {
        const float *c = m.first + item * size + (i64)row * s.dhv + e0;
#pragma unroll
        for (int i = 0; i < R; i++) sum[i] = c[(i64)(g + (i >> 1 & 1) * 8) * s.dhv + (i >> 2) * 8 + t * 2 + (i & 1)];
    }
    int per = s.tiles, total = (m.last ? s.nc : s.nc - 1) * per;
    auto chunk = [&](int i) { return back ? s.nc - 1 - i : i; };
    auto load = [&](int i) {
        if (i < total) {
            int from = (chunk(i / per) * per + i % per) * 64, there = s.t - from, k = threadIdx.x % 64;
            u32 a = shared(panel) + i % STAGES * (SA + SB), to = shared(weights) + i % STAGES * WEIGHTS;
#pragma unroll
            for (int p = 0; p < BM / 64; p++) loadPanel<64, THREADS>(a + p * 8192, x + (i64)from * ldx + p * 64, ldx, there);
#pragma unroll
            for (int p = 0; p < BN / 64; p++) loadPanel<64, THREADS>(a + SA + p * 8192, y + (i64)from * ldy + p * 64, ldy, there);
            if (threadIdx.x < 128) fetch4(to + threadIdx.x * 4, k < there ? (threadIdx.x < 64 ? w : factor) + from + k : w, k < there);
        }
        commit();
    };
    load(0);
    load(1);
    for (int k = 0; k < s.nc; k++) {
        i64 at = (i64)item * s.nc + chunk(k);
        if (m.c) store(sum, m.c + at * size + (i64)row * s.dhv + e0, s.dhv, 16);
        if (k == s.nc - 1 && !m.last) break;
        float kept = keep[at];
#pragma unroll
        for (int i = 0; i < R; i++) sum[i] *= kept;
        for (int i = k * per; i < (k + 1) * per; i++) {
            arrive<STAGES - 2>();
            u32 a = shared(panel) + i % STAGES * (SA + SB), rows = a + group * 8192;
            const float *ws = (const float *)(weights + i % STAGES * WEIGHTS);
            u32 left[4][4];
#pragma unroll
            for (int kk = 0; kk < 4; kk++) {
                int row = kk * 16 + (lane & 7) + (lane >> 4 << 3), piece = (warp & 3) * 2 + (lane >> 3 & 1);
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                             : "=r"(left[kk][0]), "=r"(left[kk][1]), "=r"(left[kk][2]), "=r"(left[kk][3]) : "r"(rows + row * 128 + ((piece ^ (row & 7)) << 4)));
                float2 w0 = *(const float2 *)(ws + kk * 16 + t * 2), w1 = *(const float2 *)(ws + kk * 16 + 8 + t * 2);
                if (m.factor) {
                    float2 x = *(const float2 *)(ws + 64 + kk * 16 + t * 2), y = *(const float2 *)(ws + 64 + kk * 16 + 8 + t * 2);
                    w0.x *= x.x, w0.y *= x.y, w1.x *= y.x, w1.y *= y.y;
                }
                u32 p0 = pack(w0.x, w0.y), p1 = pack(w1.x, w1.y);
                left[kk][0] = times(left[kk][0], p0), left[kk][1] = times(left[kk][1], p0);
                left[kk][2] = times(left[kk][2], p1), left[kk][3] = times(left[kk][3], p1);
            }
            productsBegin();
#pragma unroll
            for (int kk = 0; kk < 4; kk++) wgmma<1>(sum, left[kk], operand(a + SA + kk * 2048));
            productsCommit();
            load(i + 2);
            productsWait();
        }
    }
    if (m.last) {
        float *c = m.last + item * size + (i64)row * s.dhv + e0;
#pragma unroll
        for (int i = 0; i < R; i += 2) *(float2 *)(c + (i64)(g + (i >> 1 & 1) * 8) * s.dhv + (i >> 2) * 8 + t * 2) = make_float2(sum[i], sum[i + 1]);
    }
}

// Two neighbouring logarithms, of which the first has an even number.
struct __align__(16) Logs { Log at[2]; };

// The logarithms of a chunk's steps and of a thread's two rows, and the steps of the
// chunk that have a share in these: those of the row's segment up to the row's own.
struct Shares {
    const Log *u;
    const int *segment; // null where all steps are of one segment
    Log top[2];
    int segments[2], first[2] = {0, 0}, last[2];

    // Loads the first `upTo` steps of the chunk into room.
    __device__ Shares(const MLSTM &s, const Gates &g, const Place &at, char *room, int upTo, int row) {
        Log *us = (Log *)room;
        int *begun = (int *)(us + at.length);
        for (int j = threadIdx.x; j < upTo; j += blockDim.x) {
            i64 step = at.first + min(j, at.inChunk - 1);
            us[j] = g.u[step];
            if (s.resets) begun[j] = g.segment[step];
        }
        u = us, segment = s.resets ? begun : nullptr;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bool there = row + h * 8 < at.there;
            i64 step = at.step + (there ? row + h * 8 : 0);
            top[h] = g.top[step], segments[h] = s.resets ? g.segment[step] : 0, last[h] = at.r * BLOCK + row + h * 8;
            if (!there) top[h].high = 3e38f; // no share
        }
    }
    // Finds the rows' first steps, once all threads have loaded theirs.
    __device__ void find() {
        if (!segment) return;
#pragma unroll
        for (int h = 0; h < 2; h++)
            for (int beyond = last[h]; first[h] < beyond;) {
                int j = (first[h] + beyond) / 2;
                if (segment[j] < segments[h]) first[h] = j + 1;
                else beyond = j;
            }
    }
    // The steps with a share in row h, counted from step j of the chunk on.
    struct Range {
        int first, last;
        __device__ bool has(int j) const { return j >= first && j <= last; }
    };
    __device__ Range from(int h, int j) const { return {first[h] - j, last[h] - j}; }
    // D for row h and a step of which x is the logarithm. There is no branch, so that the
    // exponentials of several steps are computed beside one another.
    __device__ float share(int h, Log x, bool has) const { return power(has ? (x.high - top[h].high) + (x.low - top[h].low) : -3e38f); }
};

// The operands of mlstm_output and mlstm_grads, as Reads in mlstm_chunks.cuh.
struct Reads {
    const bf16 *q, *k, *v, *dh;
    const bf16 *states;
    const float *ns;
    const bf16 *dStates;
    const float *dNs;
    const bf16 *a, *p; // A/N and P
    const float *inverse, *dden;
};

enum { OUTPUT, VALUES, QUERIES, KEYS };

// Computes columns n0 … n0+BN−1 of h or of a gradient, out with rows of ldo, for 128
// steps: the part that comes
// from the memory, with its rows weighted, and then the part that comes from the scores:
//   h  = β·(q·C)/N                + A/N·v
//   dv = ā·(k·dC)                 + (A/N)ᵀ·dh
//   dq = β·((dh·Cᵀ)/N + dden·n)   + P·k      part: q·(first term); kept: ⟨C,dC⟩ + ⟨n,dn⟩
//   dk = ā·(v·dCᵀ + dn)           + Pᵀ·q     part: k·(first term)
template <int BN, int OF> __device__ inline void rows(const MLSTM &s, const Gates &g, const Reads &d, const Place &at, int n0, bf16 *out, int ldo, float *part, double *kept) {
    constexpr int SA = BLOCK * 128, SB = BN * 128, R = BN / 2, PIECES = BN / 32;
    constexpr bool AHEAD = OF == VALUES || OF == KEYS, OFV = OF == OUTPUT || OF == VALUES; // whether scores with later steps are used; whether columns are those of v
    char *panel = panels(room);
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, first = group * 64 + (warp & 3) * 16, row = first + (lane >> 2);
    int width = OFV ? s.dhv : s.dqk, inner = OFV ? s.dqk : s.dhv, ld = s.nh * width, ldi = s.nh * inner;
    i64 size = (i64)s.dqk * s.dhv;
    const bf16 *memory = AHEAD ? d.dStates : d.states, *x = at.in(OF == OUTPUT ? d.q : OF == VALUES ? d.k : OF == QUERIES ? d.dh : d.v, s, inner, at.t0);
    const float *n = OF == QUERIES ? d.ns : d.dNs;
    if (memory) memory += at.chunk * size + (OFV ? n0 : (i64)n0 * s.dhv), n += at.chunk * s.dqk + n0;
    int from = AHEAD ? at.r : 0, to = AHEAD ? min(at.blocks, (at.inChunk + BLOCK - 1) / BLOCK) : at.r + 1, before = memory ? inner / 64 : 0, total = before + (to - from) * 2;
    const bf16 *scores = (OFV ? d.a : d.p) + at.chunk * at.length * at.length + (AHEAD ? (i64)from * BLOCK * at.length + at.r * BLOCK : (i64)at.r * BLOCK * at.length);
    const bf16 *y = at.in(OF == OUTPUT ? d.v : OF == VALUES ? d.dh : OF == QUERIES ? d.k : d.q, s, width, at.c0 + from * BLOCK) + n0;
    auto load = [&](int i) {
        if (i < total) {
            u32 a = shared(panel) + i % STAGES * (SA + SB), b = a + SA;
            int k = (i - before) * 64;
            if (i < before) {
                loadPanel<BLOCK, 256>(a, x + i * 64, ldi, at.there);
                if (OFV)
#pragma unroll
                    for (int p = 0; p < BN / 64; p++) loadPanel<64, 256>(b + p * 8192, memory + (i64)i * 64 * s.dhv + p * 64, s.dhv, 64);
                else loadPanel<BN, 256>(b, memory + i * 64, s.dhv, BN);
            } else {
                if (AHEAD) {
                    loadPanel<64, 256>(a, scores + (i64)k * at.length, at.length, 64);
                    loadPanel<64, 256>(a + 8192, scores + (i64)k * at.length + 64, at.length, 64);
                } else loadPanel<BLOCK, 256>(a, scores + k, at.length, BLOCK);
#pragma unroll
                for (int p = 0; p < BN / 64; p++) loadPanel<64, 256>(b + p * 8192, y + (i64)k * ld + p * 64, ld, at.inChunk - from * BLOCK - k);
            }
        }
        commit();
    };
    load(0);
    load(1);
    // Each thread multiplies some pieces of C and of its gradient after the chunk.
    bool dots = OF == QUERIES && at.r == 0 && memory && d.dStates;
    int dotRow = tid * PIECES >> 3, dotPiece = tid * PIECES & 7;
    const bf16 *behind = dots ? d.dStates + at.chunk * size + (i64)(n0 + dotRow) * s.dhv + dotPiece * 8 : nullptr;
    float dot = 0, sum[R];
#pragma unroll
    for (int i = 0; i < R; i++) sum[i] = 0;
    for (int i = 0; i < before; i++) {
        uint4 c[PIECES];
        if (OF == QUERIES && dots)
#pragma unroll
            for (int e = 0; e < PIECES; e++) c[e] = *(const uint4 *)(behind + i * 64 + e * 8);
        arrive<STAGES - 2>();
        load(i + STAGES - 1);
        char *a = panel + i % STAGES * (SA + SB);
        product<0, OFV ? 1 : 0>(sum, shared(a) + group * 8192, shared(a) + SA);
        if (OF == QUERIES && dots)
#pragma unroll
            for (int e = 0; e < PIECES; e++) dot += dot8(*(const uint4 *)(a + SA + dotRow * 128 + (((dotPiece + e) ^ (dotRow & 7)) << 4)), c[e]);
        productsWait();
    }
    if (before)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bool there = row + h * 8 < at.there;
            i64 step = at.step + (there ? row + h * 8 : 0);
            float weight = AHEAD ? g.carry[step] : g.inter[step], inverse = AHEAD ? 1.f : d.inverse[step], ofN = OF == QUERIES ? d.dden[step] : 1.f, own = 0;
            if (OF == OUTPUT) weight *= inverse;
            const bf16 *z = OFV ? nullptr : at.in(OF == QUERIES ? d.q : d.k, s, width, at.t0) + (i64)(row + h * 8) * ld + n0;
#pragma unroll
            for (int p = 0; p < R / 4; p++) {
                float &a = sum[p * 4 + h * 2], &b = sum[p * 4 + h * 2 + 1];
                if (OFV) {
                    a *= weight, b *= weight;
                    continue;
                }
                float2 ns = *(const float2 *)(n + p * 8 + t * 2);
                if (OF == QUERIES) a = weight * (a * inverse + ofN * ns.x), b = weight * (b * inverse + ofN * ns.y);
                else a = weight * (a + ns.x), b = weight * (b + ns.y);
                if (!there) continue;
                u32 q = *(const u32 *)(z + p * 8 + t * 2);
                own += a * low(q) + b * high(q);
            }
            if (OFV) continue;
            own = quadSum(own);
            if (t == 0 && there) part[step] = own;
        }
    if (OF == QUERIES && dots) {
        if (tid < BN) dot += n[tid] * d.dNs[at.chunk * s.dqk + n0 + tid];
        dot = warpSum(dot);
        if (lane == 0) kept[warp] = dot;
    }
    for (int i = before; i < total; i++) {
        arrive<STAGES - 2>();
        load(i + STAGES - 1);
        if (AHEAD ? group == 1 && i == before : group == 0 && i == total - 1) continue; // above the diagonal
        u32 a = shared(panel) + i % STAGES * (SA + SB);
        product<AHEAD ? 1 : 0, 1>(sum, a + group * 8192, a + SA);
        productsWait();
    }
    store(sum, out + ((i64)at.b * s.t + at.t0 + first) * ldo + at.head * width + n0, ldo, at.there - first);
}

// As Grads in mlstm_chunks.cuh, except that kept [chunks,tiles·8] is also by warps, and
// that the rows of the gradients are ldq, ldk and ldv elements apart.
struct Grads {
    bf16 *dq, *dk, *dv;
    float *fromState, *carried;
    double *kept;
    int ldq, ldk, ldv;
};

// The kernels with tiles of BK columns of keys by BV columns of values.
#define KERNELS(BK, BV) \
    KERNEL __launch_bounds__(BK * 2, BK == 128 ? 2 : 4) mlstm_states(MLSTM s, const float *keep, Borders m, int back) { borders<BK, BV>(s, keep, m, back); } \
    KERNEL __launch_bounds__(256, 2) mlstm_output(MLSTM s, Gates g, Reads d, bf16 *h) { \
        rows<BV, OUTPUT>(s, g, d, Place(s, blockIdx.z, blockIdx.y), blockIdx.x * BV, h, s.nh * s.dhv, nullptr, nullptr); \
    } \
    KERNEL __launch_bounds__(256, 2) mlstm_grads(MLSTM s, Gates g, Reads d, Grads out) { \
        Place at(s, blockIdx.z, blockIdx.y); \
        int tile = blockIdx.x, values = s.dhv / BV, keys = s.dqk / BK; \
        i64 steps = (i64)s.b * s.nh * s.t; \
        if (tile < values) return rows<BV, VALUES>(s, g, d, at, tile * BV, out.dv, out.ldv, nullptr, nullptr); \
        tile -= values; \
        if (tile < keys) return rows<BK, QUERIES>(s, g, d, at, tile * BK, out.dq, out.ldq, out.fromState + tile * steps, out.kept + (at.chunk * keys + tile) * 8); \
        tile -= keys; \
        rows<BK, KEYS>(s, g, d, at, tile * BK, out.dk, out.ldk, out.carried + tile * steps, nullptr); \
    }
