//gen: f32 compute_90a
#include "mlstm_wgmma.cuh"

#define SIDE (BLOCK * 128) // bytes of a panel of 128 rows

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
            __syncthreads();
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int end = (at.r - block) * BLOCK + row + h * 8;
#pragma unroll
            for (int p = 0; p < 16; p++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int j = p * 8 + t * 2 + e;
                    float &x = sum[p * 4 + h * 2 + e];
                    sums[h] += x = j <= end ? x * scale * shares.share(h, block * BLOCK + j) : 0.f;
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

// As Rows in mlstm_chunks.cuh.
struct Rows {
    float *den, *inverse, *dden, *dm, *ofC, *ofN;
    bf16 *a, *p;
    float *below, *left, *cross;
};

// Sums each of 8 numbers over the lanes with the same lane%4. Every lane returns one of
// the sums: number 4·bit 4 + 2·bit 3 + bit 2 of the lane.
__device__ inline float columnSum(float (&x)[8]) {
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int s = 0; s < 3; s++) {
        int mask = 16 >> s, half = 4 >> s;
        bool upper = lane & mask;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < half) {
                float send = upper ? x[i] : x[i + half], keep = upper ? x[i + half] : x[i];
                x[i] = keep + __shfl_xor_sync(~0u, send, mask);
            }
    }
    return x[0];
}

// See mlstm_scores_grad in mlstm_chunks.cuh. A warpgroup processes a tile of 64 rows.
// ALONE: the scores of a block are read before its products, into registers that only a
// block that has a processor to itself can have.
template <bool ALONE> __device__ inline void scoresGrad(const MLSTM &s, const Gates &g, const bf16 *v, const bf16 *h, const bf16 *dh, const Rows &out) {
    Place at(s, blockIdx.y, blockIdx.x);
    char *panel = panels(room);
    float *ofDens = (float *)(panel + STAGES * 2 * SIDE), *ups = ofDens + BLOCK, *parts = ups + BLOCK, *rowSums = parts + 8 * BLOCK; // parts: column sums by warps
    int tid = threadIdx.x, lane = tid & 31, warp = tid >> 5, group = warp >> 2, t = lane & 3, row = group * 64 + (warp & 3) * 16 + (lane >> 2), slices = s.dhv / 64, ld = s.nh * s.dhv;
    i64 steps = (i64)s.b * s.nh * s.t;
    Slices in = {at.in(dh, s, s.dhv, at.t0), at.in(v, s, s.dhv, at.c0), ld, at.there, at.inChunk, slices, slices * (at.r + 1)};
    in.panel = panel;
    in.load(0);
    in.load(1);
    int hRow = tid >> 1, half = tid & 1;
    const bf16 *hs = at.in(h, s, s.dhv, at.t0) + (i64)hRow * ld + half * 32;
    uint4 hv[4];
    auto loadH = [&](int slice) {
#pragma unroll
        for (int e = 0; e < 4; e++) hv[e] = hRow < at.there ? *(const uint4 *)(hs + slice * 64 + e * 8) : make_uint4(0, 0, 0, 0);
    };
    loadH(0);
    Shares shares(s, g, at, (char *)(rowSums + 2 * BLOCK), (at.r + 1) * BLOCK, row);
    float dot = 0, earlier[2] = {0, 0}, own[2] = {0, 0}, scale = (float)(s.scaleQ * s.scaleK), inverse[2], size[2];
    int winner[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        bool there = row + h * 8 < at.there;
        i64 step = at.step + (there ? row + h * 8 : 0);
        inverse[h] = there ? out.inverse[step] : 0.f, size[h] = there ? 1 / inverse[h] : 0.f;
        winner[h] = there && linear(g, out.den, step) ? g.winner[step] : -1;
    }
    float *w = (float *)panel + group * 64 * 65; // W of the tile on the diagonal
    for (int block = 0, i = 0; block <= at.r; block++) {
        const bf16 *scores = out.a + (at.chunk * at.length + at.r * BLOCK + row) * at.length + block * BLOCK + t * 8;
        auto piece = [&](int e, int h) { return *(const uint4 *)(scores + (i64)h * 8 * at.length + e * 32); };
        uint4 ahead[4][2];
        if (ALONE)
#pragma unroll
            for (int e = 0; e < 4; e++) ahead[e][0] = piece(e, 0), ahead[e][1] = piece(e, 1);
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
                for (int e = 0; e < 4; e++) dot += dot8(*(uint4 *)(x + hRow * 128 + (((half * 4 + e) ^ (hRow & 7)) << 4)), hv[e]);
                if (slice + 1 < slices) loadH(slice + 1);
            }
            productsWait();
        }
        if (block == 0) {
            dot += __shfl_xor_sync(~0u, dot, 1);
            if (half == 0) {
                float ofDen = 0, up = 0;
                if (hRow < at.there) {
                    i64 step = at.step + hRow;
                    float den = out.den[step], inv = out.inverse[step], inter = g.inter[step];
                    up = dot * inv;
                    ofDen = abs(den) < g.floor[step] ? 0.f : signbit(den) ? up : -up;
                    out.dden[step] = ofDen, out.ofC[step] = inter * inv, out.ofN[step] = inter * ofDen;
                }
                ofDens[hRow] = ofDen, ups[hRow] = up;
            }
        }
        bool diagonal = block == at.r;
        __syncthreads(); // ofDens has been written, and after the last block the panels are free
        float ofDen[2] = {ofDens[row], ofDens[row + 8]};
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float columns[8];
#pragma unroll
            for (int i = 0; i < 8; i++) columns[i] = 0;
            bool last = e / 2 == group; // in the last block: whether the columns are those of the rows' own tile
#pragma unroll
            for (int h = 0; h < 2; h++) {
                int end = at.r * BLOCK + row + h * 8;
                uint4 x = ALONE ? ahead[e][h] : piece(e, h);
                u32 words[4] = {x.x, x.y, x.z, x.w};
                transpose(words);
                float total = 0;
#pragma unroll
                for (int p = 0; p < 4; p++)
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        int col = e * 32 + p * 8 + t * 2 + i, j = block * BLOCK + col;
                        float &y = sum[(e * 4 + p) * 4 + h * 2 + i];
                        float up = y * inverse[h] + ofDen[h], part = up * (i ? high(words[p]) : low(words[p])) * size[h];
                        if (j == winner[h] || j > end) part = 0;
                        y = j <= end ? up * scale * shares.share(h, j) : 0.f;
                        total += part, columns[p * 2 + i] += part;
                        if (diagonal && last) w[(row % 64 + h * 8) * 65 + col % 64] = part;
                    }
                if (diagonal && last) own[h] += total;
                else earlier[h] += total;
            }
            float all = columnSum(columns);
            int index = (lane & 16 ? 4 : 0) + (lane & 8 ? 2 : 0) + (lane & 4 ? 1 : 0);
            parts[warp * BLOCK + (e * 4 + (index >> 1)) * 8 + t * 2 + (index & 1)] = all;
        }
        store(sum, out.p + (at.chunk * at.length + at.r * BLOCK + row - (lane >> 2)) * at.length + block * BLOCK, at.length, BLOCK);
        __syncthreads();
        int col = tid % BLOCK, tile = tid / BLOCK;
        const float *part = parts + tile * 4 * BLOCK + col;
        if (block * BLOCK + col < at.inChunk)
            out.below[(at.r * 2 + tile) * steps + at.first + block * BLOCK + col] = (part[0] + part[BLOCK]) + (part[2 * BLOCK] + part[3 * BLOCK]);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float first = quadSum(earlier[h]), second = quadSum(own[h]);
        if (t == 0) rowSums[row + h * 8] = first, rowSums[BLOCK + row + h * 8] = second;
    }
    // The sums of each column of the tile from every row onwards, by halves of the rows.
    int col = tid % 64, upper = tid % 128 < 64;
    float sum = 0;
    for (int i = upper ? 31 : 63; i >= (upper ? 0 : 32); i--) w[i * 65 + col] = sum += w[i * 65 + col];
    __syncthreads();
    float later = w[32 * 65 + col];
    for (int i = 0; upper && i < 32; i++) w[i * 65 + col] += later;
    __syncthreads();
    for (int i = warp & 3; i < min(64, at.there - group * 64); i += 4) {
        float before = (lane < i ? w[i * 65 + lane] : 0.f) + (lane + 32 < i ? w[i * 65 + lane + 32] : 0.f);
        before = warpSum(before);
        if (lane == 0) out.cross[at.step + group * 64 + i] = before;
    }
    if (tid >= min(BLOCK, at.there)) return;
    out.left[at.step + tid] = rowSums[tid];
    out.dm[at.step + tid] = linear(g, out.den, at.step + tid) ? -(rowSums[tid] + rowSums[BLOCK + tid]) : -ups[tid] * (float)s.eps;
}

// Grid: blocks of steps, items.
KERNEL __launch_bounds__(256, 2) mlstm_scores_grad(MLSTM s, Gates g, const bf16 *v, const bf16 *h, const bf16 *dh, Rows out) {
    scoresGrad<false>(s, g, v, h, dh, out);
}
KERNEL __launch_bounds__(256, 1) mlstm_scores_grad_alone(MLSTM s, Gates g, const bf16 *v, const bf16 *h, const bf16 *dh, Rows out) {
    scoresGrad<true>(s, g, v, h, dh, out);
}
