// A pass over a single row of a model of the xLSTM-7B architecture with weights in
// bfloat16, as one launch: what sequence.cuh does, with as few instructions and as little
// waiting as there can be, for most of the time goes by between the writing of a result
// and its use by all other blocks.
//
// Each block holds the residual stream, four numbers a thread, and computes norms and
// gates for itself. Rows of weights are divided between the blocks, as many of each
// product for each; eight columns of the cells' memories are those of a block. Results
// are exchanged as words in memory, of which there are two sets: a launch writes and
// reads one, and empties the other for the next launch. An empty word is a NaN that no
// computation returns. All blocks must run at the same time.
#pragma once
#include "common.cuh"

#define WARPS 8
#define THREADS (32 * WARPS) // and a warp that copies
#include "halves.cuh"
#include "halves_product.cuh"

#define MOST 48 // rows of a stage, at most
#define EMPTY 0xffffffffu

// Where the input of a stage comes from: it is that of the stage before, the embedding,
// words that are added to the residual stream, words that are normed, or words alone.
enum { SAME, EMBEDDED, ADDED, NORMED, PLAIN };

// A stage is a cell if cell is not −1, or else the product of rows with an input of n
// numbers, whose norm has groups that are whole warps wide, a power of two unless there is
// one. If the norm is late, of one group that is not centered, the results are divided by
// the root of the mean of squares instead of the input, so that no warp waits for the
// squares of the others before the product. The input is gated by the sigmoid of the words
// at gate if there are any. pairs: rows are those of gates, four in a slot, and those that
// are multiplied with silu of the gates, four behind them.
struct __align__(16) Stage {
    int cell, n, input, words, gate, groups, warps, centered, residual, pairs;
    float eps;
    int late;
    const T *weight; // of the norm
    T share;         // of a number in a group: 1 over how many there are
    int unused;
};

// The rows of a block of a product.
struct Share { int first, count; };

// Where the result of a row goes: bias and the soft cap, if there are any, and then the
// word and the memory at `to`. With pairs, more is the bias of the other row.
struct __align__(16) Row {
    const T *bias;
    union { T *to; const T *more; };
    int word; // −1 for none
    T cap;
    i64 unused;
};

struct __align__(16) Cell {
    int q, k, v, i, f, h; // words
    int heads, dqk, dhv;
    float scaleQ, scaleK, eps;
    const T *c, *keys, *m; // its state or null, and the next one; keys are n
    T *toC, *toKeys, *toM;
    T begin;
    int unused[3];
};

struct Sequence {
    const Stage *stages;
    const Cell *cells;
    const Share *shares;     // [block, product]
    const Row *rows;         // [block, row]
    Weights weights;
    unsigned *words; // two sets
    u64 *tickets;
    const void *table; // of the embedding
    const i64 *ids;
    i64 stageCount, cellCount, productCount, rowCount, slotCount, wordCount, pitch, halves, width;
};

__device__ inline bool whole(uint4 v) { return v.x != EMPTY && v.y != EMPTY && v.z != EMPTY && v.w != EMPTY; }

__device__ inline Four numbers(uint4 v) { return Four{{__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), __uint_as_float(v.w)}}; }

// Reports whether a lane of the warp needs to look again. Warps wait as a whole: lanes
// that went on alone would each execute on their own what follows.
__device__ inline bool again(bool missing) { return __any_sync(~0u, missing); }

__device__ inline Four awaitFour(const unsigned *words) {
    uint4 v;
    do v = lookWords(words);
    while (again(!whole(v)));
    return numbers(v);
}

// Words of this launch and those of the next one.
struct Words {
    unsigned *now, *next;
    __device__ void put(int at, T x) const {
        sendWord(now + at, __float_as_uint(x));
        next[at] = EMPTY;
    }
};

// Waits for n words and writes them as sums, with zeros up to whole slots.
__device__ inline void bringPlain(const unsigned *words, int n, char *x, int pitch) {
    const int AT_ONCE = 3;
    for (int q = threadIdx.x; q < (n + WIDE - 1) / WIDE * WIDE / 4; q += AT_ONCE * THREADS) {
        uint4 v[AT_ONCE];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) v[j] = 4 * (q + j * THREADS) < n ? lookWords(words + 4 * (q + j * THREADS)) : uint4{};
        while (again(!whole(v[0]) || !whole(v[1]) || !whole(v[2]))) {
#pragma unroll
            for (int j = 0; j < AT_ONCE; j++)
                if (!whole(v[j])) v[j] = lookWords(words + 4 * (q + j * THREADS));
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++)
            if (4 * (q + j * THREADS) < (n + WIDE - 1) / WIDE * WIDE) split(numbers(v[j]), q + j * THREADS, x, pitch);
    }
}

// What threads need of the next stages, which comes while they wait: their rows, of two
// stages, what is added to them, and their part of the norm's weight. A thread copies and
// reads what is its own alone.
struct Ahead {
    Row *rows;  // [2, MOST]
    T *biases;  // [2, MOST], of rows and of the others of pairs
    Four *norm; // [THREADS]
    __device__ Row &row(int product) const { return rows[(product & 1) * MOST + threadIdx.x]; }
    __device__ void look(const Row *from, Share share, int product) const {
        if ((int)threadIdx.x < share.count) {
            const char *at = (const char *)(from + share.first + threadIdx.x);
            copyLater<16>(&row(product), at), copyLater<8>((char *)&row(product) + 16, at + 16);
        }
        copiesAsked();
    }
    // What the rows of a product, which have been looked for, and the stage need.
    __device__ void lookFurther(const Stage &s, Share share, int product) const {
        int t = threadIdx.x;
        copiesThere<0>();
        if (t < share.count) {
            const Row &r = row(product);
            if (r.bias) copyLater<4>(biases + t, r.bias);
            else biases[t] = 0;
            if (s.pairs && r.more) copyLater<4>(biases + MOST + t, r.more);
            else biases[MOST + t] = 0;
        }
        if (s.groups && 4 * t < s.n) copyLater<16>(norm + t, (const Four *)s.weight + t);
        copiesAsked();
    }
    // The norm's weight, while the rows of the stage that follows are still on their way.
    __device__ Four weight(const Stage &s) const {
        copiesThere<1>();
        Four w = 4 * (int)threadIdx.x < s.n ? norm[threadIdx.x] : Four{};
        if (s.residual) {
#pragma unroll
            for (int k = 0; k < 4; k++) w.v[k] += 1;
        }
        return w;
    }
};

// The norm of the vector of which each thread has four numbers, a warp having 128 of a
// group: mean and squares of pairs of threads, of four, … and of warps are joined (Chan
// et al., 1983).
#define OF_WARP 128
__device__ inline Four normed(const Stage &s, Four a, Four weight, float2 *parts) {
    int warp = threadIdx.x >> 5, first = s.groups == 1 ? 0 : warp & -s.warps;
    T mean = 0, squares = 0, share = s.share * OF_WARP;
    if (s.centered) mean = (a.v[0] + a.v[1] + a.v[2] + a.v[3]) / 4;
#pragma unroll
    for (int k = 0; k < 4; k++) squares += (a.v[k] - mean) * (a.v[k] - mean);
    if (s.centered) {
#pragma unroll
        for (int o = 1; o < 32; o *= 2) {
            T other = __shfl_xor_sync(~0u, mean, o), more = __shfl_xor_sync(~0u, squares, o), d = other - mean;
            squares += more + 2 * o * d * d; // of 4·o numbers each
            mean = (mean + other) / 2;
        }
    } else squares = warpSum(squares);
    if ((threadIdx.x & 31) == 0) parts[warp] = make_float2(mean, squares);
    meet();
    mean = squares = 0;
#pragma unroll 1
    for (int e = 0; e < s.warps; e++) mean += parts[first + e].x * share;
#pragma unroll 1
    for (int e = 0; e < s.warps; e++) {
        float2 part = parts[first + e];
        squares += part.y + OF_WARP * (part.x - mean) * (part.x - mean);
    }
    T rstd = rsqrt(squares * s.share + s.eps);
    if (4 * (int)threadIdx.x >= s.n) return Four{};
#pragma unroll
    for (int k = 0; k < 4; k++) a.v[k] = (a.v[k] - mean) * rstd * weight.v[k];
    return a;
}

__device__ inline Four embedded(const Sequence &s) {
    i64 at = *s.ids * (s.width / 4) + threadIdx.x;
    return In{s.table, s.halves}.four(at);
}

// Brings the input of a product, as sums, to x. parts: of the warps, for the norm; those
// of a late one are sums of squares.
__device__ inline void bring(const Sequence &all, const Stage &s, const unsigned *words, Four &stream, const Ahead &ahead, float2 *parts, char *x, int pitch) {
    int t = threadIdx.x;
    if (s.input == PLAIN) {
        bringPlain(words + s.words, s.n, x, pitch);
        return;
    }
    Four gate = {{1, 1, 1, 1}}, a = {};
    if (4 * t < s.n) {
        if (s.input == EMBEDDED) a = embedded(all);
        else {
            const unsigned *from = words + s.words + 4 * t;
            uint4 first = lookWords(from);
            if (s.gate >= 0) {
                gate = awaitFour(words + s.gate + 4 * t);
#pragma unroll
                for (int k = 0; k < 4; k++) gate.v[k] = quickSigmoid(gate.v[k]);
            }
            while (again(!whole(first))) first = lookWords(from);
            a = numbers(first);
        }
        if (s.input == ADDED) {
#pragma unroll
            for (int k = 0; k < 4; k++) a.v[k] += stream.v[k];
        }
        if (s.input != NORMED) stream = a;
    }
    Four weight = ahead.weight(s);
    if (s.late) {
        T squares = warpSum(a.v[0] * a.v[0] + a.v[1] * a.v[1] + a.v[2] * a.v[2] + a.v[3] * a.v[3]);
        if ((t & 31) == 0) ((T *)parts)[t >> 5] = squares;
#pragma unroll
        for (int k = 0; k < 4; k++) a.v[k] *= weight.v[k];
    } else if (s.groups) a = normed(s, a, weight, parts);
    if (s.gate >= 0) {
#pragma unroll
        for (int k = 0; k < 4; k++) a.v[k] *= gate.v[k];
    }
    split(a, t, x, pitch); // zeros behind n numbers
}

// What the results of a product with a late norm are multiplied with.
__device__ inline T lateScale(const Stage &s, const float2 *parts) {
    const Four *p = (const Four *)parts;
    T squares = ((p[0].v[0] + p[0].v[1]) + (p[0].v[2] + p[0].v[3])) + ((p[1].v[0] + p[1].v[1]) + (p[1].v[2] + p[1].v[3]));
    return rsqrt(squares * s.share + s.eps);
}

// The result of row t of the block, or of a pair of rows.
__device__ inline void finish(bool pairs, const Row &row, const T *biases, const T *sums, T scale, const Words &words) {
    int t = threadIdx.x, first = pairs ? t / 4 * ROWS + t % 4 : t;
    T y = total(sums + first * SUMS) * scale + biases[t];
    if (pairs) y = fromBelow(y) * quickSigmoid(y) * (total(sums + (first + 4) * SUMS) * scale + biases[MOST + t]);
    else if (row.cap) y = row.cap * tanh(y / row.cap);
    if (row.word >= 0) words.put(row.word, y);
    if (!pairs && row.to) *row.to = y;
}

__device__ inline T logForget(T f) { return max(min(f, (T)0) - log1p(exp(-abs(f))), (T)-1e6); }

// The new n and m of a head that a block must not write before all have read the old ones.
struct Pending { T key, m; };

// The mLSTM for one step: a block has eight columns of C, of one head.
#define COLUMNS 8
#define MOST_KEYS 256
#define GROUPS (THREADS / COLUMNS)
#define EACH_THREAD (MOST_KEYS / GROUPS)
__device__ inline void cell(const Cell &s, T *room, const Words &words, Pending &pending) {
    int t = threadIdx.x, lane = t & 31, warp = t >> 5, column = t % COLUMNS, group = t / COLUMNS;
    int head = blockIdx.x * COLUMNS / s.dhv, e = blockIdx.x * COLUMNS % s.dhv, at = head * s.dqk;
    if (head >= s.heads) return;
    T *q = room, *k = q + MOST_KEYS, *v = k + MOST_KEYS, *sums = v + COLUMNS, *dens = sums + WARPS * COLUMNS;
    int c = (at + group) * s.dhv + e + column, step = GROUPS * s.dhv;
    T old[EACH_THREAD], oldKey = s.keys && t < s.dqk ? s.keys[at + t] : 0, m = s.m ? s.m[head] : s.begin;
#pragma unroll
    for (int j = 0; j < EACH_THREAD; j++) old[j] = s.c && group + j * GROUPS < s.dqk ? s.c[c + j * step] : 0;
    // All is asked for at once: a thread's share of q, k or v, and both gates.
    int fours = s.dqk / 4, ofV = t - (THREADS - COLUMNS / 4);
    const unsigned *from = nullptr;
    Four *to = nullptr;
    if (t < fours) from = words.now + s.q + at + 4 * t, to = (Four *)q + t;
    else if (t < 2 * fours) from = words.now + s.k + at + 4 * (t - fours), to = (Four *)k + (t - fours);
    else if (ofV >= 0) from = words.now + s.v + head * s.dhv + e + 4 * ofV, to = (Four *)v + ofV;
    uint4 four = {};
    unsigned i, f;
    do {
        if (from) four = lookWords(from);
        i = lookWord(words.now + s.i + head), f = lookWord(words.now + s.f + head);
    } while (again(!whole(four) || i == EMPTY || f == EMPTY));
    if (from) *to = numbers(four);
    T it = __uint_as_float(i), lf = logForget(__uint_as_float(f)) + m, top = max(lf, it);
    T keep = s.c ? exp(lf - top) : 0, share = exp(it - top) * s.scaleK, den = 0;
    meet();
    if (t < s.dqk) {
        T x = share * k[t];
        if (keep != 0) x += keep * oldKey;
        pending.key = x;
        den = q[t] * x;
    }
    pending.m = top;
    T value = share * v[column], sum = 0;
#pragma unroll
    for (int j = 0; j < EACH_THREAD; j++) {
        int d = group + j * GROUPS;
        if (d >= s.dqk) continue;
        T x = k[d] * value;
        if (keep != 0) x += keep * old[j];
        s.toC[c + j * step] = x;
        sum += q[d] * x;
    }
    sum += __shfl_xor_sync(~0u, sum, 8);
    sum += __shfl_xor_sync(~0u, sum, 16);
    den = warpSum(den);
    if (lane < COLUMNS) sums[lane * WARPS + warp] = sum;
    if (lane == 0) dens[warp] = den;
    meet();
    if (t >= COLUMNS) return;
    sum = den = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += sums[t * WARPS + w], den += dens[w];
    words.put(s.h + head * s.dhv + e + t, s.scaleQ / (max(abs(den * s.scaleQ), exp(-top)) + s.eps) * sum);
}

// Writes the new n and m, when the results of all blocks have arrived.
__device__ inline void settle(const Cell &s, const Pending &pending) {
    int head = blockIdx.x * COLUMNS / s.dhv;
    if (head >= s.heads || blockIdx.x * COLUMNS % s.dhv) return;
    if (threadIdx.x < s.dqk) s.toKeys[head * s.dqk + threadIdx.x] = pending.key;
    if (threadIdx.x == 0) s.toM[head] = pending.m;
}

// Copies n structs to shared memory at `to`, and returns where they end there.
template <class X> __device__ inline char *load(const X *from, i64 n, char *to, const X *&there) {
    for (i64 i = threadIdx.x; i < n * (i64)(sizeof(X) / 8); i += THREADS) ((u64 *)to)[i] = ((const u64 *)from)[i];
    there = (const X *)to;
    return to + n * sizeof(X);
}

#define CELL_ROOM (2 * MOST_KEYS + COLUMNS + WARPS * COLUMNS + WARPS)

__device__ inline void run(const Sequence &s, char *space) {
    u64 *barriers = (u64 *)(space + DEPTH * SLOT), *ticket = barriers + 2 * DEPTH;
    Ring ring = {space, barriers, barriers + DEPTH};
    // All blocks of a launch take their tickets before one of the next launch does.
    if (threadIdx.x == 0) {
        for (int k = 0; k < DEPTH; k++) barrierInit(ring.full + k, 1), barrierInit(ring.empty + k, WARPS);
        barriersReady();
        *ticket = atomicAdd(s.tickets, (u64)1) / gridDim.x;
    }
    clear(space);
    __syncthreads();
    if (threadIdx.x >= THREADS) {
        copyAll(s.weights, (int)s.slotCount, ring);
        return;
    }
    int pitch = (int)s.pitch, product = 0, t = threadIdx.x, row = t % 32 / 4, quarter = t % 4, column = min(row, 2 * PARTS - 1), brought = 0;
    char *x = space + DEPTH * SLOT + (8 * (2 * DEPTH + 1) + 127) / 128 * 128;
    T *sums = (T *)(x + PARTS * pitch), *room = sums + MOST * SUMS;
    float2 *parts = (float2 *)(room + CELL_ROOM); // twice
    Ahead ahead = {(Row *)(parts + 2 * WARPS)};
    ahead.biases = (T *)(ahead.rows + 2 * MOST), ahead.norm = (Four *)(ahead.biases + 2 * MOST);
    char *free = (char *)(ahead.norm + THREADS);
    const Stage *stages;
    const Cell *cells;
    const Share *shares;
    free = load(s.stages, s.stageCount, free, stages);
    free = load(s.cells, s.cellCount, free, cells);
    load(s.shares + blockIdx.x * s.productCount, s.productCount, free, shares);
    const Row *rows = s.rows + blockIdx.x * s.rowCount;
    i64 set = *ticket & 1;
    Words words = {s.words + set * s.wordCount, s.words + (1 - set) * s.wordCount};
    Lane lane = {space + row * PITCH + quarter * 16 + t / 32 * 64, x + column % PARTS * pitch + column / PARTS * 8 + quarter * 16 + t / 32 * 64, sums + row * SUMS + 2 * (t / 32) + quarter, quarter};
    meet();
    Turn turn = {0, 0};
    ahead.look(rows, shares[0], 0);
    ahead.lookFurther(stages[0], shares[0], 0);
    Pending pending;
    Four stream = {};
    int waits = -1; // the cell whose n and m are pending
#pragma unroll 1
    for (int p = 0; p < s.stageCount; p++) {
        __syncwarp();
        const Stage &stage = stages[p];
        if (stage.cell >= 0) {
            waits = stage.cell;
            cell(cells[waits], room, words, pending);
            continue;
        }
        Share share = shares[product];
        bool last = product + 1 == s.productCount, pairs = stage.pairs;
        ahead.look(rows, last ? Share{} : shares[product + 1], product + 1);
        if (stage.input != SAME) {
            brought ^= 1;
            bring(s, stage, words.now, stream, ahead, parts + brought * WARPS, x, pitch);
        }
        copiesThere<1>(); // what is added to rows
        meet();
        int units = pairs ? (share.count + 3) / 4 : (share.count + ROWS - 1) / ROWS, first = turn.slot;
        multiply(ring, turn, units, stage.n, lane);
        __syncwarp();
        handBack(ring, first, units * ((stage.n + WIDE - 1) / WIDE));
        meet();
        if (t < share.count) finish(pairs, ahead.row(product), ahead.biases, sums, stage.late ? lateScale(stage, parts + brought * WARPS) : 1, words);
        product++;
        if (!last) ahead.lookFurther(stages[p + 1].cell < 0 ? stages[p + 1] : stages[p + 2], shares[product], product);
        if (waits >= 0 && stage.input == NORMED) settle(cells[waits], pending), waits = -1;
    }
}
