// The matrix products of the chunkwise mLSTM, for all cards and all widths: the
// memories between chunks, the outputs, and the gradients.
#pragma once
#include "mlstm.cuh"
#include "tiles.cuh"

extern __shared__ __align__(16) char room[];

// The tile of steps that a block processes: tile r of chunk c of an item.
struct Place {
    int item, c, r, b, head, t0, c0, rows, length; // t0: the tile's first step, c0: the chunk's; length: of a chunk
    i64 step, chunk;                               // the indices of values of the tile's first step and of the chunk

    __device__ Place(const MLSTM &s, int block) {
        int all = (s.t + TILE - 1) / TILE;
        set(s, block / all, block % all);
    }
    // For blocks whose work grows with r. The last tile of a chunk comes first. If
    // every item is a single chunk, all blocks may run at the same time, and the order
    // puts a large and a small one on each processor.
    __device__ Place(const MLSTM &s) {
        int all = (s.t + TILE - 1) / TILE, block = gridDim.x - 1 - blockIdx.x, items = s.b * s.nh, rank = blockIdx.x / items, half = (all + 1) / 2;
        if (s.nc > 1) set(s, block / all, block % all);
        else set(s, blockIdx.x % items, rank < half ? all - 1 - rank : rank - half);
    }
    __device__ void set(const MLSTM &s, int i, int tile) {
        item = i, b = item / s.nh, head = item % s.nh;
        c = tile / s.tiles, r = tile % s.tiles, length = s.tiles * TILE;
        c0 = c * length, t0 = tile * TILE, rows = min(TILE, s.t - t0);
        step = (i64)item * s.t + t0, chunk = (i64)item * s.nc + c;
    }
    // The head's row of step t in an array [b·t,nh·width].
    template <class X> __device__ X *in(X *x, const MLSTM &s, int width, int t) const {
        return x + (((i64)b * s.t + t) * s.nh + head) * width;
    }
};

__device__ inline int deep(int width) { return (width + DEEP - 1) / DEEP; }

// The operands of mlstm_states: C += Σ w·x·yᵀ, n += Σ wn·x. A null firstC or firstN
// stands for zeros; results with a null address are not computed.
struct Borders {
    const T *x, *y;
    const T *w, *wn;
    const T *firstC, *firstN;
    T *c, *n; // before every chunk or, with `back`, after it
    T *lastC, *lastN;
};

// The recurrence of the memory over the chunks: x_c+1 = keep_c·x_c + the chunk's sums,
// or, with `back`, from the last chunk to the first. A block holds a tile of C. Grid:
// tiles of all items.
KERNEL __launch_bounds__(THREADS, 2) mlstm_states(MLSTM s, const T *keep, Borders m, int back) {
    constexpr int AHEAD = 2;
    T *slots = (T *)room, *weights = slots + 2 * (AHEAD + 1) * SLICE, *parts = weights + 2 * (AHEAD + 1) * DEEP;
    int across = (s.dhv + TILE - 1) / TILE, tiles = (s.dqk + TILE - 1) / TILE * across;
    int item = blockIdx.x / tiles, d0 = blockIdx.x % tiles / across * TILE, e0 = blockIdx.x % across * TILE;
    int b = item / s.nh, head = item % s.nh, ldx = s.nh * s.dqk, ldy = s.nh * s.dhv;
    int rows = min(TILE, s.dqk - d0), cols = min(TILE, s.dhv - e0), per = s.tiles * TILE / DEEP;
    i64 size = (i64)s.dqk * s.dhv, tile = (i64)d0 * s.dhv + e0;
    bool last = m.lastC || m.lastN, ofN = e0 == 0;
    Matrix x(m.x + ((i64)b * s.t * s.nh + head) * s.dqk + d0, ldx, s.dqk), y(m.y + ((i64)b * s.t * s.nh + head) * s.dhv + e0, ldy, s.dhv);
    Counter loaded(per), used(per);
    const T *w = m.w + (i64)item * s.t, *wn = m.wn + (i64)item * s.t;
    int d = threadIdx.x % TILE, quarter = threadIdx.x / TILE;
    Sums sum;
    T n = m.firstN && quarter == 0 && d < rows ? m.firstN[(i64)item * s.dqk + d0 + d] : (T)0;
    sum.clear();
    if (m.firstC) {
        const T *first = m.firstC + item * size + tile;
        sum.each([&](T &x, T &y, int k, int n) {
            const T *from = first + (i64)sum.row(k) * s.dhv + sum.column(n);
            if (sum.row(k) >= rows) return;
            if (sum.column(n) < cols) x = from[0];
            if (sum.column(n) + 1 < cols) y = from[1];
        });
    }
    auto store = [&](T *c, T *ns) {
        if (c) sum.store(c + tile, s.dhv, rows, cols);
        if (!ofN || !ns) return;
        parts[threadIdx.x] = n;
        __syncthreads();
        if (quarter == 0 && d < rows) ns[d0 + d] = (parts[d] + parts[TILE + d]) + (parts[2 * TILE + d] + parts[3 * TILE + d]);
        __syncthreads();
    };
    auto chunk = [&](int i) { return back ? s.nc - 1 - i : i; };
    auto border = [&](int i) {
        i64 at = (i64)item * s.nc + chunk(i);
        store(m.c ? m.c + at * size : nullptr, m.n ? m.n + at * s.dqk : nullptr);
    };
    stream<AHEAD>((last ? s.nc : s.nc - 1) * per, [&](int i, int place) {
        int t = chunk(loaded.part) * s.tiles * TILE + loaded.in * DEEP, there = s.t - t, k = threadIdx.x % DEEP;
        T *slot = slots + place * 2 * SLICE;
        loaded.next();
        load<DEEP, TILE, ACROSS>(slot, x, (i64)t * ldx, there, rows);
        load<DEEP, TILE, ACROSS>(slot + SLICE, y, (i64)t * ldy, there, cols);
        if (threadIdx.x < 2 * DEEP) fetch<sizeof(T)>(shared(weights + place * 2 * DEEP + threadIdx.x), k < there ? (threadIdx.x < DEEP ? w : wn) + t + k : w, k < there);
    }, [&](int i, int place) {
        const T *slot = slots + place * 2 * SLICE, *ws = weights + place * 2 * DEEP;
        if (used.in == 0) {
            border(used.part);
            T kept = keep[(i64)item * s.nc + chunk(used.part)];
            sum.each([&](T &x, T &y, int, int) { x *= kept, y *= kept; });
            n *= kept;
        }
        used.next();
        product<true, true, true>(sum, slot, ACROSS, slot + SLICE, ACROSS, ws);
        if (ofN)
#pragma unroll
            for (int k = quarter * (DEEP / 4), e = 0; e < DEEP / 4; e++) n += ws[DEEP + k + e] * slot[(k + e) * ACROSS + d];
    });
    if (last) store(m.lastC ? m.lastC + item * size : nullptr, m.lastN ? m.lastN + (i64)item * s.dqk : nullptr);
    else border(s.nc - 1);
}

// The scores A = D⊙(scaled q·k) of a tile of rows, in shared memory, with all steps of
// the chunk up to the tile's end, and den.
struct Scores {
    Place at;
    T *slots, *a, *parts, *den, *inverse, *qn; // parts: four times TILE
    Log *u;
    int *segment;
    int ld, slices; // row distance of A; slices of a product q·k
    Matrix q, k;
    Counter loaded, used;
    const T *n;          // the memory before the chunk, or null
    bool resets;
    Log top[4];          // of the thread's rows
    int segments[4];
    T sum[4], scale, dotN;
    Sums acc;

    __device__ Scores(const MLSTM &s, const Gates &g, const T *qs, const T *ks, const T *ns)
        : at(s), slices(deep(s.dqk)), q(at.in(qs, s, s.dqk, at.t0), s.nh * s.dqk, s.dqk), k(at.in(ks, s, s.dqk, at.c0), s.nh * s.dqk, s.dqk), loaded(slices), used(slices) {
        ld = at.length + 4, scale = (T)(s.scaleQ * s.scaleK), dotN = 0, resets = s.resets;
        slots = (T *)room, a = slots + 4 * SLICE, parts = a + TILE * ld, den = parts + 4 * TILE, inverse = den + TILE, qn = inverse + TILE;
        u = (Log *)(qn + TILE), segment = (int *)(u + at.length);
        n = ns ? ns + at.chunk * s.dqk : nullptr;
        i64 first = at.step - at.r * TILE;
        for (int j = threadIdx.x; j < (at.r + 1) * TILE; j += THREADS) {
            bool has = at.c0 + j < s.t;
            u[j] = g.u[first + (has ? j : 0)];
            segment[j] = resets && has ? g.segment[first + j] : 0;
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            bool has = acc.row(e) < at.rows;
            i64 step = at.step + (has ? acc.row(e) : 0);
            top[e] = g.top[step], segments[e] = resets ? g.segment[step] : 0, sum[e] = 0;
            if (!has) top[e].high = (T)3e38; // no share
        }
        acc.clear();
    }
    __device__ int products() const { return (at.r + 1) * slices; }
    // D for the rows and tile j of the chunk.
    __device__ void shares(Sums &d, int j) const {
        Log us[4];
        int begun[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int step = j * TILE + acc.column(e >> 1) + (e & 1);
            us[e] = u[step], begun[e] = resets ? segment[step] : 0;
        }
        d.each([&](T &x, T &y, int k, int n) {
            x = quotient(us[n * 2], top[k]), y = quotient(us[n * 2 + 1], top[k]);
            if (resets) {
                if (begun[n * 2] != segments[k]) x = 0;
                if (begun[n * 2 + 1] != segments[k]) y = 0;
            }
            if (j < at.r) return;
            if (acc.column(n) > acc.row(k)) x = 0;
            if (acc.column(n) + 1 > acc.row(k)) y = 0;
        });
    }
    // Loads the next slices of the rows and of a tile of the chunk.
    __device__ void fetchSlices(const MLSTM &s, Matrix left, Matrix right, int width, int place) {
        int j = loaded.part * TILE, d = loaded.in * DEEP;
        T *slot = slots + place * 2 * SLICE;
        load<TILE, DEEP, ALONG>(slot, left, d, at.rows, width - d);
        load<TILE, DEEP, ALONG>(slot + SLICE, right, (i64)j * right.ld + d, s.t - at.c0 - j, width - d);
        loaded.next();
    }
    __device__ void multiply(int place) {
        const T *slot = slots + place * 2 * SLICE;
        product<false, false, false>(acc, slot, ALONG, slot + SLICE, ALONG, nullptr);
    }
    // A quarter of the dot product of a row with y over the slice at d; four threads
    // share a row.
    __device__ T rowDot(int place, const T *y, int d, int width) const {
        int k0 = threadIdx.x % 4 * (DEEP / 4);
        const T *row = slots + place * 2 * SLICE + threadIdx.x / 4 * ALONG + k0;
        T dot = 0;
        for (int k = 0; k < DEEP / 4 && d + k0 + k < width; k++) dot += row[k] * y[d + k0 + k];
        return dot;
    }
    // Adds the slice at d to q·n.
    __device__ void ofMemory(const MLSTM &s, int place, int d) {
        if (n) dotN += rowDot(place, n, d, s.dqk);
    }
    // Turns the product with tile j into A.
    __device__ void keep(const Sums &share, int j) {
        acc.each([&](T &x, T &y, int k, int n) {
            Two z = {x * scale * share.v[k >> 1][n][(k & 1) * 2], y * scale * share.v[k >> 1][n][(k & 1) * 2 + 1]};
            *(Two *)(a + acc.row(k) * ld + j * TILE + acc.column(n)) = z;
            sum[k] += z.x + z.y;
            x = y = 0;
        });
    }
    // After the last tile: den and 1/N, 0 for rows after the last step.
    __device__ void finish(const MLSTM &s, const Gates &g) {
        dotN = quadSum(dotN);
        if (threadIdx.x % 4 == 0) qn[threadIdx.x / 4] = dotN;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            T all = quadSum(sum[e]);
            if (threadIdx.x % 4 == 0) parts[(threadIdx.x >> 5) % 4 * TILE + acc.row(e)] = all;
        }
        __syncthreads();
        int row = threadIdx.x;
        if (row < TILE) {
            T all = (parts[row] + parts[TILE + row]) + (parts[2 * TILE + row] + parts[3 * TILE + row]);
            if (n && row < at.rows) all += g.inter[at.step + row] * qn[row];
            den[row] = all;
            inverse[row] = row < at.rows ? 1 / (max(abs(all), g.floor[at.step + row]) + (T)s.eps) : (T)0;
        }
        __syncthreads();
    }
};

// Computes h. Grid: tiles of steps of all items.
KERNEL __launch_bounds__(THREADS, 2) mlstm_output(MLSTM s, Gates g, const T *q, const T *k, const T *v, const T *states, const T *ns, T *h) {
    Scores x(s, g, q, k, ns);
    const Place &at = x.at;
    const int stride = 2 * DEEP; // steps per product with A
    Matrix vs(at.in(v, s, s.dhv, at.c0), s.nh * s.dhv, s.dhv);
    Matrix c(states ? states + at.chunk * s.dqk * s.dhv : nullptr, s.dhv, s.dhv);
    int scores = x.products(), before = states ? x.slices : 0, per = before + (at.r + 1) * (TILE / stride), columns = (s.dhv + TILE - 1) / TILE;
    Counter loaded(per), used(per);
    T inter[4];
#pragma unroll
    for (int e = 0; e < 4; e++) inter[e] = x.acc.row(e) < at.rows ? g.inter[at.step + x.acc.row(e)] : (T)0;
    stream<1>(scores + columns * per, [&](int i, int place) {
        if (i < scores) return x.fetchSlices(s, x.q, x.k, s.dqk, place);
        int e = loaded.part * TILE, j = loaded.in, d = j * DEEP;
        T *slot = x.slots + place * 2 * SLICE;
        loaded.next();
        if (j < before) {
            load<TILE, DEEP, ALONG>(slot, x.q, d, at.rows, s.dqk - d);
            load<DEEP, TILE, ACROSS>(slot + SLICE, c, (i64)d * s.dhv + e, s.dqk - d, s.dhv - e);
            return;
        }
        j = (j - before) * stride;
#pragma unroll 1
        for (int part = 0; part < 2; part++, j += DEEP)
            load<DEEP, TILE, ACROSS>(slot + part * SLICE, vs, (i64)j * vs.ld + e, s.t - at.c0 - j, s.dhv - e);
    }, [&](int i, int place) {
        if (i < scores) {
            x.multiply(place);
            if (x.used.part == 0) x.ofMemory(s, place, x.used.in * DEEP);
            if (x.used.in == x.slices - 1) {
                Sums share;
                x.shares(share, x.used.part);
                x.keep(share, x.used.part);
            }
            x.used.next();
            if (i == scores - 1) x.finish(s, g);
            return;
        }
        int e = used.part * TILE, j = used.in;
        const T *slot = x.slots + place * 2 * SLICE;
        used.next();
        const T *left = j < before ? slot : x.a + (j - before) * stride, *right = j < before ? slot + SLICE : slot;
#pragma unroll 1
        for (int part = 0; part < (j < before ? 1 : 2); part++)
            product<false, true, false>(x.acc, left + part * DEEP, j < before ? ALONG : x.ld, right + part * SLICE, ACROSS, nullptr);
        if (j == before - 1) x.acc.each([&](T &y, T &z, int k, int) { y *= inter[k], z *= inter[k]; });
        if (j < per - 1) return;
        x.acc.each([&](T &y, T &z, int k, int) { y *= x.inverse[x.acc.row(k)], z *= x.inverse[x.acc.row(k)]; });
        x.acc.store(at.in(h, s, s.dhv, at.t0) + e, vs.ld, at.rows, s.dhv - e);
        x.acc.clear();
    });
}

// The results of mlstm_scores_grad. Per step: den, 1/N, the gradients of den and of the
// stabiliser, and the weights of queries in the gradients of C and n. a and p
// [chunks,length,length]: A/N and the scaled P = (dA + dden)⊙D. The others are sums of
// W = dA⊙A: below [tiles,b·nh·t] over each column of every tile of rows, left over each
// row and the earlier tiles, and cross, for every step, over those pairs within its
// tile that the step lies between. If |q·n| normalises a row, W leaves out the share
// that set the row's stabiliser, because that share is always 1.
struct Rows {
    T *den, *inverse, *dden, *dm, *ofC, *ofN;
    T *a, *p;
    T *below, *left, *cross;
};

// The gradient of den; up is dh·h/N.
__device__ inline T gradOfDen(T up, T den, T floor) { return abs(den) < floor ? (T)0 : signbit(den) ? up : -up; }

// Grid: tiles of steps of all items.
KERNEL __launch_bounds__(THREADS, 2) mlstm_scores_grad(MLSTM s, Gates g, const T *q, const T *k, const T *v, const T *h, const T *dh, const T *ns, Rows out) {
    Scores x(s, g, q, k, ns);
    const Place &at = x.at;
    i64 first = at.step - at.r * TILE, steps = (i64)s.b * s.nh * s.t, corner = (at.chunk * at.length + at.r * TILE) * at.length;
    int ldv = s.nh * s.dhv, own = at.r * TILE, scores = x.products(), slices = deep(s.dhv), wide = own + TILE, winner[4];
    Matrix vs(at.in(v, s, s.dhv, at.c0), ldv, s.dhv), dhs(at.in(dh, s, s.dhv, at.t0), ldv, s.dhv);
    const T *hs = at.in(h, s, s.dhv, at.t0);
    T *dots = x.qn, *recents = (T *)(x.segment + at.length); // four times TILE
    T *a = out.a + corner, *p = out.p + corner;
    T factor[4], ofDen[4], earlier[4] = {0, 0, 0, 0}, recent[4] = {0, 0, 0, 0}, dot = 0; // row sums over the earlier tiles and over the row's own tile
    stream<1>(scores + (at.r + 1) * slices, [&](int i, int place) {
        bool first = i < scores;
        Matrix left = first ? x.q : dhs, right = first ? x.k : vs;
        if (i == scores) x.loaded = Counter(slices);
        x.fetchSlices(s, left, right, first ? s.dqk : s.dhv, place);
    }, [&](int i, int place) {
        if (i == scores) x.used = Counter(slices);
        int j = x.used.part, e0 = x.used.in * DEEP;
        bool last = x.used.in == x.used.each - 1;
        Sums share;
        x.multiply(place);
        x.used.next();
        if (last) x.shares(share, j);
        if (i < scores) {
            if (j == 0) x.ofMemory(s, place, e0);
            if (last) x.keep(share, j);
            if (i < scores - 1) return;
            x.finish(s, g);
            int col = threadIdx.x % (TILE / 2) * 2;
            for (int row = threadIdx.x / (TILE / 2); row < TILE; row += THREADS / (TILE / 2))
                for (int j = col; j < wide; j += TILE) {
                    Two y = *(Two *)(x.a + row * x.ld + j);
                    *(Two *)(a + row * at.length + j) = {y.x * x.inverse[row], y.y * x.inverse[row]};
                }
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int row = x.acc.row(e);
                bool there = row < at.rows;
                factor[e] = x.inverse[row];
                winner[e] = there && abs(x.den[row]) >= g.floor[at.step + row] ? g.winner[at.step + row] : -1;
            }
            return;
        }
        if (j == 0 && threadIdx.x / 4 < at.rows) dot += x.rowDot(place, hs + threadIdx.x / 4 * ldv, e0, s.dhv);
        if (!last) return;
        if (j == 0) {
            dot = quadSum(dot);
            if (threadIdx.x % 4 == 0) dots[threadIdx.x / 4] = dot;
            __syncthreads();
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int row = x.acc.row(e);
                ofDen[e] = row < at.rows ? gradOfDen(dots[row] * factor[e], x.den[row], g.floor[at.step + row]) : (T)0;
            }
        }
        bool diagonal = j == at.r;
        T sums[4] = {0, 0, 0, 0};
        x.acc.each([&](T &y, T &z, int k, int n) {
            int col = j * TILE + x.acc.column(n);
            Two *to = (Two *)(x.a + x.acc.row(k) * x.ld + col), score = *to;
            T first = y * factor[k] + ofDen[k], second = z * factor[k] + ofDen[k];
            Two w = {col == winner[k] ? (T)0 : first * score.x, col + 1 == winner[k] ? (T)0 : second * score.y};
            y = first * x.scale * share.v[k >> 1][n][(k & 1) * 2], z = second * x.scale * share.v[k >> 1][n][(k & 1) * 2 + 1];
            sums[n * 2] += w.x, sums[n * 2 + 1] += w.y;
            if (diagonal) *to = w, recent[k] += w.x + w.y;
            else earlier[k] += w.x + w.y;
        });
        x.acc.store(p + j * TILE, at.length, TILE, TILE);
        x.acc.clear();
#pragma unroll
        for (int n = 0; n < 4; n++) {
#pragma unroll
            for (int o = 4; o < 32; o <<= 1) sums[n] += __shfl_xor_sync(~0u, sums[n], o);
            if (threadIdx.x % 32 < 4) x.parts[(threadIdx.x >> 7) * TILE + x.acc.column(n >> 1) + (n & 1)] = sums[n];
        }
        __syncthreads();
        int col = threadIdx.x;
        if (col < TILE && at.c0 + j * TILE + col < s.t) out.below[at.r * steps + first + j * TILE + col] = x.parts[col] + x.parts[TILE + col];
    });
    __syncthreads();
    // The row sums, by quarters of the columns.
#pragma unroll
    for (int e = 0; e < 4; e++) {
        T first = quadSum(earlier[e]), second = quadSum(recent[e]);
        int to = (threadIdx.x >> 5) % 4 * TILE + x.acc.row(e);
        if (threadIdx.x % 4 == 0) x.parts[to] = first, recents[to] = second;
    }
    // The sums of each column of the tile from every row onwards, by quarters of the
    // rows.
    T *w = x.a + own, sum = 0, later = 0;
    int col = threadIdx.x % TILE, quarter = threadIdx.x / TILE, row = threadIdx.x, lane = threadIdx.x & 31;
    for (int i = quarter * 16 + 15; i >= quarter * 16; i--) w[i * x.ld + col] = sum += w[i * x.ld + col];
    __syncthreads();
    for (int k = quarter + 1; k < 4; k++) later += w[k * 16 * x.ld + col];
    __syncthreads();
    for (int i = quarter * 16; i < quarter * 16 + 16; i++) w[i * x.ld + col] += later;
    __syncthreads();
    for (int i = threadIdx.x >> 5; i < at.rows; i += THREADS / 32) {
        T before = (lane < i ? w[i * x.ld + lane] : (T)0) + (lane + 32 < i ? w[i * x.ld + lane + 32] : (T)0);
        before = warpSum(before);
        if (lane == 0) out.cross[at.step + i] = before;
    }
    if (row >= at.rows) return;
    i64 step = at.step + row;
    auto across = [&](const T *part) { return (part[row] + part[TILE + row]) + (part[2 * TILE + row] + part[3 * TILE + row]); };
    T den = x.den[row], inverse = x.inverse[row], floor = g.floor[step], up = dots[row] * inverse, inter = g.inter[step], before = across(x.parts);
    T ofDenominator = gradOfDen(up, den, floor);
    out.den[step] = den, out.inverse[step] = inverse, out.dden[step] = ofDenominator, out.left[step] = before;
    out.dm[step] = abs(den) >= floor ? -(before + across(recents)) : -up * (T)s.eps;
    out.ofC[step] = inter * inverse, out.ofN[step] = inter * ofDenominator;
}

// The operands of mlstm_grads. The memories before the chunks and their gradients after
// the chunks are null if they are zero.
struct Reads {
    const T *q, *k, *v, *dh;
    const T *states, *ns, *dStates, *dNs;
};

// The results of mlstm_grads: the gradients of q, k and v, and partial sums over tiles of
// the keys' width: fromState and carried [tiles,b·nh·t] of q·dq and k·dk, as far as dq and
// dk come from the memory, and kept [chunks,tiles] of the inner product of the memory
// before a chunk and the gradient of the memory after it.
struct Grads {
    T *dq, *dk, *dv;
    T *fromState, *carried;
    double *kept;
};

enum { VALUES, QUERIES, KEYS };

// Computes a tile of one of the gradients: the part that comes from the memory, with its
// rows weighted, and then the part that comes from the chunk's scores.
__device__ inline void grads(const MLSTM &s, const Gates &g, const Reads &d, const Rows &from, const Grads &out, const Place &at, int of, int tile) {
    constexpr int AHEAD = 2;
    T *slots = (T *)room, *parts = slots + 2 * (AHEAD + 1) * SLICE;
    double *ofDots = (double *)(parts + 4 * TILE);
    int width = of == VALUES ? s.dhv : s.dqk, inner = of == VALUES ? s.dqk : s.dhv, n0 = tile * TILE, ld = s.nh * width, ldi = s.nh * inner;
    int cols = min(TILE, width - n0), lane = threadIdx.x & 31;
    i64 size = (i64)s.dqk * s.dhv;
    Matrix left(at.in(of == VALUES ? d.k : of == QUERIES ? d.dh : d.v, s, inner, at.t0), ldi, inner);
    const T *states = of == QUERIES ? d.states : d.dStates, *n = of == QUERIES ? d.ns : d.dNs;
    if (states) n += at.chunk * s.dqk + n0;
    Matrix memory(states ? states + at.chunk * size : nullptr, s.dhv, s.dhv);
    // The steps of the chunk that the rows have scores with.
    int first = of == QUERIES ? 0 : at.r * TILE, end = of == QUERIES ? (at.r + 1) * TILE : min(at.length, deep(s.t - at.c0) * DEEP);
    Matrix right(at.in(of == VALUES ? d.dh : of == QUERIES ? d.k : d.q, s, width, at.c0) + n0, ld, width);
    Matrix scores((of == VALUES ? from.a : from.p) + at.chunk * at.length * at.length, at.length, at.length);
    const T *behind = of == QUERIES && at.r == 0 && states && d.dStates ? d.dStates + at.chunk * size + (i64)n0 * s.dhv : nullptr;
    int before = states ? deep(inner) : 0;
    double dots = 0;
    Sums acc;
    acc.clear();
    auto weigh = [&] {
        T sum[4] = {0, 0, 0, 0}, weight[4], inverse[4], ofN[4];
        const T *own = of == VALUES ? nullptr : at.in(of == QUERIES ? d.q : d.k, s, width, at.t0) + n0;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            i64 i = at.step + min(acc.row(k), at.rows - 1);
            weight[k] = of == QUERIES ? g.inter[i] : g.carry[i];
            if (of == QUERIES) inverse[k] = from.inverse[i], ofN[k] = from.dden[i];
        }
        acc.each([&](T &x, T &y, int k, int p) {
            if (of != VALUES) {
                T nx = acc.column(p) < cols ? n[acc.column(p)] : (T)0, ny = acc.column(p) + 1 < cols ? n[acc.column(p) + 1] : (T)0;
                if (of == QUERIES) x = x * inverse[k] + ofN[k] * nx, y = y * inverse[k] + ofN[k] * ny;
                else x += nx, y += ny;
            }
            x *= weight[k], y *= weight[k];
            if (of == VALUES || acc.row(k) >= at.rows) return;
            const T *z = own + acc.row(k) * ld + acc.column(p);
            if (acc.column(p) < cols) sum[k] += x * z[0];
            if (acc.column(p) + 1 < cols) sum[k] += y * z[1];
        });
        if (of == VALUES) return;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            T all = quadSum(sum[k]);
            if (lane % 4 == 0) parts[(threadIdx.x >> 5) % 4 * TILE + acc.row(k)] = all;
        }
        __syncthreads();
        int row = threadIdx.x;
        if (row < at.rows) (of == QUERIES ? out.fromState : out.carried)[(i64)tile * s.b * s.nh * s.t + at.step + row] = (parts[row] + parts[TILE + row]) + (parts[2 * TILE + row] + parts[3 * TILE + row]);
    };
    stream<AHEAD>(before + (end - first) / DEEP, [&](int i, int place) {
        T *slot = slots + place * 2 * SLICE;
        int k = i * DEEP, j = first + (i - before) * DEEP;
        bool fromMemory = i < before;
        Matrix x = fromMemory ? left : scores, y = fromMemory ? memory : right;
        if (fromMemory) load<TILE, DEEP, ALONG>(slot, x, k, at.rows, inner - k);
        else if (of == QUERIES) load<TILE, DEEP, ALONG>(slot, x, at.r * TILE * at.length + j, TILE, DEEP);
        else load<DEEP, TILE, ACROSS>(slot, x, j * at.length + at.r * TILE, DEEP, TILE);
        if (fromMemory && of != VALUES) load<TILE, DEEP, ALONG>(slot + SLICE, y, (i64)n0 * s.dhv + k, cols, inner - k);
        else load<DEEP, TILE, ACROSS>(slot + SLICE, y, fromMemory ? (i64)k * s.dhv + n0 : (i64)j * ld, fromMemory ? inner - k : s.t - at.c0 - j, cols);
    }, [&](int i, int place) {
        const T *slot = slots + place * 2 * SLICE;
        if (of == (i < before ? VALUES : QUERIES)) product<false, true, false>(acc, slot, ALONG, slot + SLICE, ACROSS, nullptr);
        else if (i < before) product<false, false, false>(acc, slot, ALONG, slot + SLICE, ALONG, nullptr);
        else product<true, true, false>(acc, slot, ACROSS, slot + SLICE, ACROSS, nullptr);
        if (i >= before) return;
        if (of == QUERIES && behind) {
            T sum = 0;
            for (int k = threadIdx.x; k < TILE * DEEP; k += THREADS) {
                int row = k / DEEP, col = k % DEEP;
                if (row < cols && i * DEEP + col < inner) sum += slot[SLICE + row * ALONG + col] * behind[row * s.dhv + i * DEEP + col];
            }
            dots += (double)sum;
        }
        if (i == before - 1) weigh();
    });
    acc.store(at.in(of == VALUES ? out.dv : of == QUERIES ? out.dq : out.dk, s, width, at.t0) + n0, ld, at.rows, cols);
    if (of != QUERIES || !behind) return;
    if (threadIdx.x < cols) dots += (double)n[threadIdx.x] * (double)d.dNs[at.chunk * s.dqk + n0 + threadIdx.x];
    dots = warpSum(dots);
    if (lane == 0) ofDots[threadIdx.x >> 5] = dots;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < THREADS / 32; w++) dots += ofDots[w];
    out.kept[at.chunk * ((s.dqk + TILE - 1) / TILE) + tile] = dots;
}

// Grid: column tiles of values, queries and keys, for all tiles of steps.
KERNEL __launch_bounds__(THREADS, 2) mlstm_grads(MLSTM s, Gates g, Reads d, Rows from, Grads out) {
    int values = (s.dhv + TILE - 1) / TILE, keys = (s.dqk + TILE - 1) / TILE, all = values + 2 * keys, tile = blockIdx.x % all;
    Place at(s, blockIdx.x / all);
    int of = tile < values ? VALUES : tile < values + keys ? QUERIES : KEYS;
    grads(s, g, d, from, out, at, of, of == VALUES ? tile : of == QUERIES ? tile - values : tile - values - keys);
}
