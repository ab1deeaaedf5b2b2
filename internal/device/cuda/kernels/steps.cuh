// Sums of a step of a recurrence that takes a launch, so that all processors share
// them.
#pragma once
#include "common.cuh"

#define ROWS 8    // sequences of a block
#define SUMS 4    // for each of them, of a warp
#define COLUMNS 512 // in shared memory at once

// The sums over a warp of N numbers: the lanes halve those that they add up for,
// until each has one, that of its number.
template <int N, int ALL> __device__ __forceinline__ void halve(T (&sum)[ALL], int lane) {
    if constexpr (N > 1) {
        const bool up = lane & (N / 2);
#pragma unroll
        for (int i = 0; i < N / 2; i++) {
            T send = up ? sum[i] : sum[i + N / 2], keep = up ? sum[i + N / 2] : sum[i];
            sum[i] = keep + __shfl_xor_sync(~0u, send, N / 2);
        }
        halve<N / 2>(sum, lane);
    }
}

// Σ_k w_s[k]·x(q,k) for the SUMS rows w of the warp's own and the block's sequences q:
// that of s and q in lane s·ROWS + q. w is null for sums that are not there.
template <typename X> __device__ inline T sumsOfSteps(const T *const (&w)[SUMS], X x, int n) {
    __shared__ T room[ROWS][COLUMNS];
    T sum[SUMS * ROWS] = {};
    const int lane = threadIdx.x % 32;
    for (int k0 = 0; k0 < n; k0 += COLUMNS) {
        const int some = min(COLUMNS, n - k0);
        __syncthreads(); // the columns before have been read
#pragma unroll 4
        for (int e = threadIdx.x; e < ROWS * COLUMNS; e += blockDim.x)
            if (e % COLUMNS < some) room[e / COLUMNS][e % COLUMNS] = x(e / COLUMNS, k0 + e % COLUMNS);
        __syncthreads();
#pragma unroll 4
        for (int k = lane; k < some; k += 32) {
            T in[ROWS];
#pragma unroll
            for (int q = 0; q < ROWS; q++) in[q] = room[q][k];
#pragma unroll
            for (int s = 0; s < SUMS; s++) {
                const T f = w[s] ? w[s][k0 + k] : (T)0;
#pragma unroll
                for (int q = 0; q < ROWS; q++) sum[s * ROWS + q] += f * in[q];
            }
        }
    }
    halve<SUMS * ROWS>(sum, lane);
    return sum[0];
}
