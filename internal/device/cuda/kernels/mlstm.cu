// The chunkwise mLSTM apart from its matrix products: gates, shares, normalisers and
// their gradients, for chunks of CL steps. internal/kernels has the equations.
//
// q, k [b·t,nh·dqk], v, h [b·t,nh·dhv], gates [b·t,nh]. Values per step
// and head are at (item·t + step) with item = b·nh + head, values per chunk at
// item·nc + chunk. Tiles of scores are [CL,CL].
//
// The beginnings of documents divide a chunk into segments; a share between steps of
// different segments is zero. Segment 0 is the one that the state before the chunk
// reaches.
#include "common.cuh"

#define CL 64

struct MLSTM {
    i64 b, t, nh, dqk, dhv, nc;
    double scaleQ, scaleK, eps;
    double begin; // the stabiliser of an absent state
    const i64 *resets;
};

// The vectors of the gates, each of b·nh·t elements, and of the chunks.
struct Gates {
    double *u;   // i~ − the sum of log σ(f~) within the segment, up to and with the step
    double *top; // the running maximum of u in the segment, with the stabiliser before it
    int *segment;
    int *winner; // the chunk's step whose input set the stabiliser, −1 for the previous state
    T *inter; // β·scaleQ
    T *carry; // ā·scaleK
    T *floor; // exp(−m)
    T *keep;  // one per chunk
};

__device__ inline double bounded(double x) { return max(-0x1p126, min(x, 0x1p126)); }
__device__ inline double logForget(double f) { return max(min(f, 0.0) - log1p(exp(-abs(f))), -1e6); }

// The number of chunks, along y, that a block of CL threads along x processes at once.
#define GROUP 8

// The running sums or maxima of x within the segments of a chunk, by a scan over its
// threads that doubles the distance. All threads of the block must take part.
template <bool MAX> __device__ inline void scanSegments(double *x, const int *segment) {
    int j = threadIdx.x;
    for (int o = 1; o < CL; o <<= 1) {
        __syncthreads();
        bool has = j >= o && segment[j - o] == segment[j];
        double more = has ? x[j - o] : 0;
        __syncthreads();
        if (has) x[j] = MAX ? max(x[j], more) : x[j] + more;
    }
}

// The stabilisers of an item from the first chunk to the last, and the shares of
// states and inputs. m0 [items] or null; last [items] receives the final stabiliser.
// Block: CL threads by chunks; grid: items.
KERNEL __launch_bounds__(CL *GROUP) mlstm_gates(MLSTM s, const T *i, const T *f, const T *m0, T *last, Gates g) {
    __shared__ double sums[GROUP][CL], tops[GROUP][CL], before[GROUP], behind[GROUP];
    __shared__ int segments[GROUP][CL], winners[GROUP][CL];
    i64 item = blockIdx.x, b = item / s.nh;
    int j = threadIdx.x, y = threadIdx.y, *segment = segments[y], *winner = winners[y];
    double *sum = sums[y], *top = tops[y], m = m0 ? (double)m0[item] : s.begin;
    for (i64 c0 = 0; c0 < s.nc; c0 += blockDim.y) {
        i64 c = c0 + y, t = c * CL + j, end = min((i64)CL, s.t - c * CL) - 1;
        bool there = t < s.t;
        i64 at = (b * s.t + (there ? t : s.t - 1)) * s.nh + item % s.nh;
        sum[j] = there ? logForget(f[at]) : 0;
        segment[j] = there && begins(s.resets, s.t, b, t);
        for (int o = 1; o < CL; o <<= 1) {
            __syncthreads();
            int more = j >= o ? segment[j - o] : 0;
            __syncthreads();
            segment[j] += more;
        }
        scanSegments<false>(sum, segment);
        double u = (double)i[at] - sum[j];
        top[j] = u = u == 1.0 / 0.0 ? 0.0 / 0.0 : bounded(u); // relative to an infinite one no share is defined
        scanSegments<true>(top, segment);
        __syncthreads();
        int chunks = min((i64)blockDim.y, s.nc - c0);
        for (int k = 0; j == 0 && y == 0 && k < chunks; k++) {
            int e = min((i64)CL, s.t - (c0 + k) * CL) - 1;
            before[k] = m;
            m = behind[k] = (double)(T)(sums[k][e] + max(segments[k][e] ? s.begin : m, tops[k][e]));
        }
        __syncthreads();
        m = behind[chunks - 1];
        int seg = segment[j], to = there ? segment[end] : 0;
        double begin = seg ? s.begin : before[y], high = max(begin, top[j]), total = there ? sum[end] : 0;
        __syncthreads(); // all threads have read the segments' maxima
        top[j] = high;
        __syncthreads();
        bool first = j == 0 || segment[j - 1] != seg;
        winner[j] = (first ? begin : top[j - 1]) >= u ? -1 : j;
        for (int o = 1; o < CL; o <<= 1) {
            __syncthreads();
            int more = j >= o && segment[j - o] == seg ? winner[j - o] : -1;
            __syncthreads();
            winner[j] = max(winner[j], more);
        }
        if (there) {
            i64 out = item * s.t + t;
            high = bounded(high);
            g.u[out] = u, g.top[out] = high, g.segment[out] = seg, g.winner[out] = winner[j];
            g.inter[out] = seg ? (T)0 : (T)(s.scaleQ * exp(bounded(before[y]) - high));
            g.carry[out] = seg == to ? (T)(s.scaleK * exp(bounded(u + total - behind[y]))) : (T)0;
            g.floor[out] = (T)exp(bounded(-sum[j] - high));
            if (j == 0) g.keep[item * s.nc + c] = to ? (T)0 : (T)exp(before[y] + total - behind[y]);
        }
        __syncthreads(); // before the next chunks
    }
    if (j == 0 && y == 0) last[item] = (T)m;
}

// dst = x, each row of a head times its step's factor, and every chunk's addition to
// n: the sum of its rows of dst, each times its weight unless weights is null. x, dst
// [b·t,nh·dqk]; added [chunks,dqk] with one more entry for each item: the sum of
// chunk c is at c + shift. Block: 32 columns by 8; grid: chunks, columns.
KERNEL mlstm_scale_sums(MLSTM s, const T *x, const T *factors, const T *weights, T *dst, T *added, i64 shift) {
    __shared__ T room[8][32];
    i64 item = blockIdx.x / s.nc, c = blockIdx.x % s.nc, t0 = c * CL, l = min((i64)CL, s.t - t0), d = blockIdx.y * 32 + threadIdx.x;
    i64 at = item * s.t + t0, row = ((item / s.nh * s.t + t0) * s.nh + item % s.nh) * s.dqk + d, ld = s.nh * s.dqk;
    T sum = 0;
    if (d < s.dqk) {
#pragma unroll 4
        for (i64 j = threadIdx.y; j < l; j += 8) {
            T y = x[row + j * ld] * factors[at + j];
            dst[row + j * ld] = y;
            sum += weights ? y * weights[at + j] : y;
        }
    }
    room[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || d >= s.dqk) return;
    for (int k = 1; k < 8; k++) sum += room[k][threadIdx.x];
    added[(item * (s.nc + 1) + c + shift) * s.dqk + d] = sum;
}

// A recurrence over the chunks of an item, for `size` elements of a memory. `first`
// and `end` may be null.
struct Recurrence {
    i64 size;
    const T *first;
    T *end, *x;
};

// x_c+1 = keep_c·x_c + x_c+1, in place, from x_0, which is `first` or zero; the last
// one goes to `end`. back: from the last chunk to the first, x_c = keep_c·x_c+1 + x_c.
// Grid: the elements of c and, from block ofN on, of n; items.
KERNEL mlstm_carry(MLSTM s, Recurrence c, Recurrence n, i64 ofN, const T *keep, int back) {
    i64 item = blockIdx.y, block = blockIdx.x;
    if (block >= ofN) block -= ofN, c = n;
    i64 size = c.size, i = block * blockDim.x + threadIdx.x;
    if (i >= size) return;
    T *x = c.x + item * (s.nc + 1) * size + i, sum = c.first ? c.first[item * size + i] : (T)0;
    keep += item * s.nc;
    if (back) {
        x[s.nc * size] = sum;
#pragma unroll 4
        for (i64 k = s.nc - 1; k >= 0; k--) x[k * size] = sum = keep[k] * sum + x[k * size];
    } else {
        x[0] = sum;
#pragma unroll 4
        for (i64 k = 0; k < s.nc; k++) x[(k + 1) * size] = sum = keep[k] * sum + x[(k + 1) * size];
    }
    if (c.end) c.end[item * size + i] = sum;
}

// The gates of a chunk's steps, shared by its rows.
struct Chunk {
    double u[CL];
    int segment[CL];

    __device__ void load(const Gates &g, i64 at, i64 l) {
        if (threadIdx.x < l) u[threadIdx.x] = g.u[at + threadIdx.x], segment[threadIdx.x] = g.segment[at + threadIdx.x];
        __syncthreads();
    }
    // D_ij, the share of step j in the row of step i; top is the row's maximum.
    __device__ T share(int i, int j, double top) const { return segment[i] == segment[j] ? (T)exp((T)(u[j] - top)) : (T)0; }
};

// Whether a row is normalised by |q·n|, so that the gradient flows through it.
__device__ inline bool linear(const Gates &g, const T *den, i64 at) { return abs(den[at]) >= g.floor[at]; }

// The results of the rows of scores: den, the normaliser N; forward also the queries
// β·q/N; backward also G = dh/N, the gradient of den, and that of the stabiliser where
// exp(−m) normalises.
struct Rows {
    const T *q, *n; // n: the memories before the chunks
    T *den, *norm;
    T *queries;
    const T *h, *dh;
    T *grad, *dden, *dm;
};

// A = D⊙(scaled scores) in place; in the forward pass, if queries is given, A/N. One
// warp per row; block: 512 threads; grid: chunks of all items, halves of their rows.
KERNEL __launch_bounds__(512) mlstm_scores(MLSTM s, Gates g, Rows r, T *a) {
    __shared__ Chunk chunk;
    i64 item = blockIdx.x / s.nc, c = blockIdx.x % s.nc, t0 = c * CL, l = min((i64)CL, s.t - t0);
    int lane = threadIdx.x & 31;
    a += blockIdx.x * CL * CL;
    const T *n = r.n + (item * (s.nc + 1) + c) * s.dqk;
    chunk.load(g, item * s.t + t0, l);
    for (int i = (threadIdx.x >> 5) + 16 * blockIdx.y; i < l; i += 32) {
        i64 at = item * s.t + t0 + i, row = (item / s.nh * s.t + t0 + i) * s.nh + item % s.nh;
        const T *q = r.q + row * s.dqk;
        double top = g.top[at];
        T inter = g.inter[at], floor = g.floor[at], score[2], sum = 0, qn = 0;
        for (int k = 0; k < 2; k++) {
            int j = lane + 32 * k;
            score[k] = j <= i ? a[i * CL + j] * chunk.share(i, j, top) : (T)0;
            sum += score[k];
        }
#pragma unroll 4
        for (i64 d = lane; d < s.dqk; d += 32) qn += q[d] * n[d];
        sum = warpSum(sum) + inter * warpSum(qn);
        T big = max(abs(sum), floor) + (T)s.eps;
        for (int k = 0; k < 2; k++) a[i * CL + lane + 32 * k] = r.queries ? score[k] / big : score[k];
        if (lane == 0) r.den[at] = sum, r.norm[at] = big;
        for (i64 d = lane; r.queries && d < s.dqk; d += 32) r.queries[row * s.dqk + d] = q[d] * inter / big;
        if (!r.dh) continue;
        T dots = 0;
#pragma unroll 4
        for (i64 d = lane; d < s.dhv; d += 32) {
            T up = r.dh[row * s.dhv + d];
            dots += up * r.h[row * s.dhv + d];
            r.grad[row * s.dhv + d] = up / big;
        }
        dots = warpSum(dots) / big;
        bool through = abs(sum) >= floor;
        if (lane == 0) {
            r.dden[at] = !through ? (T)0 : signbit(sum) ? dots : -dots;
            r.dm[at] = through ? (T)0 : -dots * (T)s.eps;
        }
    }
}

// P = (dA + dden)⊙D in place of dA, and from W = dA⊙A its column sums and, for every
// step, its sum over the pairs that the step lies between. The stabiliser of a row
// that |q·n| normalises gets minus the row's sum; the share that set it is always 1
// and does not contribute to W. Block: 4·CL threads; grid: chunks of all
// items. a is undivided.
KERNEL __launch_bounds__(4 * CL) mlstm_scores_grad(MLSTM s, Gates g, const T *a, const T *den, const T *dden, T *p, T *dm, T *inputs, T *cross) {
    __shared__ T w[CL][CL + 1], quarters[4][CL];
    __shared__ Chunk chunk;
    i64 item = blockIdx.x / s.nc, t0 = blockIdx.x % s.nc * CL, l = min((i64)CL, s.t - t0);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    a += blockIdx.x * CL * CL;
    p += blockIdx.x * CL * CL;
    chunk.load(g, item * s.t + t0, l);
    for (int i = warp; i < l; i += warps) {
        i64 at = item * s.t + t0 + i;
        bool through = linear(g, den, at);
        double top = g.top[at];
        int winner = through ? g.winner[at] : -1;
        T ofDen = dden[at], row = 0;
        for (int k = 0; k < 2; k++) {
            int j = lane + 32 * k;
            T up = 0, x = 0;
            if (j <= i) {
                up = p[i * CL + j] + ofDen;
                x = j == winner ? (T)0 : up * a[i * CL + j];
                up *= chunk.share(i, j, top);
            }
            p[i * CL + j] = up;
            w[i][j] = x;
            row += x;
        }
        row = warpSum(row);
        if (lane == 0 && through) dm[at] = -row;
    }
    __syncthreads();
    // The sums of each column from every row onwards, by quarters of the rows.
    int j = threadIdx.x % CL, quarter = threadIdx.x / CL, i0 = quarter * CL / 4, i1 = min((i64)i0 + CL / 4, l);
    T sum = 0, later = 0;
    for (int i = i1 - 1; i >= i0; i--) w[i][j] = sum += w[i][j];
    quarters[quarter][j] = sum;
    __syncthreads();
    for (int k = quarter + 1; k < 4; k++) later += quarters[k][j];
    for (int i = i0; i < i1; i++) w[i][j] += later;
    if (quarter == 0 && j < l) inputs[item * s.t + t0 + j] = sum + later;
    __syncthreads();
    for (int i = warp; i < l; i += warps) {
        T before = (lane < i ? w[i][lane] : (T)0) + (lane + 32 < i ? w[i][lane + 32] : (T)0);
        before = warpSum(before);
        if (lane == 0) cross[item * s.t + t0 + i] = before;
    }
}

// The states' part of the gradient of queries or keys.
struct StatePart {
    const T *weights, *more, *n, *y;
    T *x, *dots;
    i64 shift;
};

// x [b·t,nh·dqk] = weights⊙(x + more⊙n) for the chunks' vectors n, of which that of
// chunk c is at c + shift, and dots = ⟨y,x⟩ after that, all by rows; a null
// more stands for ones. One warp per row.
KERNEL mlstm_state_part(MLSTM s, StatePart a) {
    i64 row = (blockIdx.x * (i64)blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (row >= s.b * s.t * s.nh) return;
    i64 head = row % s.nh, r = row / s.nh, t = r % s.t, item = r / s.t * s.nh + head, at = item * s.t + t;
    T w = a.weights[at], more = a.more ? a.more[at] : (T)1, dot = 0;
    const T *n = a.n + (item * (s.nc + 1) + t / CL + a.shift) * s.dqk;
#pragma unroll 4
    for (i64 d = lane; d < s.dqk; d += 32) {
        T sum = w * (a.x[row * s.dqk + d] + more * n[d]);
        a.x[row * s.dqk + d] = sum;
        dot += a.y[row * s.dqk + d] * sum;
    }
    dot = warpSum(dot);
    if (lane == 0) a.dots[at] = dot;
}

// A thread's part of ⟨x_c,y_c+1⟩ for memories of `size` elements.
__device__ inline double memoryDot(i64 size, const T *x, const T *y) {
    double sum = 0;
#pragma unroll 8
    for (i64 d = threadIdx.x; d < size; d += blockDim.x) sum += (double)x[d] * (double)y[size + d];
    return sum;
}

// ⟨C_c,dC_c+1⟩ + ⟨n_c,dn_c+1⟩, one block per chunk.
KERNEL mlstm_memory_dots(MLSTM s, const T *c, const T *dc, const T *n, const T *dn, double *dots) {
    __shared__ double room[32];
    i64 at = blockIdx.x / s.nc * (s.nc + 1) + blockIdx.x % s.nc, size = s.dqk * s.dhv;
    double sum = memoryDot(size, c + at * size, dc + at * size) + memoryDot(s.dqk, n + at * s.dqk, dn + at * s.dqk);
    sum = lanesSum(sum, room);
    if (threadIdx.x == 0) dots[blockIdx.x] = sum;
}

// The operands of mlstm_gates_grad. Per step: dm is the gradient of the
// stabiliser, inputs that of the step's input in the rows, cross that of the pairs
// that its forget gate lies between, fromState that of the initial state's share in
// its row, carried that of its input's share in the memory after the chunk. Per
// chunk: dots is ⟨memory before the chunk, gradient of the memory after it⟩.
struct GateGrads {
    const T *f, *den, *dm, *inputs, *cross, *fromState, *carried;
    const double *dots;
    const T *dLast;
    T *di, *df, *dFirst;
};

// The gradients of the gates of an item, chunk by chunk from the last to the first,
// and, unless null, of the stabiliser before it. The gradient of the stabilisers flows
// from a step to the previous one, up to a step whose input set its own or at which a
// document begins. Block: CL threads by chunks; grid: items.
KERNEL __launch_bounds__(CL *GROUP) mlstm_gates_grad(MLSTM s, Gates g, GateGrads d) {
    __shared__ double lates[GROUP][CL], earlies[GROUP][CL], rests[GROUP][CL], into[GROUP], keeps[GROUP];
    __shared__ int shuts[GROUP][CL], cuts[GROUP];
    i64 item = blockIdx.x, b = item / s.nh, h = item % s.nh;
    int j = threadIdx.x, y = threadIdx.y, *shut = shuts[y];
    double *late = lates[y], *early = earlies[y], *run = rests[y], rest = d.dLast ? (double)d.dLast[item] : 0;
    for (i64 c1 = s.nc - 1; c1 >= 0; c1 -= blockDim.y) {
        i64 c = c1 - y, t0 = c * CL, l = min((i64)CL, s.t - t0), at = item * s.t + t0 + j;
        bool there = c >= 0 && j < l, through = false;
        int winner = -1;
        T m = 0, in = 0, state = 0, carried = 0;
        if (j == 0) keeps[y] = 0;
        shut[j] = 0;
        __syncthreads();
        if (there) {
            winner = g.winner[at], through = linear(g, d.den, at);
            m = d.dm[at], in = d.inputs[at], state = d.fromState[at], carried = d.carried[at];
            int end = g.winner[item * s.t + t0 + l - 1];
            if (end == j) carried = 0;
            if (end >= 0 && j == 0) keeps[y] = (double)g.keep[item * s.nc + c] * d.dots[item * s.nc + c];
            if (through) {
                if (winner < 0) state = 0;
                m -= state;
            }
            bool cut = winner == j || begins(s.resets, s.t, b, t0 + j);
            if (j) shut[j - 1] = cut;
            else cuts[y] = cut;
        }
        late[j] = state, early[j] = carried, run[j] = m;
        for (int o = 1; o < CL; o <<= 1) { // late and run are sums over later steps, early over earlier ones
            __syncthreads();
            bool has = j + o < CL;
            double a = has ? late[j + o] : 0, e = j >= o ? early[j - o] : 0, r = has && !shut[j] ? run[j + o] : 0;
            int more = has ? shut[j + o] : 0;
            __syncthreads();
            late[j] += a, early[j] += e, run[j] += r, shut[j] |= more;
        }
        __syncthreads();
        int chunks = min((i64)blockDim.y, c1 + 1);
        for (int k = 0; j == 0 && y == 0 && k < chunks; k++) {
            into[k] = rest - (keeps[k] + earlies[k][CL - 1]);
            double first = rests[k][0] + (shuts[k][0] ? 0 : into[k]);
            rest = (cuts[k] ? 0 : first) + lates[k][0] + keeps[k];
        }
        __syncthreads();
        if (there) {
            double back = run[j] + (shut[j] ? 0 : into[y]), input = (double)in + (double)carried;
            double forget = (double)d.cross[at] + late[j] + keeps[y] + (early[j] - (double)carried);
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

// Lists of addresses for products of all chunks at once: entry (chunk, item) is
// base + (sequence·ofB + head·ofHead + chunk·ofChunk) elements, chunk by chunk.
#define LISTS 20
struct Lists {
    T *base[LISTS];
    i64 ofB[LISTS], ofHead[LISTS], ofChunk[LISTS];
    i64 count;
};

KERNEL mlstm_lists(MLSTM s, Lists lists, T **out) {
    i64 items = s.b * s.nh, n = items * s.nc;
    EACH(i, lists.count * n) {
        i64 k = i / n, c = i % n / items, item = i % items;
        out[i] = lists.base[k] + item / s.nh * lists.ofB[k] + item % s.nh * lists.ofHead[k] + c * lists.ofChunk[k];
    }
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
