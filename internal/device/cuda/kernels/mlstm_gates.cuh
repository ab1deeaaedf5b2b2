// The gates of the chunkwise mLSTM: the scans over the steps of a chunk, one to a
// thread, and what follows from them and from the stabilisers before and behind the
// chunk.
#pragma once
#include "cluster.cuh"
#include "mlstm.cuh"

// The numbers of steps and of chunks, of at least one tile, that a block processes at
// once.
#define AT_ONCE 1024
#define CHUNKS (AT_ONCE / TILE)

__device__ inline double bounded(double x) { return max(-0x1p126, min(x, 0x1p126)); }

// log σ(f~), in two parts: a sum of large rounded logarithms and small ones would lose
// the small ones.
__device__ inline double logForget(T f) { return max(min((double)f, 0.0) - (double)log1p(exp(-abs(f))), -1e6); }

#define CHUNK_WARPS 8 // of the longest chunk

// An inclusive scan over the threads of a chunk with an associative operation. room has
// CHUNK_WARPS elements for each y. All threads of the block must take part.
template <class X, class F> __device__ inline X scan(X x, X *room, F add) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    room += threadIdx.y * CHUNK_WARPS;
#pragma unroll
    for (int o = 1; o < 32; o <<= 1) {
        X more = x.up(o);
        if (lane >= o) x = add(more, x);
    }
    if (lane == 31) room[warp] = x;
    __syncthreads();
#pragma unroll
    for (int w = CHUNK_WARPS - 2; w >= 0; w--)
        if (w < warp) x = add(room[w], x);
    __syncthreads();
    return x;
}

// The sum of log σ(f~) in a segment, and the number of segments that have begun.
struct Forget {
    double sum;
    int begins;
    __device__ Forget up(int o) const { return {__shfl_up_sync(~0u, sum, o), __shfl_up_sync(~0u, begins, o)}; }
};

struct Sum {
    double sum;
    __device__ Sum up(int o) const { return {__shfl_up_sync(~0u, sum, o)}; }
};

// The largest u of a segment, and the first step with that u.
struct Highest {
    double u;
    int step, segment;
    __device__ Highest up(int o) const { return {__shfl_up_sync(~0u, u, o), __shfl_up_sync(~0u, step, o), __shfl_up_sync(~0u, segment, o)}; }
};

// The scans up to and with a step, and the step's own u.
struct Scanned {
    Forget forget;
    Highest highest;
    double u;
};

// Scans at most AT_MOST chunks, each of whose steps has a thread: along x the steps, along y the
// chunks. in and f are the step's gates, and begin is whether a document begins at it,
// if `there` is a step.
template <int AT_MOST> __device__ inline Scanned scanSteps(const MLSTM &s, T in, T f, bool there, bool begin) {
    __shared__ Forget forgets[AT_MOST][CHUNK_WARPS];
    __shared__ Sum sums[AT_MOST][CHUNK_WARPS];
    __shared__ Highest highs[AT_MOST][CHUNK_WARPS];
    Forget sum = {there ? logForget(f) : 0, begin};
    if (s.resets) sum = scan(sum, forgets[0], [](Forget a, Forget b) { return Forget{b.begins ? b.sum : a.sum + b.sum, a.begins + b.begins}; });
    else sum.sum = scan(Sum{sum.sum}, sums[0], [](Sum a, Sum b) { return Sum{a.sum + b.sum}; }).sum;
    double u = (double)in - sum.sum;
    u = u == 1.0 / 0.0 ? 0.0 / 0.0 : bounded(u); // relative to an infinite one no share is defined
    Highest top = {u, (int)threadIdx.x, sum.begins};
    top = scan(top, highs[0], [](Highest a, Highest b) { return a.segment == b.segment && !(b.u > a.u) ? Highest{a.u, a.step, b.segment} : b; });
    return {sum, top, u};
}

// The stabiliser behind a chunk of which the last step has these scans; m is the one
// before it.
__device__ inline double behindChunk(const MLSTM &s, const Forget &total, double top, double m) {
    return (double)(T)(total.sum + max(total.begins ? s.begin : m, top));
}

// The gates of a step; see Gates.
struct Gate {
    Log u, top;
    int segment, winner;
    T inter, carry, floor;

    // total is the sum over the chunk, and before and behind are the stabilisers there.
    __device__ Gate(const MLSTM &s, const Scanned &x, const Forget &total, double before, double behind) {
        double begin = x.forget.begins ? s.begin : before, high = bounded(max(begin, x.highest.u));
        u.set(x.u), top.set(high), segment = x.forget.begins, winner = begin >= x.highest.u ? -1 : x.highest.step;
        inter = segment ? (T)0 : (T)s.scaleQ * exp((T)(bounded(before) - high));
        carry = segment == total.begins ? (T)s.scaleK * exp((T)bounded(x.u + total.sum - behind)) : (T)0;
        floor = exp((T)bounded(-x.forget.sum - high));
    }
    __device__ void store(const Gates &g, i64 at) const {
        g.u[at] = u, g.top[at] = top, g.segment[at] = segment, g.winner[at] = winner, g.inter[at] = inter, g.carry[at] = carry, g.floor[at] = floor;
    }
};

// The share of the memory before a chunk in the one behind it.
__device__ inline T keptOf(const Forget &total, double before, double behind) { return total.begins ? (T)0 : exp((T)(before + total.sum - behind)); }

// The stabilisers of an item from the first chunk to the last, and the shares of
// states and inputs. m0 [items] or null; last [items] or null receives the final
// stabiliser. The chunks that are processed at once are those of a cluster of CS
// blocks. Block: the steps of a chunk by chunks; grid: CS, items.
template <int CS> __device__ inline void gatesOf(const MLSTM &s, const T *i, const T *f, const T *m0, T *last, const Gates &g) {
    __shared__ Forget totals[CS * CHUNKS];
    __shared__ double tops[CS * CHUNKS], before[CS * CHUNKS], behind[CS * CHUNKS];
    int item = CS > 1 ? blockIdx.y : blockIdx.x, b = item / s.nh, length = s.tiles * TILE, j = threadIdx.x, n = CS * blockDim.y, y = clusterRank() * blockDim.y + threadIdx.y;
    double m = m0 ? (double)m0[item] : s.begin;
    T in, forget;
    auto load = [&](int t) {
        i64 at = ((i64)b * s.t + min(t, s.t - 1)) * s.nh + item % s.nh;
        in = i[at], forget = f[at];
    };
    load(y * length + j);
    if (CS > 1) clusterBarrier(); // all blocks have begun
    for (int first = 0; first < s.nc; first += n) {
        int c = first + y, t = c * length + j;
        bool there = t < s.t;
        Scanned x = scanSteps<CHUNKS>(s, in, forget, there, there && begins(s.resets, s.t, b, t));
        if (first + n < s.nc) load(t + n * length);
        if (j == min(length, s.t - c * length) - 1) toAll<CS>(totals + y, x.forget), toAll<CS>(tops + y, x.highest.u);
        if (CS > 1) clusterBarrier();
        else __syncthreads();
        int chunks = min(n, s.nc - first);
        if (j == 0 && threadIdx.y == 0)
            for (int k = 0; k < chunks; k++) {
                before[k] = m;
                m = behind[k] = behindChunk(s, totals[k], tops[k], m);
            }
        __syncthreads();
        m = behind[chunks - 1];
        if (there) {
            Gate(s, x, totals[y], before[y], behind[y]).store(g, (i64)item * s.t + t);
            if (j == 0) g.keep[item * s.nc + c] = keptOf(totals[y], before[y], behind[y]);
        }
        if (first + n >= s.nc) break;
        if (CS > 1) clusterBarrier(); // before the next chunks
        else __syncthreads();
    }
    if (last && j == 0 && y == 0) last[item] = (T)m;
}
