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

// Two rows to a warp. Shared memory: the weights [count,k].
KERNEL __launch_bounds__(256) narrow(const __grid_constant__ Narrow s, In x) {
    extern __shared__ __align__(16) char space[];
    T *w = (T *)space;
    for (i64 i = threadIdx.x; i < s.count * s.k; i += blockDim.x) w[i] = In{s.c[i / s.k].w, s.c[i / s.k].half}[i % s.k];
    __syncthreads();
    int lane = threadIdx.x & 31;
    for (i64 r = (blockIdx.x * 8ll + threadIdx.x / 32) * 2; r < s.n; r += gridDim.x * 16ll) {
        i64 next = r + 1 < s.n ? s.k : 0;
        T sum[2][COLUMNS] = {};
        for (i64 c = lane * 8; c < s.k; c += 256) {
            Eight a = x.eight((r * s.k + c) / 8), b = x.eight((r * s.k + next + c) / 8);
#pragma unroll
            for (int m = 0; m < COLUMNS; m++) {
                if (m >= s.count) break;
                Four p = *(const Four *)(w + m * s.k + c), q = *(const Four *)(w + m * s.k + c + 4);
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    sum[0][m] += p.v[e] * a.v[e] + q.v[e] * a.v[4 + e];
                    sum[1][m] += p.v[e] * b.v[e] + q.v[e] * b.v[4 + e];
                }
            }
        }
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) {
            if (m >= s.count) break;
            T u = warpSum(sum[0][m]), v = warpSum(sum[1][m]);
            const Column &c = s.c[m];
            T bias = c.bias ? *c.bias : (T)0;
            Out y = {c.y, c.yHalf};
            if (lane == 0) y.put(r * c.ld + c.at, u + bias);
            if (lane == 1 && next) y.put((r + 1) * c.ld + c.at, v + bias);
        }
    }
}

// dx. Block: k/8 threads by rows.
KERNEL __launch_bounds__(256, 2) narrow_dx(const __grid_constant__ Narrow s, Out dx) {
    T w[COLUMNS][8];
    i64 c = threadIdx.x;
#pragma unroll
    for (int m = 0; m < COLUMNS; m++) {
        Eight e = {};
        if (m < s.count) e = In{s.c[m].w, s.c[m].half}.eight(c);
        for (int i = 0; i < 8; i++) w[m][i] = e.v[i];
    }
    for (i64 r = blockIdx.x * (i64)blockDim.y + threadIdx.y; r < s.n; r += gridDim.x * (i64)blockDim.y) {
        Eight down = {};
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) {
            if (m >= s.count) break;
            const Column &g = s.c[m];
            T up = g.y ? In{g.y, g.yHalf}[r * g.ld + g.at] : (T)0;
#pragma unroll
            for (int i = 0; i < 8; i++) down.v[i] += up * w[m][i];
        }
        dx.eight(r * (s.k / 8) + c, down);
    }
}

// The parts of dw: part [blocks·blockDim.y,count,k]. Block: k/8 threads by rows.
KERNEL __launch_bounds__(256, 1) narrow_dw(const __grid_constant__ Narrow s, In x, T *part) {
    T sum[COLUMNS][8] = {};
    i64 c = threadIdx.x, p = blockIdx.x * (i64)blockDim.y + threadIdx.y;
#pragma unroll 4
    for (i64 r = p; r < s.n; r += gridDim.x * (i64)blockDim.y) {
        Eight in = x.eight(r * (s.k / 8) + c);
#pragma unroll
        for (int m = 0; m < COLUMNS; m++) {
            if (m >= s.count) break;
            const Column &g = s.c[m];
            T up = g.y ? In{g.y, g.yHalf}[r * g.ld + g.at] : (T)0;
#pragma unroll
            for (int i = 0; i < 8; i++) sum[m][i] += up * in.v[i];
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

// dw from the parts. Block as rowsSum requires; grid: the sums.
KERNEL narrow_sums(const __grid_constant__ Narrow s, const T *part, i64 parts) {
    i64 i = blockIdx.x * 32ll + threadIdx.x, size = s.count * s.k;
    T sum = partsSum(part, parts, size, i, i < size);
    if (threadIdx.y == 0 && i < size) s.c[i / s.k].dw[i % s.k] = sum;
}
