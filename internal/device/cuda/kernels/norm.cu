// Layer norm and RMS norm over groups of a row's columns: heads, or whole rows.
// Block: lanes (a multiple of 32) by groups; grid: the groups of all rows.
#include "common.cuh"

__device__ inline T factor(const T *w, int residual, i64 c) { return !w ? (T)1 : residual ? 1 + w[c] : w[c]; }

// The statistics of a group.
__device__ inline void stats(const T *x, i64 width, T eps, int centered, T *room, T &mean, T &rstd) {
    mean = 0;
    if (centered) {
        T sum = 0;
        for (i64 c = threadIdx.x; c < width; c += blockDim.x) sum += x[c];
        mean = lanesSum(sum, room) / (T)width;
    }
    T squares = 0;
    for (i64 c = threadIdx.x; c < width; c += blockDim.x) squares += (x[c] - mean) * (x[c] - mean);
    rstd = 1 / sqrt(lanesSum(squares, room) / (T)width + eps);
}

// y = (x − mean)·rstd⊙f for n groups of width columns, `groups` to a row.
KERNEL norm_forward(const T *x, const T *w, T *y, i64 n, i64 groups, i64 width, T eps, int centered, int residual) {
    extern __shared__ char space[];
    i64 g = blockIdx.x * (i64)blockDim.y + threadIdx.y, c0 = g % groups * width;
    bool there = g < n; // all threads take part in the sums
    x += (there ? g : 0) * width;
    T mean, rstd;
    stats(x, width, eps, centered, (T *)space, mean, rstd);
    for (i64 c = threadIdx.x; there && c < width; c += blockDim.x) y[g * width + c] = (x[c] - mean) * rstd * factor(w, residual, c0 + c);
}

// dx, and the statistics of every group, mean and rstd, for norm_weight_grad.
KERNEL norm_backward(const T *x, const T *w, const T *dy, T *dx, T *kept, i64 n, i64 groups, i64 width, T eps, int centered, int residual) {
    extern __shared__ char space[];
    T *room = (T *)space;
    i64 g = blockIdx.x * (i64)blockDim.y + threadIdx.y, c0 = g % groups * width;
    bool there = g < n;
    i64 at = (there ? g : 0) * width;
    T mean, rstd;
    stats(x + at, width, eps, centered, room, mean, rstd);
    T sum = 0, sumX = 0;
    for (i64 c = threadIdx.x; c < width; c += blockDim.x) {
        T up = dy[at + c] * factor(w, residual, c0 + c);
        sum += up;
        sumX += up * (x[at + c] - mean) * rstd;
    }
    sum = centered ? lanesSum(sum, room) / (T)width : 0;
    sumX = lanesSum(sumX, room) / (T)width;
    for (i64 c = threadIdx.x; there && c < width; c += blockDim.x) {
        T up = dy[at + c] * factor(w, residual, c0 + c);
        dx[at + c] = rstd * (up - sum - (x[at + c] - mean) * rstd * sumX);
    }
    if (there && threadIdx.x == 0) {
        kept[2 * g] = mean;
        kept[2 * g + 1] = rstd;
    }
}

// The parts of dw = Σ dy⊙x̂ over stretches of rows, for sum_parts.
KERNEL norm_weight_grad(const T *x, const T *dy, const T *kept, T *part, i64 rows, i64 groups, i64 width, i64 stretch) {
    i64 d = groups * width, c = blockIdx.x * (i64)blockDim.x + threadIdx.x, r0 = blockIdx.y * stretch;
    if (c >= d) return;
    T sum = 0;
    for (i64 r = r0; r < min(rows, r0 + stretch); r++) {
        i64 g = r * groups + c / width;
        sum += dy[r * d + c] * (x[r * d + c] - kept[2 * g]) * kept[2 * g + 1];
    }
    part[blockIdx.y * d + c] = sum;
}
