// A tile of the sum of outer products of rows, for the gradients of weights.
#pragma once
#include "common.cuh"

#define TILE 32
#define OUTER 64 // threads per block; each has 4 by 4 elements of the tile
#define DEPTH 16 // rows per pass

__device__ inline int tileRow(int m) { return threadIdx.x / 8 * 4 + m; }
__device__ inline int tileColumn(int n) { return threadIdx.x % 8 * 4 + n; }

#define eachOfTile(m, n)          \
    for (int m = 0; m < 4; m++) \
        for (int n = 0; n < 4; n++)

// sum = Σ_r a(r,i)·b(r,j) over rows from r0 to r1, for the thread's elements i, j of
// the tile.
template <typename A, typename B> __device__ inline void outer(A a, B b, i64 r0, i64 r1, T (&sum)[4][4]) {
    __shared__ Four left[DEPTH][TILE / 4], right[DEPTH][TILE / 4];
    eachOfTile(m, n) sum[m][n] = 0;
    int column = threadIdx.x % TILE;
    for (i64 r = r0; r < r1; r += DEPTH) {
        T p[DEPTH / 2], q[DEPTH / 2];
        for (int e = 0; e < DEPTH / 2; e++) {
            i64 row = r + 2 * e + threadIdx.x / TILE;
            p[e] = row < r1 ? a(row, column) : (T)0;
            q[e] = row < r1 ? b(row, column) : (T)0;
        }
        __syncthreads(); // the previous rows have been read
        for (int e = 0; e < DEPTH / 2; e++) {
            int row = 2 * e + threadIdx.x / TILE;
            left[row][column / 4].v[column % 4] = p[e];
            right[row][column / 4].v[column % 4] = q[e];
        }
        __syncthreads();
        for (int e = 0; e < DEPTH; e++) {
            Four x = left[e][threadIdx.x / 8], y = right[e][threadIdx.x % 8];
            eachOfTile(m, n) sum[m][n] += x.v[m] * y.v[n];
        }
    }
}
