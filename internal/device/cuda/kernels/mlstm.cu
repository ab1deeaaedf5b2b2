// The gates of the chunkwise mLSTM and their gradients, and a single step.
#include "mlstm.cuh"

__device__ inline double bounded(double x) { return max(-0x1p126, min(x, 0x1p126)); }

// log σ(f~), in two parts: a sum of large rounded logarithms and small ones would lose
// the small ones.
__device__ inline double logForget(T f) { return max(min((double)f, 0.0) - (double)log1p(exp(-abs(f))), -1e6); }

// The number of steps, whole chunks along y, that a block processes at once.
#define AT_ONCE 512

// An inclusive scan over the threads of a chunk with an associative operation. room has
// 8 elements for each y. All threads of the block must take part.
template <class X, class F> __device__ inline X scan(X x, X *room, F add) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    room += threadIdx.y * 8;
#pragma unroll
    for (int o = 1; o < 32; o <<= 1) {
        X more = x.up(o);
        if (lane >= o) x = add(more, x);
    }
    if (lane == 31) room[warp] = x;
    __syncthreads();
    for (int w = warp - 1; w >= 0; w--) x = add(room[w], x);
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

// The stabilisers of an item from the first chunk to the last, and the shares of
// states and inputs. m0 [items] or null; last [items] or null receives the final
// stabiliser. Block: the steps of a chunk by chunks; grid: items.
KERNEL __launch_bounds__(AT_ONCE) mlstm_gates(MLSTM s, const T *i, const T *f, const T *m0, T *last, Gates g) {
    __shared__ Forget forgets[8][8], totals[8];
    __shared__ Sum sums[8][8];
    __shared__ Highest highs[8][8], tops[8];
    __shared__ double before[8], behind[8];
    int item = blockIdx.x, b = item / s.nh, length = s.tiles * TILE;
    int j = threadIdx.x, y = threadIdx.y;
    double m = m0 ? (double)m0[item] : s.begin;
    for (int first = 0; first < s.nc; first += blockDim.y) {
        int c = first + y, t = c * length + j;
        bool there = t < s.t;
        i64 at = ((i64)b * s.t + (there ? t : s.t - 1)) * s.nh + item % s.nh;
        double in = i[at];
        Forget sum = {there ? logForget(f[at]) : 0, there && begins(s.resets, s.t, b, t)};
        if (s.resets) sum = scan(sum, forgets[0], [](Forget a, Forget b) { return Forget{b.begins ? b.sum : a.sum + b.sum, a.begins + b.begins}; });
        else sum.sum = scan(Sum{sum.sum}, sums[0], [](Sum a, Sum b) { return Sum{a.sum + b.sum}; }).sum;
        double u = in - sum.sum;
        u = u == 1.0 / 0.0 ? 0.0 / 0.0 : bounded(u); // relative to an infinite one no share is defined
        Highest top = {u, j, sum.begins};
        top = scan(top, highs[0], [](Highest a, Highest b) { return a.segment == b.segment && !(b.u > a.u) ? Highest{a.u, a.step, b.segment} : b; });
        int end = min(length, s.t - c * length) - 1;
        if (j == end) totals[y] = sum, tops[y] = top;
        __syncthreads();
        int chunks = min((int)blockDim.y, s.nc - first);
        if (j == 0 && y == 0)
            for (int k = 0; k < chunks; k++) {
                before[k] = m;
                m = behind[k] = (double)(T)(totals[k].sum + max(totals[k].begins ? s.begin : m, tops[k].u));
            }
        __syncthreads();
        m = behind[chunks - 1];
        if (there) {
            i64 out = (i64)item * s.t + t;
            double begin = sum.begins ? s.begin : before[y], high = bounded(max(begin, top.u)), total = totals[y].sum;
            g.u[out].set(u), g.top[out].set(high), g.segment[out] = sum.begins, g.winner[out] = begin >= top.u ? -1 : top.step;
            g.inter[out] = sum.begins ? (T)0 : (T)s.scaleQ * exp((T)(bounded(before[y]) - high));
            g.carry[out] = sum.begins == totals[y].begins ? (T)s.scaleK * exp((T)bounded(u + total - behind[y])) : (T)0;
            g.floor[out] = exp((T)bounded(-sum.sum - high));
            if (j == 0) g.keep[item * s.nc + c] = totals[y].begins ? (T)0 : exp((T)(before[y] + total - behind[y]));
        }
        __syncthreads(); // before the next chunks
    }
    if (last && j == 0 && y == 0) last[item] = (T)m;
}

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
// which a document begins. Block: the steps of a chunk by chunks; grid: items.
KERNEL __launch_bounds__(AT_ONCE) mlstm_gates_grad(MLSTM s, Gates g, GateGrads d) {
    __shared__ double into[8], keeps[8], pairs[8][2 * MOST][MOST], carrieds[8];
    __shared__ Before befores[8][8];
    __shared__ After afters[8][8], chunks[8];
    i64 item = blockIdx.x, b = item / s.nh, h = item % s.nh, steps = (i64)s.b * s.nh * s.t;
    int length = (int)s.tiles * TILE, j = threadIdx.x, y = threadIdx.y, tile = j / TILE, lane = j & 31, warp = j >> 5, warps = length / 32;
    double rest = d.dLast ? (double)d.dLast[item] : 0;
    for (int c1 = s.nc - 1; c1 >= 0; c1 -= blockDim.y) {
        int c = c1 - y, t0 = c * length, l = min(length, s.t - t0), winner = -1;
        i64 at = item * s.t + t0 + j, to = (b * s.t + t0 + j) * s.nh + h;
        bool there = c >= 0 && j < l;
        double in = 0, later = 0, carried = 0, cross = 0;
        T f = there ? d.f[to] : (T)0;
        After after = {0, 0, 0, 0, 0};
        if (there) {
            winner = g.winner[at], cross = d.cross[at];
            int end = g.winner[item * s.t + t0 + l - 1];
            after.back = d.dm[at], after.left = d.left[at], after.cut = winner == j || begins(s.resets, s.t, b, t0 + j);
            for (i64 k = 0; k < d.ofState; k++) after.state += d.fromState[k * steps + at];
            for (i64 k = 0; k < d.ofCarried; k++) carried += d.carried[k * steps + at];
            if (end == j) carried = 0;
            if (j == 0) {
                double kept = 0;
                for (i64 k = 0; k < d.ofKept; k++) kept += d.kept[(item * s.nc + c) * d.ofKept + k];
                keeps[y] = end < 0 ? 0 : (double)g.keep[item * s.nc + c] * kept;
            }
            if (linear(g, d.den, at)) {
                if (winner < 0) after.state = 0;
                after.back -= after.state;
            }
        } else if (j == 0) keeps[y] = 0;
        for (int a = tile; a < s.tiles; a++) {
            double x = there && a * TILE < l ? (double)d.below[a * steps + at] : 0;
            in += x;
            if (a > tile) later += x;
            if (a < tile + 2) continue;
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
        if (j == 0) chunks[y] = after;
        if (j == length - 1) carrieds[y] = before.carried;
        __syncthreads();
        if (j == 0 && y == 0)
            for (int k = 0; k < min((int)blockDim.y, c1 + 1); k++) {
                into[k] = rest - (keeps[k] + carrieds[k]);
                double first = chunks[k].back + (chunks[k].closed ? 0 : into[k]);
                rest = (chunks[k].cut ? 0 : first) + chunks[k].state + keeps[k];
            }
        __syncthreads();
        if (there) {
            double back = after.back + (after.closed ? 0 : into[y]), input = in + carried, around = 0;
            for (int a = tile + 1; a < s.tiles; a++)
                for (int w = 0; w < 2 * tile; w++) around += pairs[y][w][a];
            double forget = cross + left + (before.below - later) + around + after.state + keeps[y] + (before.carried - carried);
            if (winner == j) input += back;
            else forget += back;
            d.di[to] = (T)input;
            d.df[to] = (T)forget * sigmoid(-f);
        }
        __syncthreads(); // before the next chunks
    }
    if (d.dFirst && j == 0 && y == 0) d.dFirst[item] = (T)rest;
}

// A single step, for generation: the gates, the new n and m, and for every item the
// factors of the old C, of k·v, and of what q reads. n and m may share the memory of
// the old ones, which may be null. One block per item.
KERNEL mlstm_step_gates(MLSTM s, const T *q, const T *k, const T *i, const T *f, const T *n, const T *m, T *nextN, T *nextM, T *factors) {
    __shared__ T room[32];
    i64 item = blockIdx.x;
    bool fresh = begins(s.resets, 1, item / s.nh, 0);
    double m0 = fresh ? s.begin : m ? (double)m[item] : s.begin, lf = logForget(f[item]) + m0, it = i[item];
    double top = (double)(T)max(lf, it);
    T keep = fresh || !n ? (T)0 : (T)exp(lf - top), share = (T)(exp(it - top) * s.scaleK), den = 0;
    __syncthreads(); // all threads have read m before one writes it
    for (i64 d = threadIdx.x; d < s.dqk; d += blockDim.x) {
        T x = share * k[item * s.dqk + d];
        if (keep != 0) x += keep * n[item * s.dqk + d];
        nextN[item * s.dqk + d] = x;
        den += q[item * s.dqk + d] * x;
    }
    den = lanesSum(den, room) * (T)s.scaleQ;
    if (threadIdx.x) return;
    nextM[item] = (T)top;
    factors[3 * item] = keep;
    factors[3 * item + 1] = share;
    factors[3 * item + 2] = (T)(s.scaleQ / (max(abs((double)den), exp(-top)) + s.eps));
}

// The new C, which may share the memory of the old one, and h. Block: 32 columns of C
// by 8; grid: columns by 32, items.
KERNEL mlstm_step(MLSTM s, const T *q, const T *k, const T *v, const T *factors, const T *c, T *next, T *h) {
    __shared__ T parts[8][32];
    i64 item = blockIdx.y, e = blockIdx.x * 32 + threadIdx.x;
    T keep = factors[3 * item], share = factors[3 * item + 1], sum = 0;
    if (e < s.dhv) {
        T value = share * v[item * s.dhv + e];
        for (i64 d = threadIdx.y; d < s.dqk; d += 8) {
            i64 at = (item * s.dqk + d) * s.dhv + e;
            T x = k[item * s.dqk + d] * value;
            if (keep != 0) x += keep * c[at];
            next[at] = x;
            sum += q[item * s.dqk + d] * x;
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || e >= s.dhv) return;
    for (int g = 1; g < 8; g++) sum += parts[g][threadIdx.x];
    h[item * s.dhv + e] = factors[3 * item + 2] * sum;
}
