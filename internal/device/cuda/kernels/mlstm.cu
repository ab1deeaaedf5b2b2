// What the chunkwise mLSTM does besides products of matrices: gates, shares,
// normalisers and their gradients, for chunks of CL steps. internal/kernels has
// the equations.
//
// q, k [b·t,nh·dqk], v, h [b·t,nh·dhv], gates [b·t,nh]. What belongs to one step of
// one head is at (item·t + step) with item = b·nh + head, what belongs to a chunk at
// item·nc + chunk. Tiles of scores are [CL,CL].
//
// Where documents begin within a chunk, it falls into segments; a share between
// steps of different segments is zero. Segment 0 is the one that the state before
// the chunk reaches.
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
    double *sum; // of log σ(f~) within the segment, up to and with the step
    double *u;   // i~ − sum
    double *top; // the running maximum of u in the segment; after mlstm_shares with the stabiliser before it
    int *segment;
    int *winner; // the chunk's step whose input set the stabiliser, −1 for the state before
    T *inter; // β·scaleQ
    T *carry; // ā·scaleK
    T *floor; // exp(−m)
    double *m0, *last; // of every chunk: the stabiliser before and behind it
    T *keep;
};

__device__ inline double bounded(double x) { return max(-0x1p126, min(x, 0x1p126)); }
__device__ inline double logForget(double f) { return max(min(f, 0.0) - log1p(exp(-abs(f))), -1e6); }

// Sums, u and its maxima within the segments of a chunk. Block: CL threads; grid:
// chunks of all items.
KERNEL mlstm_gates(MLSTM s, const T *i, const T *f, Gates g) {
    __shared__ double sum[CL], top[CL];
    __shared__ int seg[CL];
    i64 item = blockIdx.x / s.nc, t0 = blockIdx.x % s.nc * CL, b = item / s.nh, j = threadIdx.x, t = t0 + j;
    bool there = t < s.t;
    i64 at = (b * s.t + (there ? t : s.t - 1)) * s.nh + item % s.nh;
    sum[j] = there ? logForget(f[at]) : 0;
    seg[j] = there && begins(s.resets, s.t, b, t);
    // Scans over the steps, doubling the distance.
    for (int o = 1; o < CL; o <<= 1) {
        __syncthreads();
        int more = j >= o ? seg[j - o] : 0;
        __syncthreads();
        seg[j] += more;
    }
    for (int o = 1; o < CL; o <<= 1) {
        __syncthreads();
        double more = j >= o && seg[j - o] == seg[j] ? sum[j - o] : 0;
        __syncthreads();
        sum[j] += more;
    }
    double u = (double)i[at] - sum[j];
    top[j] = u = u == 1.0 / 0.0 ? 0.0 / 0.0 : bounded(u); // no share is defined relative to an infinite one
    for (int o = 1; o < CL; o <<= 1) {
        __syncthreads();
        double more = j >= o && seg[j - o] == seg[j] ? top[j - o] : top[j];
        __syncthreads();
        top[j] = max(top[j], more);
    }
    if (!there) return;
    i64 to = item * s.t + t;
    g.sum[to] = sum[j], g.u[to] = u, g.top[to] = top[j], g.segment[to] = seg[j];
}

// The stabilisers between the chunks: a thread an item. m0 [items] or null; last
// [items] receives the final one.
KERNEL mlstm_stabilisers(MLSTM s, const T *m0, T *last, Gates g) {
    EACH(item, s.b * s.nh) {
        double m = m0 ? (double)m0[item] : s.begin;
        for (i64 c = 0; c < s.nc; c++) {
            i64 end = item * s.t + min(s.t, (c + 1) * CL) - 1;
            g.m0[item * s.nc + c] = m;
            m = (double)(T)(g.sum[end] + max(g.segment[end] ? s.begin : m, g.top[end]));
            g.last[item * s.nc + c] = m;
        }
        last[item] = (T)m;
    }
}

// The shares of states and inputs. Block: CL threads; grid: chunks of all items.
KERNEL mlstm_shares(MLSTM s, Gates g) {
    __shared__ double tops[CL];
    __shared__ int segments[CL], winner[CL];
    i64 item = blockIdx.x / s.nc, t0 = blockIdx.x % s.nc * CL, t = t0 + threadIdx.x;
    i64 at = item * s.t + min(t, s.t - 1), end = item * s.t + min(s.t, t0 + CL) - 1;
    double m0 = g.m0[blockIdx.x], last = g.last[blockIdx.x];
    int j = threadIdx.x, to = g.segment[end], seg = g.segment[at];
    if (j == 0) g.keep[blockIdx.x] = to ? (T)0 : (T)exp(m0 + g.sum[end] - last);
    double begin = seg ? s.begin : m0, top = max(begin, g.top[at]);
    tops[j] = top;
    segments[j] = seg;
    __syncthreads(); // all have read the segment's maxima, too
    bool first = j == 0 || segments[j - 1] != seg;
    winner[j] = (first ? begin : tops[j - 1]) >= g.u[at] ? -1 : j;
    for (int o = 1; o < CL; o <<= 1) {
        __syncthreads();
        int more = j >= o && segments[j - o] == seg ? winner[j - o] : -1;
        __syncthreads();
        winner[j] = max(winner[j], more);
    }
    if (t >= s.t) return;
    g.winner[at] = winner[j];
    g.top[at] = top = bounded(top);
    g.inter[at] = seg ? (T)0 : (T)(s.scaleQ * exp(bounded(m0) - top));
    g.carry[at] = seg == to ? (T)(s.scaleK * exp(bounded(g.u[at] + g.sum[end] - last))) : (T)0;
    g.floor[at] = (T)exp(bounded(-g.sum[at] - top));
}

// dst = x with the rows of each head times its steps' factors, over norm unless
// that is null.
KERNEL mlstm_scale_rows(MLSTM s, const T *x, i64 width, const T *factors, const T *norm, T *dst) {
    EACH(i, s.b * s.t * s.nh * width) {
        i64 h = i / width % s.nh, r = i / width / s.nh, at = (r / s.t * s.nh + h) * s.t + r % s.t;
        T y = x[i] * factors[at];
        dst[i] = norm ? y / norm[at] : y;
    }
}

// What a chunk adds to n, Σ_j factors_j·weights_j·x_j, x [b·t,nh·dqk]; weights may be
// null. added [chunks,dqk], by chunk and one further for each item: the sums of
// chunk c at c + shift. A block a chunk.
KERNEL mlstm_vector_sums(MLSTM s, const T *x, const T *factors, const T *weights, T *added, i64 shift) {
    i64 item = blockIdx.x / s.nc, c = blockIdx.x % s.nc, t0 = c * CL, l = min((i64)CL, s.t - t0);
    const T *row = x + ((item / s.nh * s.t + t0) * s.nh + item % s.nh) * s.dqk;
    for (i64 d = threadIdx.x; d < s.dqk; d += blockDim.x) {
        T sum = 0;
        for (i64 j = 0; j < l; j++) {
            T w = factors[item * s.t + t0 + j];
            if (weights) w *= weights[item * s.t + t0 + j];
            sum += w * row[j * s.nh * s.dqk + d];
        }
        added[(item * (s.nc + 1) + c + shift) * s.dqk + d] = sum;
    }
}

// The recurrence over the chunks of an item, for `size` elements of a memory:
// x_c+1 = keep_c·x_c + x_c+1, in place, from x_0, which is `first` or zero; the last
// one goes to `end` unless that is null. Grid: elements, items.
KERNEL mlstm_carry(MLSTM s, i64 size, const T *first, T *end, const T *keep, T *x) {
    i64 item = blockIdx.y;
    x += item * (s.nc + 1) * size;
    EACH(i, size) {
        T sum = first ? first[item * size + i] : (T)0;
        x[i] = sum;
        for (i64 c = 0; c < s.nc; c++) x[(c + 1) * size + i] = sum = keep[item * s.nc + c] * sum + x[(c + 1) * size + i];
        if (end) end[item * size + i] = sum;
    }
}

// The same from the last chunk to the first: x_c = keep_c·x_c+1 + x_c.
KERNEL mlstm_carry_back(MLSTM s, i64 size, const T *last, T *begin, const T *keep, T *x) {
    i64 item = blockIdx.y;
    x += item * (s.nc + 1) * size;
    EACH(i, size) {
        T sum = last ? last[item * size + i] : (T)0;
        x[s.nc * size + i] = sum;
        for (i64 c = s.nc - 1; c >= 0; c--) x[c * size + i] = sum = keep[item * s.nc + c] * sum + x[c * size + i];
        if (begin) begin[item * size + i] = sum;
    }
}

// D_ij, the share of the step at `from` in the row at `to`.
__device__ inline T share(const Gates &g, i64 to, i64 from) {
    return g.segment[to] == g.segment[from] ? (T)exp((T)(g.u[from] - g.top[to])) : (T)0;
}

// A = D⊙(scaled scores) in place, den and the normaliser N; with divide, A/N. A warp a row; a
// block a chunk. n holds the memories n before the chunks.
KERNEL mlstm_scores(MLSTM s, Gates g, const T *q, const T *n, T *a, T *den, T *norm, int divide) {
    i64 item = blockIdx.x / s.nc, c = blockIdx.x % s.nc, t0 = c * CL, l = min((i64)CL, s.t - t0);
    int lane = threadIdx.x & 31;
    a += blockIdx.x * CL * CL;
    n += (item * (s.nc + 1) + c) * s.dqk;
    for (i64 i = threadIdx.x >> 5; i < l; i += blockDim.x >> 5) {
        i64 at = item * s.t + t0 + i;
        const T *qi = q + ((item / s.nh * s.t + t0 + i) * s.nh + item % s.nh) * s.dqk;
        T sum = 0, qn = 0;
        for (i64 j = lane; j <= i; j += 32) sum += a[i * CL + j] *= share(g, at, item * s.t + t0 + j);
        for (i64 d = lane; d < s.dqk; d += 32) qn += qi[d] * n[d];
        sum = warpSum(sum) + g.inter[at] * warpSum(qn);
        T big = max(abs(sum), g.floor[at]) + (T)s.eps;
        for (i64 j = lane; j < CL; j += 32) {
            if (j > i) a[i * CL + j] = 0;
            else if (divide) a[i * CL + j] /= big;
        }
        if (lane == 0) den[at] = sum, norm[at] = big;
    }
}

// Whether a row is normalised by its |q·n|, so that the gradient flows through it.
__device__ inline bool linear(const Gates &g, const T *den, i64 at) { return abs(den[at]) >= g.floor[at]; }

// G = dh/N, the gradient of den, and that of the stabiliser where exp(−m)
// normalises: a warp a row.
KERNEL mlstm_rows_grad(MLSTM s, Gates g, const T *h, const T *dh, const T *den, const T *norm, T *grad, T *dden, T *dm) {
    i64 row = (blockIdx.x * (i64)blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (row >= s.b * s.t * s.nh) return;
    i64 head = row % s.nh, r = row / s.nh, at = (r / s.t * s.nh + head) * s.t + r % s.t;
    T sum = 0, big = norm[at];
    for (i64 d = lane; d < s.dhv; d += 32) {
        T up = dh[row * s.dhv + d];
        sum += up * h[row * s.dhv + d];
        grad[row * s.dhv + d] = up / big;
    }
    sum = warpSum(sum) / big;
    if (lane) return;
    bool through = linear(g, den, at);
    dden[at] = !through ? (T)0 : signbit(den[at]) ? sum : -sum;
    dm[at] = through ? (T)0 : -sum * (T)s.eps;
}

// P = (dA + dden)⊙D in place of dA, and from W = dA⊙A its column sums and, for every
// step, its sum over the pairs that the step lies between. The stabiliser of a row
// that |q·n| normalises gets minus the row's sum; the share that set it is 1
// whatever the gates, and has no part in W. Block: CL threads; grid: chunks of all
// items. a is undivided.
KERNEL mlstm_scores_grad(MLSTM s, Gates g, const T *a, const T *den, const T *dden, T *p, T *dm, T *inputs, T *cross) {
    __shared__ T room[32], more[32];
    i64 item = blockIdx.x / s.nc, t0 = blockIdx.x % s.nc * CL, l = min((i64)CL, s.t - t0), j = threadIdx.x;
    a += blockIdx.x * CL * CL;
    p += blockIdx.x * CL * CL;
    T column = 0;
    for (i64 i = l - 1; i >= 0; i--) {
        i64 at = item * s.t + t0 + i;
        bool through = linear(g, den, at);
        T up = 0, w = 0;
        if (j <= i) {
            up = p[i * CL + j] + dden[at];
            w = through && j == g.winner[at] ? (T)0 : up * a[i * CL + j];
            up *= share(g, at, item * s.t + t0 + j);
        }
        p[i * CL + j] = up;
        column += w;
        T row = lanesSum(w, more), before = lanesSum(j < i ? column : (T)0, room);
        if (j) continue;
        if (through) dm[at] = -row;
        cross[at] = before;
    }
    if (j < l) inputs[item * s.t + t0 + j] = column;
}

// x [b·t,nh·dqk] += the outer product of weights (times more, unless null) and the
// chunks' vectors n, and dots = ⟨y,x⟩ after that, all by rows. A warp a row. The
// vector of chunk c is at c + shift.
KERNEL mlstm_add_vector(MLSTM s, const T *weights, const T *more, const T *n, i64 shift, const T *y, T *x, T *dots) {
    i64 row = (blockIdx.x * (i64)blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
    if (row >= s.b * s.t * s.nh) return;
    i64 head = row % s.nh, r = row / s.nh, t = r % s.t, item = r / s.t * s.nh + head, at = item * s.t + t;
    T w = weights[at], dot = 0;
    if (more) w *= more[at];
    n += (item * (s.nc + 1) + t / CL + shift) * s.dqk;
    for (i64 d = lane; d < s.dqk; d += 32) {
        T sum = x[row * s.dqk + d] + w * n[d];
        x[row * s.dqk + d] = sum;
        dot += y[row * s.dqk + d] * sum;
    }
    dot = warpSum(dot);
    if (lane == 0) dots[at] = dot;
}

// ⟨x_c,y_c+1⟩ for memories of `size` elements, added to what is there if `more`. A
// block a chunk.
KERNEL mlstm_memory_dots(MLSTM s, i64 size, const T *x, const T *y, double *dots, int more) {
    __shared__ double room[32];
    i64 item = blockIdx.x / s.nc, c = blockIdx.x % s.nc;
    x += (item * (s.nc + 1) + c) * size;
    y += (item * (s.nc + 1) + c + 1) * size;
    double sum = 0;
    for (i64 d = threadIdx.x; d < size; d += blockDim.x) sum += (double)x[d] * (double)y[d];
    sum = lanesSum(sum, room);
    if (threadIdx.x == 0) dots[blockIdx.x] = more ? dots[blockIdx.x] + sum : sum;
}

// The gradients of the gates, from the last step of an item to its first, and,
// unless null, of the stabiliser before it. By steps: dm is the gradient of the
// stabiliser, inputs that of the step's input in the rows, cross that of the pairs
// that its forget gate lies between, fromState that of the initial state's share in
// its row, carried that of its input's share in the memory behind the chunk. dots
// are ⟨memory before the chunk, gradient of the memory behind⟩. A block of CL
// threads an item; one of them adds up.
KERNEL mlstm_gates_grad(MLSTM s, Gates g, const T *f, const T *den, const T *dm, const T *inputs, const T *cross, const T *fromState, const T *carried,
                        const double *dots, const T *dLast, T *di, T *df, T *dFirst) {
    __shared__ T rowM[CL], rowI[CL], rowX[CL], rowS[CL], rowC[CL];
    __shared__ int winner[CL], fresh[CL], through[CL];
    i64 item = blockIdx.x, b = item / s.nh, h = item % s.nh;
    int j = threadIdx.x;
    double rest = dLast ? (double)dLast[item] : 0;
    for (i64 c = s.nc - 1; c >= 0; c--) {
        i64 t0 = c * CL, l = min((i64)CL, s.t - t0);
        if (j < l) {
            i64 at = item * s.t + t0 + j;
            rowM[j] = dm[at], rowI[j] = inputs[at], rowX[j] = cross[at], rowS[j] = fromState[at], rowC[j] = carried[at];
            winner[j] = g.winner[at];
            fresh[j] = begins(s.resets, s.t, b, t0 + j);
            through[j] = linear(g, den, at);
        }
        __syncthreads();
        if (j == 0) {
            double kept = (double)g.keep[item * s.nc + c] * dots[item * s.nc + c], earlier, late = 0;
            if (winner[l - 1] >= 0) rowC[winner[l - 1]] = 0;
            else kept = 0;
            earlier = kept;
            for (i64 i = 0; i < l; i++) earlier += (double)rowC[i];
            rest -= earlier;
            for (i64 i = l - 1; i >= 0; i--) {
                if (through[i]) {
                    if (winner[i] < 0) rowS[i] = 0;
                    rowM[i] -= rowS[i];
                }
                late += (double)rowS[i];
                earlier -= (double)rowC[i];
                rest += (double)rowM[i];
                double in = (double)rowI[i] + (double)rowC[i], forget = (double)rowX[i] + late + earlier;
                if (winner[i] != i) forget += rest;
                else in += rest, rest = 0;
                if (fresh[i]) rest = 0;
                rowI[i] = (T)in, rowX[i] = (T)forget;
            }
            rest += late + kept;
        }
        __syncthreads();
        if (j < l) {
            i64 at = (b * s.t + t0 + j) * s.nh + h;
            di[at] = rowI[j];
            df[at] = rowX[j] * sigmoid(-f[at]);
        }
        __syncthreads();
    }
    if (dFirst && j == 0) dFirst[item] = (T)rest;
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

// A single step, as generation takes it: the gates, the new n and m, and for every
// item what C is kept by, what k·v is added by, and what q reads by. n and m may be
// in the memory of the old ones, which may be null. A block an item.
KERNEL mlstm_step_gates(MLSTM s, const T *q, const T *k, const T *i, const T *f, const T *n, const T *m, T *nextN, T *nextM, T *factors) {
    __shared__ T room[32];
    i64 item = blockIdx.x;
    bool fresh = begins(s.resets, 1, item / s.nh, 0);
    double m0 = fresh ? s.begin : m ? (double)m[item] : s.begin, lf = logForget(f[item]) + m0, it = i[item];
    double top = (double)(T)max(lf, it);
    T keep = fresh || !n ? (T)0 : (T)exp(lf - top), share = (T)(exp(it - top) * s.scaleK), den = 0;
    __syncthreads(); // all have read m before one writes it
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

// The new C, which may be in the memory of the old one, and h. Block: 32 columns of C
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
