// The gradients of the gates of the chunkwise mLSTM.
#pragma once
#include "mlstm_gates.cuh"

// The operands of mlstm_gates_grad; Rows and Grads in mlstm_chunks.cuh describe the
// first ones. ofState, ofCarried and ofKept are the numbers of partial sums of fromState,
// carried and kept, 0 for sums that are zero.
struct GateGrads {
    const T *f, *den, *dm, *below, *left, *cross, *fromState, *carried;
    const double *kept;
    i64 ofState, ofCarried, ofKept;
    const T *dLast;
    T *di, *df, *dFirst;
};

// Sums over earlier steps: of carried in the chunk, and, in the tile, of the columns'
// sums over later tiles of rows.
struct Before {
    double carried, below;
};

// Sums over a range of later steps: of fromState in the chunk, of left in the tile, and
// the gradient of the stabilisers that reaches the range's first step. closed: none
// comes from after the range; cut: none flows on to the step before it.
struct After {
    double state, left, back;
    int closed, cut;
    __device__ void add(const After &later) {
        state += later.state, left += later.left;
        closed |= later.cut;
        if (!closed) back += later.back;
        closed |= later.closed;
    }
};

// The gradients of the gates of an item, chunk by chunk from the last to the first,
// and, unless null, of the stabiliser before it. The share of step j in row i contains
// log σ(f~_t) exactly if j < t ≤ i. The gradient is the sum over those pairs only: pairs
// within the tile, rows of the tile with steps of earlier tiles, later rows with steps of
// the tile, and later rows with steps of earlier tiles. The gradient of the stabilisers
// flows from a step to the previous one, up to a step whose input set its own or at
// which a document begins. Block and grid as for gatesOf.
template <int CS> __device__ inline void gatesGrad(const MLSTM &s, const Gates &g, const GateGrads &d) {
    __shared__ double into[CS * CHUNKS], keeps[CS * CHUNKS], pairs[CHUNKS][2 * MOST][MOST], carrieds[CS * CHUNKS];
    __shared__ Before befores[CHUNKS][2 * MOST];
    __shared__ After afters[CHUNKS][2 * MOST], chunks[CS * CHUNKS];
    i64 item = CS > 1 ? blockIdx.y : blockIdx.x, b = item / s.nh, h = item % s.nh, steps = (i64)s.b * s.nh * s.t;
    int length = (int)s.tiles * TILE, j = threadIdx.x, y = threadIdx.y, n = CS * blockDim.y, place = clusterRank() * blockDim.y + y, tile = j / TILE, lane = j & 31, warp = j >> 5, warps = length / 32;
    double rest = d.dLast ? (double)d.dLast[item] : 0;
    if (CS > 1) clusterBarrier(); // all blocks have begun
    for (int c1 = s.nc - 1; c1 >= 0; c1 -= n) {
        int c = c1 - place, t0 = c * length, l = min(length, s.t - t0), winner = -1;
        i64 at = item * s.t + t0 + j, to = (b * s.t + t0 + j) * s.nh + h;
        bool there = c >= 0 && j < l;
        double in = 0, later = 0, carried = 0, cross = 0;
        T f = 0, below[MOST] = {};
        After after = {0, 0, 0, 0, 0};
        if (there) {
            f = d.f[to];
#pragma unroll
            for (int a = 0; a < MOST; a++)
                if (a >= tile && a < s.tiles && a * TILE < l) below[a] = d.below[a * steps + at];
            T state = d.ofState ? d.fromState[at] : (T)0, carry = d.ofCarried ? d.carried[at] : (T)0;
            winner = g.winner[at], cross = d.cross[at];
            int end = g.winner[item * s.t + t0 + l - 1];
            bool direct = linear(g, d.den, at);
            after.back = d.dm[at], after.left = d.left[at], after.cut = winner == j || begins(s.resets, s.t, b, t0 + j);
            after.state = state, carried = carry;
            for (i64 k = 1; k < d.ofState; k++) after.state += d.fromState[k * steps + at];
            for (i64 k = 1; k < d.ofCarried; k++) carried += d.carried[k * steps + at];
            if (end == j) carried = 0;
            if (direct) {
                if (winner < 0) after.state = 0;
                after.back -= after.state;
            }
        }
        if (warp == 0) {
            double kept = 0;
            for (i64 k = lane; c >= 0 && k < d.ofKept; k += 32) kept += d.kept[(item * s.nc + c) * d.ofKept + k];
            kept = warpSum(kept);
            if (lane == 0) toAll<CS>(keeps + place, c < 0 || g.winner[item * s.t + t0 + l - 1] < 0 ? 0. : (double)g.keep[item * s.nc + c] * kept);
        }
#pragma unroll
        for (int a = 0; a < MOST; a++) {
            double x = below[a];
            in += x;
            if (a > tile) later += x;
            if (a < tile + 2 || a >= s.tiles) continue;
            x = warpSum(x);
            if (lane == 0) pairs[y][warp][a] = x;
        }
        Before before = {carried, later};
#pragma unroll
        for (int o = 1; o < 32; o <<= 1) {
            double x = __shfl_up_sync(~0u, before.carried, o), z = __shfl_up_sync(~0u, before.below, o);
            After more = {__shfl_down_sync(~0u, after.state, o), __shfl_down_sync(~0u, after.left, o), __shfl_down_sync(~0u, after.back, o),
                          __shfl_down_sync(~0u, after.closed, o), __shfl_down_sync(~0u, after.cut, o)};
            if (lane >= o) before.carried += x, before.below += z;
            if (lane + o < 32) after.add(more);
        }
        if (lane == 31) befores[y][warp] = before;
        if (lane == 0) afters[y][warp] = after;
        __syncthreads();
        double left = after.left + (warp % 2 ? 0 : afters[y][warp + 1].left);
        if (warp % 2) before.below += befores[y][warp - 1].below;
        for (int w = warp - 1; w >= 0; w--) before.carried += befores[y][w].carried;
        for (int w = warp + 1; w < warps; w++) after.add(afters[y][w]);
        if (j == 0) toAll<CS>(chunks + place, after);
        if (j == length - 1) toAll<CS>(carrieds + place, before.carried);
        if (CS > 1) clusterBarrier();
        else __syncthreads();
        if (j == 0 && y == 0)
            for (int k = 0; k < min(n, c1 + 1); k++) {
                into[k] = rest - (keeps[k] + carrieds[k]);
                double first = chunks[k].back + (chunks[k].closed ? 0 : into[k]);
                rest = (chunks[k].cut ? 0 : first) + chunks[k].state + keeps[k];
            }
        __syncthreads();
        if (there) {
            double back = after.back + (after.closed ? 0 : into[place]), input = in + carried, around = 0;
            for (int a = tile + 1; a < s.tiles; a++)
                for (int w = 0; w < 2 * tile; w++) around += pairs[y][w][a];
            double forget = cross + left + (before.below - later) + around + after.state + keeps[place] + (before.carried - carried);
            if (winner == j) input += back;
            else forget += back;
            d.di[to] = (T)input;
            d.df[to] = (T)forget * sigmoid(-f);
        }
        if (c1 < n) break;
        if (CS > 1) clusterBarrier(); // before the next chunks
        else __syncthreads();
    }
    if (d.dFirst && j == 0 && place == 0) d.dFirst[item] = (T)rest;
}
