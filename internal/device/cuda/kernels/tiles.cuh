// Matrix products by tiles: the eight warps of a block compute 64 x 64 results from
// slices of the operands in shared memory, which are loaded ahead of their use.
//
// If T is float, the tensor cores compute. With PASSES 1, operands are rounded to TF32.
// With PASSES 3, each operand is split into two TF32 numbers, and three of the four
// products are added, for a relative error of about 2^-22, close to that of float32.
// If T is double, the threads compute.
#pragma once

#define SINGLE_float 1
#define SINGLE_double 0
#define JOIN(a, b) a##b
#define SINGLE_OF(element) JOIN(SINGLE_, element)
#define SINGLE SINGLE_OF(ELEMENT)

#define THREADS 256
#if SINGLE
#define DEEP 32 // depth of a slice: its extent in the direction of the sum
#else
#define DEEP 16
#endif
#define ALONG (DEEP + 4)     // row distance of slices whose TILE rows run along the sum
#define ACROSS (TILE + 8)    // row distance of slices whose DEEP rows run across it
#define SLICE (TILE * ALONG) // elements of a slice of either kind

// Two adjacent elements.
struct __align__(2 * sizeof(T)) Two { T x, y; };

// Starts an asynchronous copy of N bytes to shared memory; zeros unless `there`.
template <int N> __device__ inline void fetch(unsigned dst, const void *src, bool there) {
    if constexpr (N == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(src), "r"(there ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(dst), "l"(src), "n"(N), "r"(there ? N : 0) : "memory");
}

// A matrix in memory.
struct Matrix {
    const T *at;
    int ld;
    bool wide; // 16-byte loads are possible

    __device__ Matrix(const T *p, int ld, int width) : at(p), ld(ld) {
        constexpr int PER = 16 / sizeof(T);
        wide = ((u64)p & 15) == 0 && ld % PER == 0 && width % PER == 0;
    }
};

// Starts copying ROWS x COLS elements of m, beginning at element `from`, to rows at a
// distance of LD. Elements beyond the first `rows` rows and `cols` columns are zeros.
// `from` is a multiple of 16 elements plus a multiple of the row distance.
template <int ROWS, int COLS, int LD> __device__ inline void load(T *dst, const Matrix &m, i64 from, int rows, int cols) {
    constexpr int PER = 16 / sizeof(T), PIECES = COLS / PER, STEP = THREADS / PIECES;
    unsigned to = shared(dst);
    if (m.wide) {
        int row = threadIdx.x / PIECES, col = threadIdx.x % PIECES * PER;
        const T *src = m.at + from + row * m.ld + col;
        if (col >= cols) rows = 0;
        to += (row * LD + col) * (int)sizeof(T);
#pragma unroll
        for (int k = 0; k < ROWS / STEP; k++) fetch<16>(to + k * STEP * LD * (int)sizeof(T), src + k * STEP * m.ld, row + k * STEP < rows);
        return;
    }
#pragma unroll 1
    for (int at = threadIdx.x; at < ROWS * COLS; at += THREADS) {
        int row = at / COLS, col = at % COLS;
        fetch<sizeof(T)>(to + (row * LD + col) * (int)sizeof(T), m.at + from + row * m.ld + col, row < rows && col < cols);
    }
}

// A position in a sequence of parts with `each` slices: slice `in` of part `part`.
struct Counter {
    int each, in = 0, part = 0;
    __device__ explicit Counter(int each) : each(each) {}
    __device__ void next() {
        if (++in == each) in = 0, part++;
    }
};

// Processes n slices in order with AHEAD + 1 buffers: calls load(i, place), which starts
// loading slice i into a buffer, AHEAD slices before use(i, place).
template <int AHEAD, class Load, class Use> __device__ inline void stream(int n, Load load, Use use) {
#pragma unroll 1
    for (int i = -AHEAD, place = 1; i < n; i++, place = place == AHEAD ? 0 : place + 1) {
        if (i >= 0) {
            asm volatile("cp.async.wait_group %0;" ::"n"(AHEAD - 1) : "memory");
            __syncthreads(); // slice i has arrived for all threads, and all have used the previous one
        }
        if (i + AHEAD < n) load(i + AHEAD, place ? place - 1 : AHEAD);
        asm volatile("cp.async.commit_group;" ::: "memory");
        if (i >= 0) use(i, place);
    }
}

// A thread's part of a 64 x 64 result, in the layout of the tensor cores: four rows with
// two pairs of adjacent columns, from its warp's 32 x 16 elements.
struct Sums {
    T v[2][2][4];

    __device__ static int row(int k) { return (threadIdx.x >> 7) * 32 + k * 8 + (threadIdx.x >> 2) % 8; }
    __device__ static int column(int n) { return (threadIdx.x >> 5) % 4 * 16 + threadIdx.x % 4 * 2 + n * 8; }
    __device__ void clear() {
        each([](T &x, T &y, int, int) { x = y = 0; });
    }
    // Calls f(first, second, k, n) for pair n of row k.
    template <class F> __device__ void each(F f) {
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int n = 0; n < 2; n++) f(v[k >> 1][n][(k & 1) * 2], v[k >> 1][n][(k & 1) * 2 + 1], k, n);
    }
    // Stores the first `rows` rows and `cols` columns.
    __device__ void store(T *dst, int ld, int rows, int cols) {
        bool pairs = ((u64)dst & (sizeof(Two) - 1)) == 0 && ld % 2 == 0;
        each([&](T &x, T &y, int k, int n) {
            T *to = dst + (i64)row(k) * ld + column(n);
            bool first = row(k) < rows && column(n) < cols, second = row(k) < rows && column(n) + 1 < cols;
            if (pairs && second) *(Two *)to = {x, y};
            else if (first) {
                *to = x;
                if (second) to[1] = y;
            }
        });
    }
};

#if SINGLE
// x for the tensor cores, which ignore its last 13 bits: scaled by 1 + 2^-11.5, so that
// this truncation has no bias and leaves TF32 numbers unchanged.
__device__ inline unsigned rounded(float x) { return __float_as_uint(x * 1.000345f); }

__device__ inline void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Loads four 8 x 4 matrices; each thread passes the address of one of their rows.
__device__ inline void loadMatrices(float (&x)[4], unsigned row) {
    unsigned r[4];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row));
#pragma unroll
    for (int e = 0; e < 4; e++) x[e] = __uint_as_float(r[e]);
}

// c += A·B over a slice. The rows of A and the columns of B run along the sum, or
// across it with A_ACROSS and B_ACROSS. With WEIGHED, which requires A_ACROSS, every
// term of the sum is multiplied by its weight.
template <bool A_ACROSS, bool B_ACROSS, bool WEIGHED>
__device__ inline void product(Sums &c, const T *a, int lda, const T *b, int ldb, const T *weights) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    int m0 = (warp >> 2) * 32, n0 = (warp & 3) * 16;
    const T *across = a + t * lda + m0 + g, *down = b + t * ldb + n0 + g;
    unsigned along = shared(a + (m0 + lane % 16) * lda + (lane >> 4) * 4), aside = shared(b + (n0 + lane % 8 + (lane >> 4) * 8) * ldb + (lane >> 3) % 2 * 4);
    Sums part; // of the slice
    if (PASSES > 1) part.clear();
#pragma unroll
    for (int k = 0; k < DEEP; k += 8) {
        float x[2][4], y[4];
        if (A_ACROSS) {
#pragma unroll
            for (int e = 0; e < 8; e++) {
                x[e >> 2][e & 3] = across[(k + (e >> 1) % 2 * 4) * lda + (e >> 2) * 16 + (e & 1) * 8];
                if (WEIGHED) x[e >> 2][e & 3] *= weights[k + (e >> 1) % 2 * 4 + t];
            }
        } else {
            loadMatrices(x[0], along + k * 4);
            loadMatrices(x[1], along + (16 * lda + k) * 4);
        }
        if (B_ACROSS) {
#pragma unroll
            for (int e = 0; e < 4; e++) y[e] = down[(k + (e & 1) * 4) * ldb + (e >> 1) * 8];
        } else
            loadMatrices(y, aside + k * 4);
#if PASSES == 1
        unsigned left[2][4], right[4];
#pragma unroll
        for (int e = 0; e < 8; e++) left[e >> 2][e & 3] = rounded(x[e >> 2][e & 3]);
#pragma unroll
        for (int e = 0; e < 4; e++) right[e] = rounded(y[e]);
#pragma unroll
        for (int e = 0; e < 4; e++) mma(c.v[e & 1][e >> 1], left[e & 1], right[(e >> 1) * 2], right[(e >> 1) * 2 + 1]);
#else
        unsigned left[2][4], right[4], lowLeft[2][4], lowRight[4];
        auto split = [](float x, unsigned &high, unsigned &low) {
            high = __float_as_uint(x) & 0xffffe000u;
            low = __float_as_uint(x - __uint_as_float(high));
        };
#pragma unroll
        for (int e = 0; e < 8; e++) split(x[e >> 2][e & 3], left[e >> 2][e & 3], lowLeft[e >> 2][e & 3]);
#pragma unroll
        for (int e = 0; e < 4; e++) split(y[e], right[e], lowRight[e]);
#pragma unroll
        for (int e = 0; e < 4; e++) mma(part.v[e & 1][e >> 1], lowLeft[e & 1], right[(e >> 1) * 2], right[(e >> 1) * 2 + 1]);
#pragma unroll
        for (int e = 0; e < 4; e++) mma(part.v[e & 1][e >> 1], left[e & 1], lowRight[(e >> 1) * 2], lowRight[(e >> 1) * 2 + 1]);
#pragma unroll
        for (int e = 0; e < 4; e++) mma(part.v[e & 1][e >> 1], left[e & 1], right[(e >> 1) * 2], right[(e >> 1) * 2 + 1]);
#endif
    }
    // The tensor cores truncate sums instead of rounding them. Therefore the threads
    // add the slice's sum to the total.
    if (PASSES > 1)
#pragma unroll
        for (int e = 0; e < 16; e++) c.v[e >> 3][e / 4 % 2][e & 3] += part.v[e >> 3][e / 4 % 2][e & 3];
}
#else
template <bool A_ACROSS, bool B_ACROSS, bool WEIGHED>
__device__ inline void product(Sums &c, const T *a, int lda, const T *b, int ldb, const T *weights) {
#pragma unroll 2
    for (int k = 0; k < DEEP; k++) {
        T x[4], y[4];
#pragma unroll
        for (int e = 0; e < 4; e++) {
            x[e] = A_ACROSS ? a[k * lda + c.row(e)] : a[c.row(e) * lda + k];
            if (WEIGHED) x[e] *= weights[k];
        }
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int n = c.column(e >> 1) + (e & 1);
            y[e] = B_ACROSS ? b[k * ldb + n] : b[n * ldb + k];
        }
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int n = 0; n < 4; n++) c.v[e >> 1][n >> 1][(e & 1) * 2 + (n & 1)] += x[e] * y[n];
    }
}
#endif

// The sum over the four threads of a row.
__device__ inline T quadSum(T x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}
