// The gradients of the scores of the chunkwise mLSTM for Hopper: what the kernels for
// full cards and for few blocks share. See mlstm_scores_grad in mlstm_chunks.cuh. A
// warpgroup processes a tile of 64 rows.
#pragma once
#include "mlstm_wgmma.cuh"

// As Rows in mlstm_chunks.cuh. ofC is left alone.
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


// The sums of W over a thread's two rows: over the steps of earlier tiles and over
// those of the rows' own tile.
struct RowSums {
    float earlier[2] = {0, 0}, own[2] = {0, 0};
};

// A thread's two rows.
struct GradRows {
    float inverse[2], size[2], ofDen[2], scale;
    int winner[2], row, first; // of the block, of the chunk

    __device__ GradRows(const MLSTM &s, const Gates &g, const Rows &out, const Place &at, int row) : scale((float)(s.scaleQ * s.scaleK)), row(row), first(at.r * BLOCK + row) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bool there = row + h * 8 < at.there;
            i64 step = at.step + (there ? row + h * 8 : 0);
            inverse[h] = there ? out.inverse[step] : 0.f, size[h] = there ? 1 / inverse[h] : 0.f;
            winner[h] = there && linear(g, out.den, step) ? g.winner[step] : -1;
        }
    }

    // Replaces dh·v of the rows and of 32 steps, from j0 of the chunk on, by P. scores
    // are the rows' A/N, of 8 neighbours each. parts receives the sums of W over the
    // warp's rows, and diagonal, unless it is null, W of those 32 of a tile's 64
    // columns.
    __device__ void piece(float *sum, const uint4 (&scores)[2], const Shares &shares, int j0, float *parts, float *diagonal, RowSums &sums) const {
        int lane = threadIdx.x & 31, t = lane & 3;
        float columns[8] = {};
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int end = first + h * 8;
            u32 words[4] = {scores[h].x, scores[h].y, scores[h].z, scores[h].w};
            transpose(words);
            float total = 0;
#pragma unroll
            for (int p = 0; p < 4; p++)
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    int col = p * 8 + t * 2 + i, j = j0 + col;
                    float &y = sum[p * 4 + h * 2 + i];
                    float up = y * inverse[h] + ofDen[h], part = up * (i ? high(words[p]) : low(words[p])) * size[h];
                    if (j == winner[h] || j > end) part = 0;
                    y = j <= end ? up * scale * shares.share(h, j) : 0.f;
                    total += part, columns[p * 2 + i] += part;
                    if (diagonal) diagonal[(row % 64 + h * 8) * 65 + col] = part;
                }
            if (diagonal) sums.own[h] += total;
            else sums.earlier[h] += total;
        }
        float all = columnSum(columns);
        int index = (lane & 16 ? 4 : 0) + (lane & 8 ? 2 : 0) + (lane & 4 ? 1 : 0);
        parts[(index >> 1) * 8 + t * 2 + (index & 1)] = all;
    }
};

// Stores what follows from dh·h of a row, which two neighbouring threads have, and
// leaves dden in ofDens and dh·h/N in ups.
__device__ inline void gradOfDen(const Gates &g, const Rows &out, const Place &at, float dot, float *ofDens, float *ups) {
    int row = threadIdx.x >> 1;
    if (threadIdx.x & 1) return;
    float ofDen = 0, up = 0;
    if (row < at.there) {
        i64 step = at.step + row;
        float den = out.den[step];
        up = dot * out.inverse[step];
        ofDen = abs(den) < g.floor[step] ? 0.f : signbit(den) ? up : -up;
        out.dden[step] = ofDen, out.ofN[step] = g.inter[step] * ofDen;
    }
    ofDens[row] = ofDen, ups[row] = up;
}

// Stores the sums of W over the rows of a tile of 64 rows, for 128 steps of the chunk.
__device__ inline void storeBelow(const MLSTM &s, const Rows &out, const Place &at, const float *parts, int block) {
    i64 steps = (i64)s.b * s.nh * s.t;
    int col = threadIdx.x % BLOCK, tile = threadIdx.x / BLOCK;
    const float *part = parts + tile * 4 * BLOCK + col;
    if (block * BLOCK + col < min(at.inChunk, (at.r * 2 + tile + 1) * TILE)) // nothing reads those above the diagonal
        out.below[(at.r * 2 + tile) * steps + at.first + block * BLOCK + col] = (part[0] + part[BLOCK]) + (part[2 * BLOCK] + part[3 * BLOCK]);
}

// Stores what follows from the sums over rows, and from W of the tile on the diagonal:
// w has 64 rows of 65 numbers for each warpgroup.
__device__ inline void storeRows(const Gates &g, const Rows &out, const Place &at, const MLSTM &s, const RowSums &sums, float *w, float *rowSums, const float *ups, int row) {
    int tid = threadIdx.x, group = tid >> 7;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float first = quadSum(sums.earlier[h]), second = quadSum(sums.own[h]);
        if ((tid & 3) == 0) rowSums[row + h * 8] = first, rowSums[BLOCK + row + h * 8] = second;
    }
    // The sums of each column of the tile from every row onwards, by halves of the rows.
    int col = tid % 64;
    bool upper = tid % 128 < 64;
    float *column = w + (upper ? 0 : 32 * 65) + col, x[32], sum = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) x[i] = column[i * 65];
#pragma unroll
    for (int i = 31; i >= 0; i--) x[i] = sum += x[i];
    if (!upper)
#pragma unroll
        for (int i = 0; i < 32; i++) column[i * 65] = x[i];
    __syncthreads();
    float later = w[32 * 65 + col];
    if (upper)
#pragma unroll
        for (int i = 0; i < 32; i++) column[i * 65] = x[i] + later;
    __syncthreads();
    // Two neighbours have the halves of a row, and begin 16 columns apart, in other banks.
    int i = tid % 128 / 2, half = tid & 1;
    float before = 0;
#pragma unroll 8
    for (int n = 0; n < 32; n++) {
        int j = half * 32 + (n + half * 16) % 32;
        if (j < i) before += w[i * 65 + j];
    }
    before += __shfl_xor_sync(~0u, before, 1);
    if (half == 0 && group * 64 + i < at.there) out.cross[at.step + group * 64 + i] = before;
    if (tid >= min(BLOCK, at.there)) return;
    out.left[at.step + tid] = rowSums[tid];
    out.dm[at.step + tid] = linear(g, out.den, at.step + tid) ? -(rowSums[tid] + rowSums[BLOCK + tid]) : -ups[tid] * (float)s.eps;
}
