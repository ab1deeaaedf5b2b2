//gen: f32 compute_90a
#include "mlstm_scores_grad.cuh"

// The operands of the products of 128 rows with all blocks of 128 steps of the chunk up
// to their own, in slices of depth 64.
struct Slices {
    const bf16 *x, *y; // rows, and steps of the chunk
    int ld, there, inChunk, slices, total, slice = 0, block = 0;
    char *panel;

    __device__ void load(int i) {
        if (i < total) {
            u32 a = shared(panel) + i % STAGES * 2 * SIDE;
            loadPanel<BLOCK, 256>(a, x + slice * 64, ld, there);
            loadPanel<BLOCK, 256>(a + SIDE, y + (i64)block * BLOCK * ld + slice * 64, ld, inChunk - block * BLOCK);
            if (++slice == slices) slice = 0, block++;
        }
        commit();
    }
};

// Computes A/N [chunks,length,length] in the blocks of 128 x 128 up to the diagonal, and
// den and 1/N of every step. ALONE: the block before the one on the diagonal, which is
// the only one, stays in registers until N is known. Only a thread block that has a
// processor to itself can have so many.
template <bool ALONE> __device__ inline void scores(const MLSTM &s, const Gates &g, const bf16 *q, const bf16 *k, const float *ns, bf16 *a, float *dens, float *inverses) {
    Place at(s, blockIdx.y, blockIdx.x);
    char *panel = panels(room);
    float *ofN = (float *)(panel + STAGES * 2 * SIDE), *n = ofN + BLOCK;
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, row = group * 64 + (warp & 3) * 16 + (lane >> 2), slices = s.dqk / 64;
    Slices in = {at.in(q, s, s.dqk, at.t0), at.in(k, s, s.dqk, at.c0), s.nh * s.dqk, at.there, at.inChunk, slices, slices * (at.r + 1)};
    in.panel = panel;
    in.load(0);
    in.load(1);
    if (ns)
        for (int i = tid; i < s.dqk; i += 256) n[i] = ns[at.chunk * s.dqk + i];
    Shares shares(s, g, at, (char *)(n + s.dqk), (at.r + 1) * BLOCK, row);
    float dotN = 0, sums[2] = {0, 0}, inverse[2], scale = (float)(s.scaleQ * s.scaleK), kept[64];
    bf16 *to = a + (at.chunk * at.length + at.r * BLOCK + row - (lane >> 2)) * at.length;
    for (int block = 0, i = 0; block <= at.r; block++) {
        float sum[64];
#pragma unroll
        for (int e = 0; e < 64; e++) sum[e] = 0;
        for (int slice = 0; slice < slices; slice++, i++) {
            arrive<STAGES - 2>();
            char *x = panel + i % STAGES * 2 * SIDE;
            product<0, 0>(sum, shared(x) + group * 8192, shared(x) + SIDE);
            in.load(i + 2);
            if (block == 0 && ns) {
                int row = tid >> 1, half = tid & 1;
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    uint4 y = *(uint4 *)(x + row * 128 + (((half * 4 + e) ^ (row & 7)) << 4));
                    const float4 *from = (const float4 *)(n + slice * 64 + half * 32 + e * 8);
                    float4 p = from[0], w = from[1];
                    dotN += low(y.x) * p.x + high(y.x) * p.y + low(y.y) * p.z + high(y.y) * p.w + low(y.z) * w.x + high(y.z) * w.y + low(y.w) * w.z + high(y.w) * w.w;
                }
            }
            productsWait();
        }
        if (block == 0) {
            dotN += __shfl_xor_sync(~0u, dotN, 1);
            if (!(tid & 1)) ofN[tid >> 1] = dotN;
            shares.find();
            __syncthreads();
        }
        int j0 = block * BLOCK + t * 2;
        Shares::Range range[2] = {shares.from(0, j0), shares.from(1, j0)};
#pragma unroll
        for (int p = 0; p < 16; p++) {
            Logs u = *(const Logs *)(shares.u + j0 + p * 8);
#pragma unroll
            for (int e = 0; e < 2; e++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    bool has = range[h].has(p * 8 + e);
                    float &x = sum[p * 4 + h * 2 + e];
                    sums[h] += x = (has ? x * scale : 0.f) * shares.share(h, u.at[e], has);
                }
        }
        if (block == at.r)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                int i = row + h * 8;
                i64 step = at.step + i;
                bool there = i < at.there;
                float den = quadSum(sums[h]) + (there && ns ? g.inter[step] * ofN[i] : 0.f);
                inverse[h] = there ? 1 / (max(abs(den), g.floor[step]) + (float)s.eps) : 0.f;
                if (t == 0 && there) dens[step] = den, inverses[step] = inverse[h];
#pragma unroll
                for (int p = 0; p < 16; p++) sum[p * 4 + h * 2] *= inverse[h], sum[p * 4 + h * 2 + 1] *= inverse[h];
            }
        if (ALONE && block < at.r)
#pragma unroll
            for (int e = 0; e < 64; e++) kept[e] = sum[e];
        else store(sum, to + block * BLOCK, at.length, BLOCK);
    }
    if (ALONE) {
        if (at.r == 0) return;
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
            for (int p = 0; p < 16; p++) kept[p * 4 + h * 2] *= inverse[h], kept[p * 4 + h * 2 + 1] *= inverse[h];
        return store(kept, to, at.length, BLOCK);
    }
    // The earlier blocks were stored before N was known. Every thread scales the pieces
    // that it stored.
    for (int block = 0; block < at.r; block++)
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                uint4 *p = (uint4 *)(to + (i64)((lane >> 2) + h * 8) * at.length + block * BLOCK + e * 32 + t * 8), x = *p;
                float f = inverse[h];
                *p = make_uint4(pack(low(x.x) * f, high(x.x) * f), pack(low(x.y) * f, high(x.y) * f), pack(low(x.z) * f, high(x.z) * f), pack(low(x.w) * f, high(x.w) * f));
            }
}

// Grid: blocks of steps, items.
KERNEL __launch_bounds__(256, 2) mlstm_scores(MLSTM s, Gates g, const bf16 *q, const bf16 *k, const float *ns, bf16 *a, float *dens, float *inverses) {
    scores<false>(s, g, q, k, ns, a, dens, inverses);
}
KERNEL __launch_bounds__(256, 1) mlstm_scores_alone(MLSTM s, Gates g, const bf16 *q, const bf16 *k, const float *ns, bf16 *a, float *dens, float *inverses) {
    scores<true>(s, g, q, k, ns, a, dens, inverses);
}

// Brings what is at p into the second-level cache.
__device__ inline void ahead(const bf16 *p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// ALONE: the scores of a block are read before its products, into registers that only a
// block that has a processor to itself can have.
template <bool ALONE> __device__ inline void scoresGrad(const MLSTM &s, const Gates &g, const bf16 *v, const bf16 *h, const bf16 *dh, const Rows &out) {
    Place at(s, blockIdx.y, blockIdx.x);
    char *panel = panels(room);
    float *dots = (float *)(panel + STAGES * 2 * SIDE), *parts = dots + BLOCK; // parts: column sums by warps
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, row = group * 64 + (warp & 3) * 16 + (lane >> 2), slices = s.dhv / 64, ld = s.nh * s.dhv;
    Slices in = {at.in(dh, s, s.dhv, at.t0), at.in(v, s, s.dhv, at.c0), ld, at.there, at.inChunk, slices, slices * (at.r + 1)};
    in.panel = panel;
    in.load(0);
    in.load(1);
    // Eight neighbours have a row's slice of h, in four rows 32 apart.
    int hRow = tid >> 3, hPiece = tid & 7;
    const bf16 *hs = at.in(h, s, s.dhv, at.t0) + (i64)hRow * ld + hPiece * 8;
    uint4 hv[4];
    auto loadH = [&](int slice) {
#pragma unroll
        for (int e = 0; e < 4; e++) hv[e] = hRow + e * 32 < at.there ? *(const uint4 *)(hs + (i64)e * 32 * ld + slice * 64) : make_uint4(0, 0, 0, 0);
    };
    loadH(0);
    Shares shares(s, g, at, (char *)(parts + 8 * BLOCK), (at.r + 1) * BLOCK, row);
    GradRows rows(s, g, out, at, row);
    RowSums sums;
    float dot[4] = {0, 0, 0, 0};
    float *w = (float *)panel + group * 64 * 65; // W of the tile on the diagonal
    bf16 *p = out.p + (at.chunk * at.length + at.r * BLOCK + row - (lane >> 2)) * at.length;
    for (int block = 0, i = 0; block <= at.r; block++) {
        const bf16 *scores = out.a + (at.chunk * at.length + at.r * BLOCK + row) * at.length + block * BLOCK + t * 8;
        auto piece = [&](int e, int h) { return *(const uint4 *)(scores + (i64)h * 8 * at.length + e * 32); };
        if (!ALONE)
#pragma unroll
            for (int e = 0; e < 4; e++) ahead(scores + e * 32), ahead(scores + 8 * at.length + e * 32);
        uint4 early[4][2];
        if (ALONE)
#pragma unroll
            for (int e = 0; e < 4; e++) early[e][0] = piece(e, 0), early[e][1] = piece(e, 1);
        float sum[64];
#pragma unroll
        for (int e = 0; e < 64; e++) sum[e] = 0;
        for (int slice = 0; slice < slices; slice++, i++) {
            arrive<STAGES - 2>();
            char *x = panel + i % STAGES * 2 * SIDE;
            product<0, 0>(sum, shared(x) + group * 8192, shared(x) + SIDE);
            in.load(i + 2);
            if (block == 0) {
#pragma unroll
                for (int e = 0; e < 4; e++) dot[e] += dot8(*(uint4 *)(x + (hRow + e * 32) * 128 + ((hPiece ^ (hRow & 7)) << 4)), hv[e]);
                if (slice + 1 < slices) loadH(slice + 1);
            }
            productsWait();
        }
        if (block == 0) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                float all = quadSum(dot[e]);
                all += __shfl_xor_sync(~0u, all, 4);
                if (hPiece == 0) dots[hRow + e * 32] = all;
            }
            shares.find();
        }
        __syncthreads(); // dots have been written, and after the last block the panels are free
        if (block == 0) rows.ofDen[0] *= dots[row], rows.ofDen[1] *= dots[row + 8];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            bool own = block == at.r && e / 2 == group; // whether the columns are those of the rows' own tile
            uint4 both[2] = {ALONE ? early[e][0] : piece(e, 0), ALONE ? early[e][1] : piece(e, 1)};
            float(&of)[16] = *(float(*)[16])(sum + e * 16);
            rows.piece(of, both, shares, block * BLOCK + e * 32, parts + warp * BLOCK + e * 32, own ? w + e % 2 * 32 : nullptr, sums);
            store(of, p + block * BLOCK + e * 32, at.length, BLOCK);
        }
        __syncthreads();
        storeBelow(s, out, at, parts, block);
    }
    storeRows(g, out, at, s, rows, sums, w, dots);
}

// Grid: blocks of steps, items.
KERNEL __launch_bounds__(256, 2) mlstm_scores_grad(MLSTM s, Gates g, const bf16 *v, const bf16 *h, const bf16 *dh, Rows out) {
    scoresGrad<false>(s, g, v, h, dh, out);
}
KERNEL __launch_bounds__(256, 1) mlstm_scores_grad_alone(MLSTM s, Gates g, const bf16 *v, const bf16 *h, const bf16 *dh, Rows out) {
    scoresGrad<true>(s, g, v, h, dh, out);
}
