// A pass over a single row as one launch: the operations that generate a token. Every
// block takes the same list of instructions. Vectors are in the shared memory of each
// block, which computes what is short, norms and gates, for itself. What takes long,
// products with weights and the memories of cells, is divided between the blocks; the
// results are exchanged as words of a number and of the launch that wrote it, so that
// the reader waits for each number itself and there is no barrier. All blocks must run
// at the same time.
//gen: f32
#include "common.cuh"

enum { EMBED, AWAIT, NORM, ADD, GATE, MAPS, CELL, FLUSH, KEEP };

// from, more and to are vectors of n numbers, by their first element in shared memory.
struct Instruction {
    i64 kind, n;
    i64 from, more, to;
    const void *in;     // the table of EMBED, the weight of NORM or null, the words of AWAIT
    const i64 *ids;     // EMBED
    void *out;          // the words of CELL, the memory of KEEP
    i64 function;       // the activation of GATE
    i64 groups;         // NORM
    i64 centered, residual;
    double eps;         // NORM, CELL
    i64 map, maps, rows; // MAPS: the first, how many, and rows of all of them
    i64 ahead;          // MAPS: the instruction whose weights are fetched in time, −1 for none
    i64 heads, dqk, dhv, k, v, i, f; // CELL, whose q is from
    double scaleQ, scaleK, begin;
    const T *c, *keys, *m;     // its state or null, and the next one; keys are n
    T *toC, *toKeys, *toM;
};

// A map: rows of weights in T or in bfloat16, and the results' places.
struct Map {
    const void *w;
    i64 half;
    const T *bias; // or null
    i64 rows;
    uint2 *words;  // or null
    T *out;        // or null
    double cap;    // of the results, 0 for none
};

#define THREADS 512
#define WARPS (THREADS / 32)

__device__ inline void put(uint2 *words, i64 at, T x, unsigned launch) {
    asm volatile("st.volatile.global.v2.u32 [%0], {%1, %2};" ::"l"(words + at), "r"(__float_as_uint(x)), "r"(launch) : "memory");
}

// Waits for n numbers of this launch.
__device__ inline void await(const uint2 *words, i64 n, T *to, unsigned launch) {
    const int AT_ONCE = 4;
    i64 pairs = (n + 1) / 2; // the words are a multiple of 16 bytes
    for (i64 p = threadIdx.x; p < pairs; p += AT_ONCE * THREADS) {
        uint4 v[AT_ONCE];
        bool all;
        do {
            all = true;
#pragma unroll
            for (int j = 0; j < AT_ONCE; j++) {
                i64 at = p + j * THREADS;
                if (at >= pairs) continue;
                asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v[j].x), "=r"(v[j].y), "=r"(v[j].z), "=r"(v[j].w) : "l"(words + 2 * at) : "memory");
                all &= v[j].y == launch && (v[j].w == launch || 2 * at + 1 >= n);
            }
        } while (!all);
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            i64 at = p + j * THREADS;
            if (at >= pairs) continue;
            to[2 * at] = __uint_as_float(v[j].x);
            if (2 * at + 1 < n) to[2 * at + 1] = __uint_as_float(v[j].z);
        }
    }
}

// The norm of groups of x: of a single one by all threads, else a warp each.
__device__ inline void norm(const Instruction &s, const T *x, T *y, T *room) {
    i64 width = s.n / s.groups;
    const T *w = (const T *)s.in;
    bool one = s.groups == 1;
    int lane = one ? threadIdx.x : threadIdx.x & 31, lanes = one ? THREADS : 32;
    for (i64 g = one ? 0 : threadIdx.x / 32; g < s.groups; g += WARPS) {
        const T *in = x + g * width;
        T mean = 0, squares = 0;
        if (s.centered) {
            for (i64 c = lane; c < width; c += lanes) mean += in[c];
            mean = (one ? lanesSum(mean, room) : warpSum(mean)) / (T)width;
        }
        for (i64 c = lane; c < width; c += lanes) squares += (in[c] - mean) * (in[c] - mean);
        T rstd = 1 / sqrt((one ? lanesSum(squares, room) : warpSum(squares)) / (T)width + (T)s.eps);
        for (i64 c = lane; c < width; c += lanes) {
            T f = !w ? (T)1 : s.residual ? 1 + w[g * width + c] : w[g * width + c];
            y[g * width + c] = (in[c] - mean) * rstd * f;
        }
    }
}

// The rows of a block among n, from … to.
__device__ inline void shareOf(i64 n, i64 &from, i64 &to) {
    from = n * blockIdx.x / gridDim.x;
    to = n * (blockIdx.x + 1) / gridDim.x;
}

// The map of a row, which becomes the row within it.
__device__ inline const Map &mapOf(const Map *maps, i64 &row) {
    while (row >= maps->rows) row -= maps->rows, maps++;
    return *maps;
}

__device__ inline void fetch(const void *at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// Fetches the block's weights of an instruction into the L2 cache.
__device__ inline void fetchWeights(const Instruction &s, const Map *maps) {
    const i64 most = 128 << 10; // bytes of a block
    i64 from, to;
    shareOf(s.rows, from, to);
    i64 bytes = s.n * (maps[s.map].half ? 2 : (i64)sizeof(T)), lines = (bytes + 127) / 128;
    i64 all = min((to - from), most / bytes) * lines;
    for (i64 l = threadIdx.x; l < all; l += THREADS) {
        i64 row = from + l / lines;
        const Map &m = mapOf(maps + s.map, row);
        fetch((const char *)m.w + row * bytes + l % lines * 128);
    }
}

// Four rows of weights at once.
#define ROWS 4
template <bool HALF> __device__ inline void products(const T *x, i64 n, const char *const (&w)[ROWS], T (&sum)[ROWS]) {
#pragma unroll 2
    for (i64 c = (threadIdx.x & 31) * 8; c < n; c += 256) {
        Eight v[ROWS];
#pragma unroll
        for (int j = 0; j < ROWS; j++)
            if (w[j]) v[j] = In{w[j], HALF}.eight(c / 8);
        Four a = *(const Four *)(x + c), b = *(const Four *)(x + c + 4);
#pragma unroll
        for (int j = 0; j < ROWS; j++)
            if (w[j])
#pragma unroll
                for (int e = 0; e < 4; e++) sum[j] += v[j].v[e] * a.v[e] + v[j].v[4 + e] * b.v[e];
    }
}

__device__ inline void linears(const Instruction &s, const Map *maps, const T *x, unsigned launch) {
    i64 from, to;
    shareOf(s.rows, from, to);
    int lane = threadIdx.x & 31;
    bool half = maps->half;
    i64 bytes = s.n * (half ? 2 : (i64)sizeof(T));
    for (i64 r = from + threadIdx.x / 32; r < to; r += ROWS * WARPS) {
        const char *w[ROWS];
        T sum[ROWS] = {};
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            i64 row = r + j * WARPS;
            w[j] = 0;
            if (row >= to) continue;
            const Map &m = mapOf(maps, row);
            w[j] = (const char *)m.w + row * bytes;
        }
        if (half) products<true>(x, s.n, w, sum);
        else products<false>(x, s.n, w, sum);
#pragma unroll
        for (int j = 0; j < ROWS; j++) {
            i64 row = r + j * WARPS;
            if (row >= to) continue;
            T y = warpSum(sum[j]);
            if (lane) continue;
            const Map &m = mapOf(maps, row);
            if (m.bias) y += m.bias[row];
            if (m.cap) y = (T)m.cap * tanh(y / (T)m.cap);
            if (m.words) put(m.words, row, y, launch);
            if (m.out) m.out[row] = y;
        }
    }
}

__device__ inline double logForget(double f) { return max(min(f, 0.0) - log1p(exp(-abs(f))), -1e6); }

// The mLSTM for one step, as mlstm.cu has it: a block takes eight columns of C at a
// time. The new n and m of a head, whose old ones other blocks may still read, are left
// in shared memory at `to` for FLUSH by the block with the head's first columns.
#define COLUMNS 8
__device__ inline void cell(const Instruction &s, T *shared, T *room, unsigned launch) {
    const T *q = shared + s.from, *k = shared + s.k, *v = shared + s.v;
    i64 units = s.heads * s.dhv / COLUMNS, from, to;
    shareOf(units, from, to);
    int lane = threadIdx.x & 31, column = threadIdx.x % COLUMNS, group = threadIdx.x / COLUMNS;
    for (i64 unit = from; unit < to; unit++) {
        i64 head = unit * COLUMNS / s.dhv, e = unit * COLUMNS % s.dhv + column, at = head * s.dqk;
        double lf = logForget(shared[s.f + head]) + (s.m ? (double)s.m[head] : s.begin), it = shared[s.i + head];
        double top = (double)(T)max(lf, it);
        T keep = s.keys ? (T)exp(lf - top) : (T)0, share = (T)(exp(it - top) * s.scaleK), den = 0;
        bool first = unit * COLUMNS % s.dhv == 0 && threadIdx.x < 32;
        for (i64 d = lane; d < s.dqk; d += 32) {
            T x = share * k[at + d];
            if (keep != 0) x += keep * s.keys[at + d];
            if (first) shared[s.to + at + d] = x;
            den += q[at + d] * x;
        }
        den = warpSum(den) * (T)s.scaleQ;
        if (first && lane == 0) shared[s.to + s.heads * s.dqk + head] = (T)top;
        T value = share * v[head * s.dhv + e], sum = 0;
        for (i64 d = group; d < s.dqk; d += THREADS / COLUMNS) {
            i64 c = (at + d) * s.dhv + e;
            T x = k[at + d] * value;
            if (keep != 0) x += keep * s.c[c];
            s.toC[c] = x;
            sum += q[at + d] * x;
        }
        for (int o = 16; o >= COLUMNS; o >>= 1) sum += __shfl_xor_sync(~0u, sum, o);
        __syncthreads(); // room may still be read from the unit before
        if (lane < COLUMNS) room[threadIdx.x / 32 * COLUMNS + lane] = sum;
        __syncthreads();
        if (threadIdx.x >= COLUMNS) continue;
        sum = 0;
        for (int w = 0; w < WARPS; w++) sum += room[w * COLUMNS + column];
        put((uint2 *)s.out, head * s.dhv + e, (T)(s.scaleQ / (max(abs((double)den), exp(-top)) + s.eps)) * sum, launch);
    }
}

__device__ inline void flush(const Instruction &s, const T *shared) {
    i64 units = s.heads * s.dhv / COLUMNS, from, to;
    shareOf(units, from, to);
    for (i64 unit = from; unit < to; unit++) {
        if (unit * COLUMNS % s.dhv) continue;
        i64 head = unit * COLUMNS / s.dhv;
        for (i64 d = threadIdx.x; d < s.dqk; d += THREADS) s.toKeys[head * s.dqk + d] = shared[s.from + head * s.dqk + d];
        if (threadIdx.x == 0) s.toM[head] = shared[s.from + s.heads * s.dqk + head];
    }
}

// Counts the launches.
KERNEL advance(unsigned *launches) { *launches += 1; }

KERNEL __launch_bounds__(THREADS, 1) sequence(const Instruction *list, i64 count, const Map *allMaps, i64 mapCount, const unsigned *launches, i64 vectors) {
    extern __shared__ __align__(16) char space[];
    __shared__ T room[WARPS * 32];
    T *shared = (T *)space;
    Instruction *program = (Instruction *)(shared + vectors);
    Map *maps = (Map *)(program + count);
    unsigned launch = *launches;
    for (i64 i = threadIdx.x; i < count * (i64)(sizeof(Instruction) / 8); i += THREADS) ((u64 *)program)[i] = ((const u64 *)list)[i];
    for (i64 i = threadIdx.x; i < mapCount * (i64)(sizeof(Map) / 8); i += THREADS) ((u64 *)maps)[i] = ((const u64 *)allMaps)[i];
    __syncthreads();
    for (i64 p = 0; p < count; p++) {
        const Instruction &s = program[p];
        T *x = shared + s.from, *y = shared + s.to;
        const T *more = shared + s.more;
        switch (s.kind) {
        case EMBED:
            for (i64 c = threadIdx.x; c < s.n; c += THREADS) y[c] = ((const T *)s.in)[*s.ids * s.n + c];
            break;
        case AWAIT: await((const uint2 *)s.in, s.n, y, launch); break;
        case NORM: norm(s, x, y, room); break;
        case ADD:
            for (i64 c = threadIdx.x; c < s.n; c += THREADS) y[c] = x[c] + more[c];
            break;
        case GATE:
            for (i64 c = threadIdx.x; c < s.n; c += THREADS) y[c] = activate((int)s.function, x[c]) * more[c];
            break;
        case MAPS:
            if (s.ahead >= 0) fetchWeights(program[s.ahead], maps);
            linears(s, maps + s.map, x, launch);
            break;
        case CELL: cell(s, shared, room, launch); break;
        case FLUSH: flush(s, shared); break;
        case KEEP:
            for (i64 c = threadIdx.x; blockIdx.x == 0 && c < s.n; c += THREADS) ((T *)s.out)[c] = x[c];
            break;
        }
        __syncthreads();
    }
}
