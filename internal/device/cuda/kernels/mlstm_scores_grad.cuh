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
    float inverse[2], size[2], ofDen[2], scale; // size is N, ofDen the gradient of den
    int winner[2], row;

    // Loads all of the rows before any of it is needed. ofDen is a factor of dh·h, 0
    // where a row is not normalised by |q·n|.
    __device__ GradRows(const MLSTM &s, const Gates &g, const Rows &out, const Place &at, int row) : scale((float)(s.scaleQ * s.scaleK)), row(row) {
        float den[2], floor[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            i64 step = at.step + min(row + h * 8, at.there - 1);
            inverse[h] = out.inverse[step], den[h] = out.den[step], floor[h] = g.floor[step], winner[h] = g.winner[step];
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bool there = row + h * 8 < at.there, linear = abs(den[h]) >= floor[h];
            if (!there) inverse[h] = 0;
            if (!linear) winner[h] = -1;
            size[h] = max(abs(den[h]), floor[h]) + (float)s.eps;
            ofDen[h] = !linear ? 0.f : signbit(den[h]) ? inverse[h] : -inverse[h];
        }
    }

    // Replaces dh·v of the rows and of 32 steps, from j0 of the chunk on, by P. scores
    // are the rows' A/N, of 8 neighbours each. parts receives the sums of W over the
    // warp's rows, and diagonal, unless it is null, W of those 32 of a tile's 64
    // columns.
    __device__ void piece(float (&sum)[16], const uint4 (&scores)[2], const Shares &shares, int j0, float *parts, float *diagonal, RowSums &sums) const {
        int lane = threadIdx.x & 31, t = lane & 3;
        float columns[8] = {}, totals[2] = {0, 0};
        u32 words[2][4];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            words[h][0] = scores[h].x, words[h][1] = scores[h].y, words[h][2] = scores[h].z, words[h][3] = scores[h].w;
            transpose(words[h]);
        }
        j0 += t * 2;
        Shares::Range in[2] = {shares.from(0, j0), shares.from(1, j0)};
#pragma unroll
        for (int p = 0; p < 4; p++) {
            Logs u = *(const Logs *)(shares.u + j0 + p * 8);
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    int j = p * 8 + i;
                    bool has = in[h].has(j);
                    float &y = sum[p * 4 + h * 2 + i];
                    float up = y * inverse[h] + ofDen[h], part = up * (i ? high(words[h][p]) : low(words[h][p])) * size[h];
                    if (!has || j == winner[h] - j0) part = 0;
                    y = (has ? up * scale : 0.f) * shares.share(h, u.at[i], has);
                    totals[h] += part, columns[p * 2 + i] += part;
                    if (diagonal) diagonal[(row % 64 + h * 8) * 65 + t * 2 + j] = part;
                }
        }
#pragma unroll
        for (int h = 0; h < 2; h++)
            if (diagonal) sums.own[h] += totals[h];
            else sums.earlier[h] += totals[h];
        float all = columnSum(columns);
        int index = (lane & 16 ? 4 : 0) + (lane & 8 ? 2 : 0) + (lane & 4 ? 1 : 0);
        parts[(index >> 1) * 8 + t * 2 + (index & 1)] = all;
    }
};

// Stores the sums of W over the rows of a tile of 64 rows, for 128 steps of the chunk.
__device__ inline void storeBelow(const MLSTM &s, const Rows &out, const Place &at, const float *parts, int block) {
    i64 steps = (i64)s.b * s.nh * s.t;
    int col = threadIdx.x % BLOCK, tile = threadIdx.x / BLOCK;
    const float *part = parts + tile * 4 * BLOCK + col;
    if (block * BLOCK + col < min(at.inChunk, (at.r * 2 + tile + 1) * TILE)) // nothing reads those above the diagonal
        out.below[(at.r * 2 + tile) * steps + at.first + block * BLOCK + col] = (part[0] + part[BLOCK]) + (part[2 * BLOCK] + part[3 * BLOCK]);
}

// Stores what follows from the sums over rows and from dh·h, and from W of the tile on
// the diagonal: w has 64 rows of 65 numbers for each warpgroup.
__device__ inline void storeRows(const Gates &g, const Rows &out, const Place &at, const MLSTM &s, const GradRows &rows, const RowSums &sums, float *w, const float *dots) {
    int tid = threadIdx.x, group = tid >> 7;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float earlier = quadSum(sums.earlier[h]), own = quadSum(sums.own[h]), ofDen = rows.ofDen[h];
        int i = rows.row + h * 8;
        if (tid & 3 || i >= at.there) continue;
        i64 step = at.step + i;
        out.dden[step] = ofDen, out.ofN[step] = g.inter[step] * ofDen, out.left[step] = earlier;
        out.dm[step] = linear(g, out.den, step) ? -(earlier + own) : -dots[i] * rows.inverse[h] * (float)s.eps;
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
}
