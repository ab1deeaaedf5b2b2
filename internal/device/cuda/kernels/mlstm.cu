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
        sum = scan(sum, forgets[0], [](Forget a, Forget b) { return Forget{b.begins ? b.sum : a.sum + b.sum, a.begins + b.begins}; });
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

// The gradients of the gates of an item, chunk by chunk from the last to the first,
// and, unless null, of the stabiliser before it. The share of step j in row i contains
// log σ(f~_t) exactly if j < t ≤ i. The gradient is the sum over those pairs only: pairs
// within the tile, rows of the tile with steps of earlier tiles, later rows with steps of
// the tile, and later rows with steps of earlier tiles. The gradient of the stabilisers
// flows from a step to the previous one, up to a step whose input set its own or at
// which a document begins. Block: the steps of a chunk by chunks; grid: items.
KERNEL __launch_bounds__(AT_ONCE) mlstm_gates_grad(MLSTM s, Gates g, GateGrads d) {
    __shared__ double lates[AT_ONCE], earlies[AT_ONCE], rests[AT_ONCE], lefts[AT_ONCE], belows[AT_ONCE], into[8], keeps[8], pairs[8][2 * MOST][MOST];
    __shared__ int shuts[AT_ONCE], cuts[8];
    i64 item = blockIdx.x, b = item / s.nh, h = item % s.nh, steps = (i64)s.b * s.nh * s.t;
    int length = (int)s.tiles * TILE, j = threadIdx.x, y = threadIdx.y, tile = j / TILE;
    double *late = lates + y * length, *early = earlies + y * length, *run = rests + y * length, *left = lefts + y * length, *below = belows + y * length;
    int *shut = shuts + y * length;
    double rest = d.dLast ? (double)d.dLast[item] : 0;
    for (int c1 = s.nc - 1; c1 >= 0; c1 -= blockDim.y) {
        int c = c1 - y, t0 = c * length, l = min(length, s.t - t0);
        i64 at = item * s.t + t0 + j;
        bool there = c >= 0 && j < l, through = false;
        int winner = -1;
        double m = 0, in = 0, state = 0, carried = 0, later = 0, sides = 0;
        if (j == 0) keeps[y] = 0;
        shut[j] = 0;
        __syncthreads();
        for (int a = 0; a < s.tiles; a++) {
            double x = there && a >= tile && a * TILE < l ? (double)d.below[a * steps + at] : 0;
            in += x;
            if (a == tile) continue;
            later += x;
            x = warpSum(x);
            if (j % 32 == 0) pairs[y][j / 32][a] = x;
        }
        if (there) {
            winner = g.winner[at], through = linear(g, d.den, at);
            m = d.dm[at], sides = d.left[at];
            for (i64 k = 0; k < d.ofState; k++) state += d.fromState[k * steps + at];
            for (i64 k = 0; k < d.ofCarried; k++) carried += d.carried[k * steps + at];
            int end = g.winner[item * s.t + t0 + l - 1];
            if (end == j) carried = 0;
            if (end >= 0 && j == 0) {
                double kept = 0;
                for (i64 k = 0; k < d.ofKept; k++) kept += d.kept[(item * s.nc + c) * d.ofKept + k];
                keeps[y] = (double)g.keep[item * s.nc + c] * kept;
            }
            if (through) {
                if (winner < 0) state = 0;
                m -= state;
            }
            bool cut = winner == j || begins(s.resets, s.t, b, t0 + j);
            if (j) shut[j - 1] = cut;
            else cuts[y] = cut;
        }
        late[j] = state, early[j] = carried, run[j] = m, left[j] = sides, below[j] = later;
        // late, run and left are sums over later steps, early and below over earlier
        // ones, left and below within the tile.
        for (int o = 1; o < length; o <<= 1) {
            __syncthreads();
            bool after = j + o < length, here = (j + o) / TILE == tile, there = j >= o && (j - o) / TILE == tile;
            double a = after ? late[j + o] : 0, e = j >= o ? early[j - o] : 0, r = after && !shut[j] ? run[j + o] : 0;
            double x = here ? left[j + o] : 0, z = there ? below[j - o] : 0;
            int more = after ? shut[j + o] : 0;
            __syncthreads();
            late[j] += a, early[j] += e, run[j] += r, shut[j] |= more, left[j] += x, below[j] += z;
        }
        __syncthreads();
        int chunks = min((int)blockDim.y, c1 + 1);
        if (j == 0 && y == 0)
            for (int k = 0; k < chunks; k++) {
                into[k] = rest - (keeps[k] + earlies[(k + 1) * length - 1]);
                double first = rests[k * length] + (shuts[k * length] ? 0 : into[k]);
                rest = (cuts[k] ? 0 : first) + lates[k * length] + keeps[k];
            }
        __syncthreads();
        if (there) {
            double back = run[j] + (shut[j] ? 0 : into[y]), input = in + carried, around = 0;
            for (int a = tile + 1; a < s.tiles; a++)
                for (int w = 0; w < 2 * tile; w++) around += pairs[y][w][a];
            double forget = (double)d.cross[at] + left[j] + (below[j] - later) + around + late[j] + keeps[y] + (early[j] - carried);
            if (winner == j) input += back;
            else forget += back;
            i64 to = (b * s.t + t0 + j) * s.nh + h;
            d.di[to] = (T)input;
            d.df[to] = (T)forget * sigmoid(-d.f[to]);
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
