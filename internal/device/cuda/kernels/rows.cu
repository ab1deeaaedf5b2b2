// Sums over the rows of a matrix, in two steps: each block sums a stretch of rows for
// some columns, then sum_parts sums the stretches in order.
#include "common.cuh"

// The sums of the rows of x [n,d] over stretches of `stretch` rows: part [stretches,d].
// Block: 32 columns by threads that share the rows; grid: columns, stretches.
KERNEL column_sums(In x, T *part, i64 n, i64 d, i64 stretch) {
    i64 c = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = c < d ? min(n, r0 + stretch) : r0;
    T sum = 0;
#pragma unroll 4
    for (i64 r = r0 + threadIdx.y; r < r1; r += blockDim.y) sum += x[r * d + c];
    sum = rowsSum(sum);
    if (threadIdx.y == 0 && c < d) part[blockIdx.y * d + c] = sum;
}

// y [n] = Σ_i part[i,·]. Block: that of rowsSum; grid: columns.
KERNEL sum_parts(const T *part, T *y, i64 parts, i64 n) {
    i64 c = blockIdx.x * 32ll + threadIdx.x;
    T sum = partsSum(part, parts, n, c, c < n);
    if (threadIdx.y == 0 && c < n) y[c] = sum;
}
