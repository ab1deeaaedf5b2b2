// A pass over a single row as one launch: the operations that generate a token. Every
// block takes the same list of instructions. Vectors are in the shared memory of each
// block, which computes what is short, norms and gates, for itself. What takes long,
// products with weights and the memories of cells, is divided between the blocks; the
// results are exchanged as words of a number and of the launch that wrote it, so that
// the reader waits for each number itself and there is no barrier. All blocks must run
// at the same time.
//
// The weights, which are what takes time, do not depend on the numbers before them. A
// warp of each block does nothing but copy those of the block to shared memory, in the
// order in which they are needed, piece after piece, up to DEPTH pieces ahead of the
// products and across all instructions: the memory is not idle while blocks wait for one
// another.
#pragma once
#include "common.cuh"

enum { EMBED, AWAIT, ROW, PRODUCTS, CELL, FLUSH, KEEP };

// How weights are stored: as T, in bfloat16, or as bytes, of which 32 have a scale in
// bfloat16.
enum { FLOATS, HALVES, BYTES };

// Vectors of n numbers, a multiple of four, are named by their first element in shared
// memory, −1 for none. A thread has the same fours of numbers of each.
//
// ROW computes, each step of it if it is there: the numbers of words, for which it waits,
// or else of the vector from; plus the vector more, the sum being kept; their norm; times
// the activation of the vector gate, or of words. AWAIT only waits for words, EMBED looks
// numbers up, KEEP writes them to memory.
struct __align__(16) Instruction {
    int kind, n;
    int from, more, sum, gate, to;
    int function;           // the activation of the gate
    int groups;             // of the norm, 0 for none
    int centered, residual;
    int index;              // of PRODUCTS, CELL and FLUSH
    int format;             // of EMBED
    float eps;
    const void *in;         // the table of EMBED, the weight of the norm or null
    const void *scales;     // EMBED
    const i64 *ids;         // EMBED
    const uint2 *words, *gateWords;
    void *out;              // KEEP
};

// Rows of weights that are multiplied with the vector x of n numbers. A row is `warps`
// warps wide in a block, which takes `rows` rows at once; a thread has 16 bytes of it,
// `pieces` in all. A row that is wider than a block takes several passes. `unit` pieces
// of a thread belong together; batch of them, whole units, come between two barriers.
// inverse is 65536 over warps, rounded up.
struct __align__(16) Product {
    int x, n, format, warps, rows, pieces, passes, unit, batch, inverse;
};

// Where the results of a map go: to words, memory or both, either may be null. cap bounds
// them unless it is 0. gate is the activation of rows that are followed by as many others,
// with the bias `more`, whose results are multiplied with them; −1 for none.
struct __align__(16) Map {
    const T *bias, *more;
    uint2 *words;
    T *out;
    int rows, gate;
    float cap;
    int unused;
};

struct __align__(16) Cell {
    const uint2 *q, *k, *v, *i, *f;
    uint2 *h;
    const T *c, *keys, *m; // its state or null, and the next one; keys are n
    T *toC, *toKeys, *toM;
    int heads, dqk, dhv;
    int to, room; // vectors: of heads·dqk + heads numbers, and of 2·dqk + 16
    float scaleQ, scaleK, eps;
    double begin;
};

// The pieces of a block that are of a product. The place of a piece is where the results
// of its unit begin, with map −1 for pieces that are not the first of theirs.
struct Share { int first, count; };
struct Place { int map, row; };

// Blocks read these structs at once, into registers.
struct Sequence {
    const Instruction *list;
    const Map *maps;
    const Product *products;
    const Cell *cells;
    const Share *shares;                // [block, product]
    const unsigned *at, *scalesAt;      // [block, piece]: where it begins, in units of 16 and of 4 bytes
    const int *lengths;                 // [block, piece]: its 16 bytes
    const Place *places;                // [block, piece]
    const uint4 *weights;
    const unsigned *scales;
    u64 *tickets;
    i64 instructions, mapCount, productCount, cellCount, pieces, vectors, scaled;
};

#define THREADS 256 // and a warp that copies
#define WARPS (THREADS / 32)
#define SPAN 512 // pieces are as wide as so many threads: each does the work of two
#define STRIPES (SPAN / 32)
#define PIECE (SPAN * 16) // bytes of a piece
#define SCALES (SPAN / 2) // scales of one
#define BATCH 16 // pieces between two barriers
#define WIDEST 4 // fours that a thread has of a vector, at most

// A barrier of all threads but those that copy.
__device__ __forceinline__ void meet() { asm volatile("bar.sync 1, 256;" ::: "memory"); }

__device__ inline void put(uint2 *words, i64 at, T x, unsigned launch) {
    asm volatile("st.volatile.global.v2.u32 [%0], {%1, %2};" ::"l"(words + at), "r"(__float_as_uint(x)), "r"(launch) : "memory");
}

__device__ inline uint4 look(const uint2 *words) {
    uint4 v;
    asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(words) : "memory");
    return v;
}

// Waits for two numbers of this launch; at is even.
__device__ inline float2 awaitPair(const uint2 *words, i64 at, unsigned launch) {
    uint4 v;
    do v = look(words + at);
    while (v.y != launch || v.w != launch);
    return make_float2(__uint_as_float(v.x), __uint_as_float(v.z));
}

// Waits for one number, which may be the last.
__device__ inline T awaitOne(const uint2 *words, i64 at, unsigned launch) {
    unsigned x, tag;
    do asm volatile("ld.volatile.global.v2.u32 {%0, %1}, [%2];" : "=r"(x), "=r"(tag) : "l"(words + at) : "memory");
    while (tag != launch);
    return __uint_as_float(x);
}

// Waits for four numbers; at is a multiple of four.
__device__ inline Four awaitFour(const uint2 *words, int at, unsigned launch) {
    uint4 v, w;
    do v = look(words + at), w = look(words + at + 2);
    while (v.y != launch || v.w != launch || w.y != launch || w.w != launch);
    return Four{{__uint_as_float(v.x), __uint_as_float(v.z), __uint_as_float(w.x), __uint_as_float(w.z)}};
}

// Waits for n numbers.
__device__ inline void await(const uint2 *words, int n, Four *to, unsigned launch) {
    const int AT_ONCE = 3;
#pragma unroll 1
    for (int q = threadIdx.x; q < n / 4; q += AT_ONCE * THREADS) {
        uint4 v[2 * AT_ONCE];
        bool all;
        do {
            all = true;
#pragma unroll
            for (int j = 0; j < 2 * AT_ONCE; j++) {
                int of = q + j / 2 * THREADS;
                v[j] = of < n / 4 ? look(words + 4 * of + j % 2 * 2) : make_uint4(0, launch, 0, launch);
            }
#pragma unroll
            for (int j = 0; j < 2 * AT_ONCE; j++) all &= v[j].y == launch && v[j].w == launch;
        } while (!all);
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++)
            if (q + j * THREADS < n / 4)
                to[q + j * THREADS] = Four{{__uint_as_float(v[2 * j].x), __uint_as_float(v[2 * j].z), __uint_as_float(v[2 * j + 1].x), __uint_as_float(v[2 * j + 1].z)}};
    }
}

// The norm of groups of any width of y, in place, a warp each.
__device__ inline void anyNorm(const Instruction &s, T *y) {
    int width = s.n / s.groups, lane = threadIdx.x & 31;
    const T *w = (const T *)s.in;
    meet(); // the numbers are those of other threads
    for (int g = threadIdx.x / 32; g < s.groups; g += WARPS) {
        T *in = y + g * width;
        T mean = 0, squares = 0;
        if (s.centered) {
            for (int c = lane; c < width; c += 32) mean += in[c];
            mean = warpSum(mean) / (T)width;
        }
        for (int c = lane; c < width; c += 32) squares += (in[c] - mean) * (in[c] - mean);
        T rstd = 1 / sqrt(warpSum(squares) / (T)width + s.eps);
        for (int c = lane; c < width; c += 32) {
            T f = !w ? (T)1 : s.residual ? 1 + w[g * width + c] : w[g * width + c];
            in[c] = (in[c] - mean) * rstd * f;
        }
    }
    meet();
}

// ROW for up to J fours of a thread. The norm of groups of whole warps, 128 numbers each,
// has a barrier after the mean and the squares of each warp, which are then added up (Chan
// et al., 1983).
#define OF_WARP 128
template <int J> __device__ __forceinline__ void rowStep(const Instruction &s, T *vectors, float2 *parts, unsigned launch) {
    int t = threadIdx.x, warp = t >> 5, lane = t & 31, fours = s.n / 4;
    Four a[J], f[J];
    int per = s.groups ? s.n / s.groups / OF_WARP : 0;
    bool wholeWarps = per && per * OF_WARP * s.groups == s.n;
#pragma unroll
    for (int j = 0; j < J; j++) {
        int q = t + j * THREADS;
        f[j] = Four{{1, 1, 1, 1}};
        if (wholeWarps && s.in && q < fours) f[j] = ((const Four *)s.in)[q];
    }
#pragma unroll
    for (int j = 0; j < J; j++) {
        int q = t + j * THREADS;
        if (q >= fours) continue;
        a[j] = s.words ? awaitFour(s.words, 4 * q, launch) : ((const Four *)(vectors + s.from))[q];
        if (s.more >= 0) {
            Four b = ((const Four *)(vectors + s.more))[q];
#pragma unroll
            for (int k = 0; k < 4; k++) a[j].v[k] += b.v[k];
        }
        if (s.sum >= 0) ((Four *)(vectors + s.sum))[q] = a[j];
    }
    if (wholeWarps) {
#pragma unroll
        for (int j = 0; j < J; j++) {
            if (t + j * THREADS >= fours) continue;
            T mean = 0, squares = 0;
            if (s.centered) mean = warpSum(a[j].v[0] + a[j].v[1] + a[j].v[2] + a[j].v[3]) / OF_WARP;
#pragma unroll
            for (int k = 0; k < 4; k++) squares += (a[j].v[k] - mean) * (a[j].v[k] - mean);
            squares = warpSum(squares);
            if (lane == 0) parts[j * WARPS + warp] = make_float2(mean, squares);
        }
        meet();
#pragma unroll
        for (int j = 0; j < J; j++) {
            if (t + j * THREADS >= fours) continue;
            int entry = j * WARPS + warp, first = 0;
            while (first + per <= entry) first += per;
            T mean = 0, squares = 0;
            if (s.centered) {
                for (int e = lane; e < per; e += 32) mean += parts[first + e].x;
                mean = warpSum(mean) / per;
            }
            for (int e = lane; e < per; e += 32) squares += parts[first + e].y + OF_WARP * (parts[first + e].x - mean) * (parts[first + e].x - mean);
            T rstd = 1 / sqrt(warpSum(squares) / (OF_WARP * per) + s.eps), one = s.in && s.residual ? 1 : 0;
#pragma unroll
            for (int k = 0; k < 4; k++) a[j].v[k] = (a[j].v[k] - mean) * rstd * (one + f[j].v[k]);
        }
    } else if (s.groups) {
#pragma unroll
        for (int j = 0; j < J; j++)
            if (t + j * THREADS < fours) ((Four *)(vectors + s.to))[t + j * THREADS] = a[j];
        anyNorm(s, vectors + s.to);
#pragma unroll
        for (int j = 0; j < J; j++)
            if (t + j * THREADS < fours) a[j] = ((Four *)(vectors + s.to))[t + j * THREADS];
    }
#pragma unroll
    for (int j = 0; j < J; j++) {
        int q = t + j * THREADS;
        if (q >= fours) continue;
        if (s.gateWords || s.gate >= 0) {
            Four g = s.gateWords ? awaitFour(s.gateWords, 4 * q, launch) : ((const Four *)(vectors + s.gate))[q];
            if (s.function == SIGMOID) {
#pragma unroll
                for (int k = 0; k < 4; k++) a[j].v[k] *= sigmoid(g.v[k]);
            } else {
                T *of = vectors + s.to + 4 * q;
                ((Four *)of)[0] = g;
#pragma unroll 1
                for (int k = 0; k < 4; k++) of[k] = activate(s.function, of[k]);
#pragma unroll
                for (int k = 0; k < 4; k++) a[j].v[k] *= of[k];
            }
        }
        ((Four *)(vectors + s.to))[q] = a[j];
    }
}

__device__ inline void embed(const Instruction &s, T *y) {
    i64 row = *s.ids * s.n;
    for (int c = 4 * threadIdx.x; c < s.n; c += 4 * THREADS)
#pragma unroll 1
        for (int k = c; k < c + 4; k++) {
            if (s.format == FLOATS) y[k] = ((const T *)s.in)[row + k];
            else if (s.format == HALVES) y[k] = fromHalf(((const unsigned short *)s.in)[row + k]);
            else y[k] = ((const signed char *)s.in)[row + k] * fromHalf(((const unsigned short *)s.scales)[(row + k) / 32]);
        }
}

// The numbers of a vector that a thread multiplies with 16 bytes of weights, which have a
// scale if they are bytes.
template <int FORMAT> struct Numbers;

template <> struct Numbers<FLOATS> {
    Four a;
    __device__ void load(const T *x, int piece, bool there) {
        if (there) a = ((const Four *)x)[piece];
        else a = Four{};
    }
    __device__ T dot(uint4 w, T) const {
        return __uint_as_float(w.x) * a.v[0] + __uint_as_float(w.y) * a.v[1] + __uint_as_float(w.z) * a.v[2] + __uint_as_float(w.w) * a.v[3];
    }
};

template <> struct Numbers<HALVES> {
    Four a, b;
    __device__ void load(const T *x, int piece, bool there) {
        if (there) a = ((const Four *)x)[2 * piece], b = ((const Four *)x)[2 * piece + 1];
        else a = b = Four{};
    }
    __device__ T dot(uint4 w, T) const {
        T lo = __uint_as_float(w.x << 16) * a.v[0] + __uint_as_float(w.y << 16) * a.v[2] + __uint_as_float(w.z << 16) * b.v[0] + __uint_as_float(w.w << 16) * b.v[2];
        T hi = __uint_as_float(w.x & 0xffff0000u) * a.v[1] + __uint_as_float(w.y & 0xffff0000u) * a.v[3] + __uint_as_float(w.z & 0xffff0000u) * b.v[1] + __uint_as_float(w.w & 0xffff0000u) * b.v[3];
        return lo + hi;
    }
};

// Integers from −127 to 127 with a scale for 32 of them, which two threads have, as package
// weights rounds vectors.
template <> struct Numbers<BYTES> {
    int q[4];
    T scale;
    __device__ void load(const T *x, int piece, bool there) {
        Four v[4] = {};
        unsigned top = 0;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (there) v[k] = ((const Four *)x)[4 * piece + k];
#pragma unroll
            for (int e = 0; e < 4; e++) top = max(top, __float_as_uint(v[k].v[e]) & 0x7fffffffu);
        }
        top = max(top, __shfl_xor_sync(~0u, top, 1));
        bool finite = top < 0x7f800000u, some = finite && top >= 0x04000000u;
        T inverse = some ? 127 / __uint_as_float(top) : 0;
        scale = some ? __uint_as_float(top) / 127 : finite ? 0 : __uint_as_float(0x7fc00000u);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            q[k] = 0;
#pragma unroll
            for (int e = 0; e < 4; e++) q[k] |= some ? (__float2int_rn(v[k].v[e] * inverse) & 255) << 8 * e : 0;
        }
    }
    __device__ T dot(uint4 w, T of) const {
        int sum = __dp4a((int)w.x, q[0], __dp4a((int)w.y, q[1], __dp4a((int)w.z, q[2], __dp4a((int)w.w, q[3], 0))));
        return (T)sum * (scale * of);
    }
};

// Barriers in shared memory, of which some are completed by bytes that arrive.
__device__ __forceinline__ void barrierInit(unsigned bar, int count) { asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory"); }
__device__ __forceinline__ void barrierWait(unsigned bar, int parity) {
    asm volatile("{\n.reg .pred done;\nWAIT:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@done bra DONE;\nbra WAIT;\nDONE:\n}" ::"r"(bar), "r"(parity) : "memory");
}
__device__ __forceinline__ void barrierArrive(unsigned bar) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(bar) : "memory"); }
__device__ __forceinline__ void barrierExpect(unsigned bar, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory"); }
__device__ __forceinline__ void barrierAfterCopies(unsigned bar) { asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(bar) : "memory"); }
__device__ __forceinline__ void barriersReady() { asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory"); }

// Copies that complete a barrier: of a whole piece by one thread, and of four bytes.
__device__ __forceinline__ void copyPiece(unsigned to, const void *from, int bytes, unsigned bar) {
    asm volatile("{\n.reg .b64 once;\ncreatepolicy.fractional.L2::evict_first.b64 once, 1.0;\n"
                 "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], once;\n}" ::"r"(to), "l"(from), "r"(bytes), "r"(bar)
                 : "memory");
}
__device__ __forceinline__ void copyFour(unsigned to, const void *from) { asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory"); }

// The pieces of weights in shared memory.
struct Ring {
    const uint4 *pieces;          // [DEPTH, SPAN]
    const unsigned short *scales; // [DEPTH, SCALES]
    unsigned full, empty;         // barriers, DEPTH of each
};

// Copies all pieces of the block, a warp by itself.
template <int DEPTH> __device__ inline void copyAll(const Sequence &s, const Ring &r, int total) {
    int lane = threadIdx.x & 31;
    i64 first = blockIdx.x * s.pieces;
    unsigned at = 0, scalesAt = 0;
    int length = 0;
    auto look = [&](int from, unsigned &a, unsigned &b, int &l) {
        i64 k = first + from + lane;
        if (from + lane < total) a = s.at[k], b = s.scalesAt[k], l = s.lengths[k];
    };
    unsigned nextAt = 0, nextScales = 0;
    int nextLength = 0;
    look(0, nextAt, nextScales, nextLength);
    for (int k = 0; k < total; k++) {
        if (k % 32 == 0) {
            at = nextAt, scalesAt = nextScales, length = nextLength;
            look(k + 32, nextAt, nextScales, nextLength);
        }
        int slot = k % DEPTH, n = __shfl_sync(~0u, length, k % 32);
        unsigned from = __shfl_sync(~0u, at, k % 32), full = r.full + slot * 8;
        barrierWait(r.empty + slot * 8, k / DEPTH & 1 ^ 1);
        if (s.scaled) {
            const unsigned *scales = s.scales + __shfl_sync(~0u, scalesAt, k % 32);
            unsigned to = shared(r.scales + slot * SCALES);
            for (int i = lane; i < n / 4; i += 32) copyFour(to + 4 * i, scales + i);
            barrierAfterCopies(full);
        }
        if (lane == 0) {
            barrierExpect(full, n * 16);
            copyPiece(shared(r.pieces + slot * SPAN), s.weights + from, n * 16, full);
        }
        __syncwarp();
    }
}

// Adds up v[0…7] over the lanes of a warp; lane 4·k then has the sum of v[k].
__device__ inline T warpSums(T (&v)[8]) {
    int lane = threadIdx.x & 31;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        T give = lane & 16 ? v[k] : v[k + 4], own = lane & 16 ? v[k + 4] : v[k];
        v[k] = own + __shfl_xor_sync(~0u, give, 16);
    }
#pragma unroll
    for (int k = 0; k < 2; k++) {
        T give = lane & 8 ? v[k] : v[k + 2], own = lane & 8 ? v[k + 2] : v[k];
        v[k] = own + __shfl_xor_sync(~0u, give, 8);
    }
    T give = lane & 4 ? v[0] : v[1], own = lane & 4 ? v[1] : v[0];
    T sum = own + __shfl_xor_sync(~0u, give, 4);
    sum += __shfl_xor_sync(~0u, sum, 2);
    return sum + __shfl_xor_sync(~0u, sum, 1);
}

// The result of row `row` of a map, of which parts has the sums of each warp of each piece.
__device__ inline void finish(const Product &p, const Map &m, int row, const T *parts, T bias, T more, unsigned launch) {
    bool gates = m.gate >= 0;
    T y = bias, z = more;
#pragma unroll 1
    for (int e = 0; e < p.unit; e++) {
        T sum = 0;
#pragma unroll 1
        for (int w = 0; w < p.warps; w += 4)
#pragma unroll
            for (int k = 0; k < 4; k++)
                if (w + k < p.warps) sum += parts[e * STRIPES + w + k];
        if (e < p.passes) y += sum;
        else z += sum;
    }
    if (m.cap) y = m.cap * tanh(y / m.cap);
    else if (gates) y = (m.gate == SILU ? fromBelow(y) * sigmoid(y) : activate(m.gate, y)) * z;
    if (m.words) put(m.words, row, y, launch);
    if (m.out) m.out[row] = y;
}

#define AT_ONCE 4 // pieces that a thread reads before it multiplies

// The sums of n pieces, from piece number `next` of the block on, the first of which is
// piece b of the product, over the lanes of each warp. ONE is for rows of one pass.
template <int FORMAT, int DEPTH, bool ONE>
__device__ inline void sumPieces(const Product &p, int next, int b, int n, const T *x, T *sums, const Ring &ring) {
    const int TWO = SPAN / THREADS;
    int t = threadIdx.x, warp = t >> 5, lane = t & 31, at[TWO];
    bool there[TWO];
    Numbers<FORMAT> numbers[TWO];
#pragma unroll
    for (int u = 0; u < TWO; u++) {
        int as = t + u * THREADS, row = ONE ? (as >> 5) * p.inverse >> 16 : 0, piece = as - row * p.warps * 32;
        at[u] = row * p.pieces + piece;
        there[u] = row < p.rows && piece < p.pieces;
        if (ONE) numbers[u].load(x, piece, there[u]);
    }
    T v[TWO][2 * AT_ONCE] = {};
#pragma unroll 1
    for (int k = 0; k < n; k += AT_ONCE) {
        uint4 w[AT_ONCE][TWO];
        T scale[AT_ONCE][TWO];
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            int slot = (next + k + j) % DEPTH;
            if (k + j < n) barrierWait(ring.full + slot * 8, (next + k + j) / DEPTH & 1);
#pragma unroll
            for (int u = 0; u < TWO; u++) {
                bool on = k + j < n && (ONE ? there[u] : (b + k + j) % p.passes * SPAN + t + u * THREADS < p.pieces);
                w[j][u] = make_uint4(0, 0, 0, 0), scale[j][u] = 0;
                if (on) w[j][u] = ring.pieces[slot * SPAN + at[u]];
                if (on && FORMAT == BYTES) scale[j][u] = fromHalf(ring.scales[slot * SCALES + at[u] / 2]);
            }
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++)
#pragma unroll
            for (int u = 0; u < TWO; u++) {
                v[u][j] = v[u][j + AT_ONCE];
                if (!ONE) {
                    int of = (b + k + j) % p.passes * SPAN + t + u * THREADS;
                    numbers[u].load(x, of, of < p.pieces);
                }
                v[u][j + AT_ONCE] = numbers[u].dot(w[j][u], scale[j][u]);
            }
        __syncwarp();
        if (lane < AT_ONCE && k + lane < n) barrierArrive(ring.empty + (next + k + lane) % DEPTH * 8);
        bool second = k / AT_ONCE % 2;
        if (!second && k + AT_ONCE < n) continue;
        // The last ones are in the second half of v.
        int first = second ? k - AT_ONCE : k, place = lane / 4 - (second ? 0 : AT_ONCE);
#pragma unroll
        for (int u = 0; u < TWO; u++) {
            T sum = warpSums(v[u]);
            if ((lane & 3) == 0 && place >= 0) sums[(first + place) * STRIPES + warp + u * WARPS] = sum;
        }
    }
}

template <int FORMAT, int DEPTH> __device__ inline void sumAny(const Product &p, int next, int b, int n, const T *x, T *sums, const Ring &ring) {
    if (p.passes == 1) sumPieces<FORMAT, DEPTH, true>(p, next, b, n, x, sums, ring);
    else sumPieces<FORMAT, DEPTH, false>(p, next, b, n, x, sums, ring);
}

template <int DEPTH>
__device__ inline void products(const Product &p, Share share, const Place *places, const Map *maps, const T *x, T *parts, int &parity, const Ring &ring, unsigned launch) {
    int t = threadIdx.x, mine = t / BATCH, of = t % BATCH; // no more rows than BATCH
#pragma unroll 1
    for (int b = 0; b < share.count; b += p.batch) {
        int n = min(p.batch, share.count - b), next = share.first + b, row = 0;
        Map m;
        bool ends = false;
        T bias = 0, more = 0;
        if (mine < n && of < p.rows) {
            Place place = places[next + mine];
            row = place.row + of;
            if (place.map >= 0) {
                m = maps[place.map];
                ends = row < m.rows;
                if (ends && m.bias) bias = m.bias[row];
                if (ends && m.more) more = m.more[row];
            }
        }
        T *sums = parts + parity * BATCH * STRIPES;
        parity ^= 1;
        if (p.format == HALVES) sumAny<HALVES, DEPTH>(p, next, b, n, x, sums, ring);
        else if (p.format == FLOATS) sumAny<FLOATS, DEPTH>(p, next, b, n, x, sums, ring);
        else sumAny<BYTES, DEPTH>(p, next, b, n, x, sums, ring);
        meet();
        if (ends) finish(p, m, row, sums + mine * STRIPES + of * p.warps, bias, more, launch);
    }
}

__device__ inline double logForget(T f) { return max(min((double)f, 0.0) - (double)log1p(exp(-abs(f))), -1e6); }

// The mLSTM for one step, as mlstm.cu has it: a block takes eight columns of C at a
// time. The new n and m of a head, whose old ones other blocks may still read, are left
// in shared memory at `to` for FLUSH by the block with the head's first columns.
#define COLUMNS 8
#define EARLY 4 // rows of C that a thread reads before it waits
__device__ inline void cell(const Cell &s, T *vectors, T *sums, unsigned launch) {
    const int GROUPS = THREADS / COLUMNS;
    int t = threadIdx.x, lane = t & 31, warp = t >> 5, column = t % COLUMNS, group = t / COLUMNS;
    T *q = vectors + s.room, *k = q + s.dqk, *v = k + s.dqk, *gates = v + COLUMNS, *dens = sums + WARPS * COLUMNS;
    meet();
    for (int unit = blockIdx.x; unit < s.heads * s.dhv / COLUMNS; unit += gridDim.x) {
        int head = unit * COLUMNS / s.dhv, e = unit * COLUMNS % s.dhv, at = head * s.dqk;
        int c = at * s.dhv + e + column;
        T old[EARLY];
#pragma unroll
        for (int j = 0; j < EARLY; j++) {
            int d = group + j * GROUPS;
            old[j] = s.c && d < s.dqk ? s.c[c + d * s.dhv] : 0;
        }
        T oldKey = s.keys && t < s.dqk ? s.keys[at + t] : 0;
        double m = s.m ? (double)s.m[head] : s.begin;
        if (t < s.dqk) {
            bool isQ = t < s.dqk / 2;
            int pair = isQ ? t : t - s.dqk / 2;
            ((float2 *)(isQ ? q : k))[pair] = awaitPair(isQ ? s.q : s.k, at + 2 * pair, launch);
        }
        if (t >= THREADS - 32) {
            if (lane < COLUMNS / 2) ((float2 *)v)[lane] = awaitPair(s.v, head * s.dhv + e + 2 * lane, launch);
            else if (lane < COLUMNS / 2 + 2) gates[lane - COLUMNS / 2] = awaitOne(lane == COLUMNS / 2 ? s.i : s.f, head, launch);
        }
        meet();
        double it = gates[0], lf = logForget(gates[1]) + m, top = (double)(T)max(lf, it);
        T keep = s.c ? exp((T)(lf - top)) : 0, share = exp((T)(it - top)) * s.scaleK, den = 0;
        if (t < s.dqk) {
            T x = share * k[t];
            if (keep != 0) x += keep * oldKey;
            if (e == 0) vectors[s.to + at + t] = x;
            den = q[t] * x;
        }
        if (e == 0 && t == 0) vectors[s.to + s.heads * s.dqk + head] = (T)top;
        T value = share * v[column], sum = 0;
        for (int d0 = group; d0 < s.dqk; d0 += EARLY * GROUPS) {
#pragma unroll
            for (int j = 0; j < EARLY; j++) {
                int d = d0 + j * GROUPS;
                if (d >= s.dqk) continue;
                T x = k[d] * value;
                if (keep != 0) x += keep * (d0 == group ? old[j] : s.c[c + d * s.dhv]);
                s.toC[c + d * s.dhv] = x;
                sum += q[d] * x;
            }
        }
        sum += __shfl_xor_sync(~0u, sum, 8);
        sum += __shfl_xor_sync(~0u, sum, 16);
        den = warpSum(den);
        if (lane < COLUMNS) sums[warp * COLUMNS + lane] = sum;
        if (lane == 0) dens[warp] = den;
        meet();
        if (t >= COLUMNS) continue;
        sum = den = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w += 4) {
            Four four = *(const Four *)(dens + w);
#pragma unroll
            for (int k = 0; k < 4; k++) sum += sums[(w + k) * COLUMNS + t], den += four.v[k];
        }
        put(s.h, head * s.dhv + e + t, s.scaleQ / (max(abs(den * s.scaleQ), exp((T)-top)) + s.eps) * sum, launch);
    }
}

// A thread that has its own numbers of h does not know of the others: there must have
// been a barrier since then. When all threads have theirs, all blocks have read the old n
// and m.
__device__ inline void flush(const Cell &s, const T *vectors) {
    for (int unit = blockIdx.x; unit < s.heads * s.dhv / COLUMNS; unit += gridDim.x) {
        if (unit * COLUMNS % s.dhv) continue;
        int head = unit * COLUMNS / s.dhv;
        if (threadIdx.x < s.dqk) s.toKeys[head * s.dqk + threadIdx.x] = vectors[s.to + head * s.dqk + threadIdx.x];
        if (threadIdx.x == 0) s.toM[head] = vectors[s.to + s.heads * s.dqk + head];
    }
}

// Copies n structs to shared memory at `to`, and returns where they end there.
template <class X> __device__ inline char *bring(const X *from, i64 n, char *to, const X *&there) {
    for (i64 i = threadIdx.x; i < n * (i64)(sizeof(X) / 8); i += THREADS) ((u64 *)to)[i] = ((const u64 *)from)[i];
    there = (const X *)to;
    return to + n * sizeof(X);
}

template <int DEPTH> __device__ inline void run(const Sequence &s) {
    extern __shared__ __align__(128) char space[];
    __shared__ __align__(16) T rooms[2][2 * WIDEST * WARPS], parts[2 * BATCH * STRIPES], sums[WARPS * (COLUMNS + 1)];
    __shared__ __align__(8) u64 barriers[2 * DEPTH];
    __shared__ unsigned ticket;
    char *free = space;
    Ring ring;
    ring.pieces = (const uint4 *)free, free += DEPTH * PIECE;
    ring.scales = (const unsigned short *)free, free += s.scaled ? DEPTH * SCALES * 2 : 0;
    ring.full = shared(barriers), ring.empty = shared(barriers + DEPTH);
    T *vectors = (T *)free;
    free += s.vectors * sizeof(T);
    const Share *own = s.shares + blockIdx.x * s.productCount;
    // All blocks of a launch take their tickets before one of the next launch does.
    if (threadIdx.x == 0) {
        for (int k = 0; k < DEPTH; k++) barrierInit(ring.full + k * 8, s.scaled ? 33 : 1), barrierInit(ring.empty + k * 8, WARPS);
        barriersReady();
        ticket = (unsigned)(atomicAdd(s.tickets, (u64)1) / gridDim.x) + 1;
    }
    __syncthreads();
    if (threadIdx.x >= THREADS) {
        Share last = own[s.productCount - 1];
        copyAll<DEPTH>(s, ring, last.first + last.count);
        return;
    }
    const Instruction *list;
    const Map *maps;
    const Product *all;
    const Cell *cells;
    const Share *shares;
    const Place *places;
    free = bring(s.products, s.productCount, free, all);
    free = bring(s.list, s.instructions, free, list);
    free = bring(s.maps, s.mapCount, free, maps);
    free = bring(s.cells, s.cellCount, free, cells);
    free = bring(own, s.productCount, free, shares);
    bring(s.places + blockIdx.x * s.pieces, s.pieces, free, places);
    meet();
    unsigned launch = ticket;
    int rows = 0, parity = 0;
    for (i64 p = 0; p < s.instructions; p++) {
        const Instruction in = list[p];
        switch (in.kind) {
        case EMBED: embed(in, vectors + in.to); break;
        case AWAIT: await(in.words, in.n, (Four *)(vectors + in.to), launch); break;
        case ROW:
            if (in.n <= 4 * THREADS) rowStep<1>(in, vectors, (float2 *)rooms[rows++ & 1], launch);
            else rowStep<WIDEST>(in, vectors, (float2 *)rooms[rows++ & 1], launch);
            break;
        case PRODUCTS: {
            const Product product = all[in.index];
            Share share = shares[in.index];
            const T *vector = vectors + product.x;
            meet();
            products<DEPTH>(product, share, places, maps, vector, parts, parity, ring, launch);
            break;
        }
        case CELL: {
            const Cell of = cells[in.index];
            cell(of, vectors, sums, launch);
            break;
        }
        case FLUSH: flush(cells[in.index], vectors); break;
        case KEEP:
            for (int q = threadIdx.x; blockIdx.x == 0 && q < in.n / 4; q += THREADS) ((Four *)in.out)[q] = ((Four *)(vectors + in.from))[q];
            break;
        }
    }
}
