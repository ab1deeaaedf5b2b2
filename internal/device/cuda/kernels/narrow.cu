// Linear maps of a wide input to a few columns, such as the gates of the xLSTM-7B
// architecture, all columns in one pass over the input x [n,k].
//gen: f32
#include "common.cuh"

#define COLUMNS 8

// A column of a result y [n,ld], or of its gradient, which may be null, and the row of
// the weights for it.
struct Column {
    const void *w;
    i64 half; // w is in bfloat16
    const T *bias; // of the column, or null
    void *y;
    i64 yHalf, ld, at;
    T *dw; // the row's gradient
};

struct Narrow {
    i64 n, k, count;
    Column c[COLUMNS];
};

// The eights of x at four places, all of which are read at the same time: a load that
// converts by itself lets the next one wait.
__device__ inline void eights(In x, const i64 (&at)[4], Eight (&e)[4]) {
    if (!x.half) {
#pragma unroll
        for (int q = 0; q < 4; q++) e[q] = In{x.at, 0}.eight(at[q]);
        return;
    }
    uint4 h[4];
#pragma unroll
    for (int q = 0; q < 4; q++) h[q] = ((const uint4 *)x.at)[at[q]];
#pragma unroll
    for (int q = 0; q < 4; q++) {
        unsigned w[4] = {h[q].x, h[q].y, h[q].z, h[q].w};
#pragma unroll
        for (int i = 0; i < 4; i++) e[q].v[2 * i] = fromHalf(w[i] & 0xffff), e[q].v[2 * i + 1] = fromHalf(w[i] >> 16);
    }
}

// Four rows to a warp. Shared memory: the weights [count,k].
KERNEL __launch_bounds__(256, 2) narrow(const __grid_constant__ Narrow s, In x) {
    extern __shared__ __align__(16) char space[];
    T *w = (T *)space;
    const int wide = (int)s.k / 8, lane = threadIdx.x & 31;
    for (int i = threadIdx.x; i < (int)s.count * wide; i += blockDim.x) {
        Eight e = In{s.c[i / wide].w, s.c[i / wide].half}.eight(i % wide);
        Out{w, 0}.eight(i, e);
    }
    __syncthreads();
    for (i64 r = (blockIdx.x * 8ll + threadIdx.x / 32) * 4; r < s.n; r += gridDim.x * 32ll) {
        T sum[4][COLUMNS] = {};
        for (int c = lane; c < wide; c += 32) {
            i64 at[4];
#pragma unroll
            for (int q = 0; q < 4; q++) at[q] = min(r + q, s.n - 1) * wide + c;
            Eight in[4];
            eights(x, at, in);
#pragma unroll
            for (int m = 0; m < COLUMNS; m++) {
                if (m >= s.count) break;
                Eight f = In{w, 0}.eight(m * wide + c);
#pragma unroll
                for (int q = 0; q < 4; q++)
#pragma unroll
                    for (int e = 0; e < 4; e++) sum[q][m] += f.v[e] * in[q].v[e] + f.v[4 + e] * in[q].v[4 + e];
            }
        }
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) {
            if (m >= s.count) break;
            const Column &c = s.c[m];
            T bias = c.bias ? *c.bias : (T)0;
            Out y = {c.y, c.yHalf};
#pragma unroll
            for (int q = 0; q < 4; q++) {
                T u = warpSum(sum[q][m]);
                if (lane == q && r + q < s.n) y.put((r + q) * c.ld + c.at, u + bias);
            }
        }
    }
}

// The rows of a tile of the gradients of the results, which is read at once: one number
// after the other, each would be waited for.
#define ROWS 32
struct Tile { T up[ROWS][COLUMNS]; };

// Rows r0 and those that follow, 0 beyond the last row and column, for all threads of
// a block.
__device__ inline void readTile(const Narrow &s, i64 r0, Tile &tile) {
    __syncthreads(); // the tile before may still be read
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < ROWS * COLUMNS; i += blockDim.x * blockDim.y) {
        int m = i % COLUMNS;
        i64 r = r0 + i / COLUMNS;
        const Column &c = s.c[m];
        tile.up[i / COLUMNS][m] = m < s.count && r < s.n && c.y ? In{c.y, c.yHalf}[r * c.ld + c.at] : (T)0;
    }
    __syncthreads();
}

// dx. Block: k/8 threads by rows.
KERNEL __launch_bounds__(256, 2) narrow_dx(const __grid_constant__ Narrow s, Out dx) {
    __shared__ __align__(16) Tile tile;
    T w[COLUMNS][8];
    i64 c = threadIdx.x;
#pragma unroll
    for (int m = 0; m < COLUMNS; m++) {
        Eight e = {};
        if (m < s.count) e = In{s.c[m].w, s.c[m].half}.eight(c);
        for (int i = 0; i < 8; i++) w[m][i] = e.v[i];
    }
    for (i64 r0 = blockIdx.x * (i64)ROWS; r0 < s.n; r0 += gridDim.x * (i64)ROWS) {
        readTile(s, r0, tile);
        for (int r = threadIdx.y; r < ROWS && r0 + r < s.n; r += blockDim.y) {
            Eight down = {}, up = In{tile.up[r], 0}.eight(0);
#pragma unroll
            for (int m = 0; m < COLUMNS; m++)
#pragma unroll
                for (int i = 0; i < 8; i++) down.v[i] += up.v[m] * w[m][i];
            dx.eight((r0 + r) * (s.k / 8) + c, down);
        }
    }
}

// The parts of dw: part [blocks·blockDim.y,count,k]. Block: k/8 threads by rows, of which
// four times as many fit a tile evenly.
KERNEL __launch_bounds__(256, 1) narrow_dw(const __grid_constant__ Narrow s, In x, T *part) {
    __shared__ __align__(16) Tile tile;
    T sum[COLUMNS][8] = {};
    i64 c = threadIdx.x, p = blockIdx.x * (i64)blockDim.y + threadIdx.y;
    for (i64 r0 = blockIdx.x * (i64)ROWS; r0 < s.n; r0 += gridDim.x * (i64)ROWS) {
        readTile(s, r0, tile);
        for (int r = threadIdx.y; r < ROWS; r += 4 * blockDim.y) {
            i64 at[4];
#pragma unroll
            for (int q = 0; q < 4; q++) at[q] = min(r0 + r + q * (int)blockDim.y, s.n - 1) * (s.k / 8) + c;
            Eight in[4];
            eights(x, at, in);
#pragma unroll
            for (int q = 0; q < 4; q++) {
                Eight up = In{tile.up[r + q * blockDim.y], 0}.eight(0);
#pragma unroll
                for (int m = 0; m < COLUMNS; m++)
#pragma unroll
                    for (int i = 0; i < 8; i++) sum[m][i] += up.v[m] * in[q].v[i];
            }
        }
    }
#pragma unroll
    for (int m = 0; m < COLUMNS; m++) {
        if (m >= s.count) break;
        Eight e;
        for (int i = 0; i < 8; i++) e.v[i] = sum[m][i];
        Out{part, 0}.eight((p * s.count + m) * (s.k / 8) + c, e);
    }
}

// The gradients of the results and the rows of the weights as those of eight columns of
// a joint of maps, in bfloat16, zero beyond the last column: dy at column `at` of rows of
// `ld`, in eights, and w [8,k]. Grid: threads for rows, and y = 1 for the weights.
KERNEL narrow_join(const __grid_constant__ Narrow s, uint4 *dy, i64 ld, i64 at, uint4 *w) {
    const i64 wide = s.k / 8;
    EACH(i, blockIdx.y ? COLUMNS * wide : s.n) {
        Eight e = {};
        if (blockIdx.y) {
            const Column &c = s.c[i / wide];
            if (i / wide < s.count) e = In{c.w, c.half}.eight(i % wide);
        } else {
#pragma unroll
            for (int m = 0; m < COLUMNS; m++) {
                const Column &c = s.c[m];
                if (m < s.count && c.y) e.v[m] = In{c.y, c.yHalf}[i * c.ld + c.at];
            }
        }
        Out{blockIdx.y ? w : dy, 1}.eight(blockIdx.y ? i : i * ld + at, e);
    }
}

// dw from the parts. Block as rowsSum requires; grid: the sums.
KERNEL narrow_sums(const __grid_constant__ Narrow s, const T *part, i64 parts) {
    i64 i = blockIdx.x * 32ll + threadIdx.x, size = s.count * s.k;
    T sum = partsSum(part, parts, size, i, i < size);
    if (threadIdx.y == 0 && i < size) s.c[i / s.k].dw[i % s.k] = sum;
}
