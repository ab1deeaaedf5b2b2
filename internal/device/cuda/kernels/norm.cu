// Layer norm and RMS norm over groups of a row's columns: heads or whole rows.
// Block: lanes (a multiple of 32) by groups; grid: the groups of all rows. A thread
// keeps its columns, at most PER, in registers.
#include "common.cuh"

struct Norm {
    i64 n, groups, width; // n groups of width columns, `groups` to a row
    double eps;
    i64 centered, residual;
};

__device__ inline T factor(const T *w, i64 residual, i64 c) { return !w ? (T)1 : residual ? 1 + w[c] : w[c]; }

// A thread's columns, 0 beyond the width.
template <int PER> __device__ inline void columnsOf(const T *x, i64 width, T (&v)[PER]) {
#pragma unroll
    for (int k = 0; k < PER; k++) {
        i64 c = threadIdx.x + k * (i64)blockDim.x;
        v[k] = c < width ? x[c] : (T)0;
    }
}

// Replaces x by x − mean and returns the reciprocal of the deviation.
template <int PER> __device__ inline void center(const Norm &s, T (&x)[PER], T *room, T &mean, T &rstd) {
    T sum = 0, squares = 0;
    mean = 0;
    if (s.centered) {
        for (int k = 0; k < PER; k++) sum += x[k];
        mean = lanesSum(sum, room) / (T)s.width;
    }
    for (int k = 0; k < PER; k++) {
        x[k] = threadIdx.x + k * (i64)blockDim.x < s.width ? x[k] - mean : (T)0;
        squares += x[k] * x[k];
    }
    rstd = 1 / sqrt(lanesSum(squares, room) / (T)s.width + (T)s.eps);
}

// y = (x − mean)·rstd⊙f.
template <int PER> __device__ inline void forward(const Norm &s, const T *x, const T *w, T *y) {
    extern __shared__ char space[];
    i64 g = blockIdx.x * (i64)blockDim.y + threadIdx.y, c0 = g % s.groups * s.width;
    bool there = g < s.n; // all threads take part in the sums
    T v[PER], mean, rstd;
    columnsOf<PER>(x + (there ? g : 0) * s.width, s.width, v);
    center<PER>(s, v, (T *)space, mean, rstd);
    for (int k = 0; k < PER; k++) {
        i64 c = threadIdx.x + k * (i64)blockDim.x;
        if (there && c < s.width) y[g * s.width + c] = v[k] * rstd * factor(w, s.residual, c0 + c);
    }
}

// dx, and the statistics of every group, mean and rstd, for norm_weight_grad.
template <int PER> __device__ inline void backward(const Norm &s, const T *x, const T *w, const T *dy, T *dx, T *kept) {
    extern __shared__ char space[];
    T *room = (T *)space;
    i64 g = blockIdx.x * (i64)blockDim.y + threadIdx.y, c0 = g % s.groups * s.width;
    bool there = g < s.n;
    i64 at = (there ? g : 0) * s.width;
    T v[PER], up[PER], mean, rstd, sum = 0, sumX = 0;
    columnsOf<PER>(x + at, s.width, v);
    columnsOf<PER>(dy + at, s.width, up);
    center<PER>(s, v, room, mean, rstd);
    for (int k = 0; k < PER; k++) {
        i64 c = threadIdx.x + k * (i64)blockDim.x;
        if (c < s.width) up[k] *= factor(w, s.residual, c0 + c);
        v[k] *= rstd;
        sum += up[k];
        sumX += up[k] * v[k];
    }
    sum = s.centered ? lanesSum(sum, room) / (T)s.width : 0;
    sumX = lanesSum(sumX, room) / (T)s.width;
    for (int k = 0; k < PER; k++) {
        i64 c = threadIdx.x + k * (i64)blockDim.x;
        if (there && c < s.width) dx[at + c] = rstd * (up[k] - sum - v[k] * sumX);
    }
    if (there && threadIdx.x == 0) {
        kept[2 * g] = mean;
        kept[2 * g + 1] = rstd;
    }
}

#define KERNELS(PER, THREADS)                                                                                            \
    KERNEL __launch_bounds__(THREADS) norm_forward_##PER(Norm s, const T *x, const T *w, T *y) { forward<PER>(s, x, w, y); } \
    KERNEL __launch_bounds__(THREADS) norm_backward_##PER(Norm s, const T *x, const T *w, const T *dy, T *dx, T *kept) {     \
        backward<PER>(s, x, w, dy, dx, kept);                                                                              \
    }

KERNELS(4, 256)
KERNELS(8, 256)
KERNELS(16, 1024)
KERNELS(64, 1024)

// The parts of dw = Σ dy⊙x̂ over stretches of rows, for sum_parts. Block: 32 columns
// by threads that share the rows; grid: columns, stretches.
KERNEL norm_weight_grad(const T *x, const T *dy, const T *kept, T *part, i64 rows, i64 groups, i64 width, i64 stretch) {
    i64 d = groups * width, c = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = c < d ? min(rows, r0 + stretch) : r0, group = c / width;
    T sum = 0;
#pragma unroll 4
    for (i64 r = r0 + threadIdx.y; r < r1; r += blockDim.y) {
        i64 g = r * groups + group;
        sum += dy[r * d + c] * (x[r * d + c] - kept[2 * g]) * kept[2 * g + 1];
    }
    sum = rowsSum(sum);
    if (threadIdx.y == 0 && c < d) part[blockIdx.y * d + c] = sum;
}
