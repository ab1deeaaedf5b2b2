// Lookups in a table of rows, and their gradient.
#include "common.cuh"

// Copies row ids[r] of w [.,d] to row r of y.
KERNEL embedding(const i64 *ids, const T *w, T *y, i64 n, i64 d) { EACH(i, n * d) y[i] = w[ids[i / d] * d + i % d]; }

// The sum of the rows of dy whose id is v, for every row v of dw. Block: 32
// columns by 32 threads that share the rows; grid: v, columns.
KERNEL embedding_grad(const i64 *ids, const T *dy, T *dw, i64 n, i64 d) {
    const i64 v = blockIdx.x, c = blockIdx.y * 32ll + threadIdx.x;
    T sum = 0;
    for (i64 r0 = threadIdx.y * 32ll; r0 < n; r0 += 1024) {
        const i64 r = r0 + threadIdx.x;
        unsigned who = __ballot_sync(~0u, r < n && ids[r] == v);
        while (who) {
            T in[4] = {};
#pragma unroll
            for (int k = 0; k < 4; k++) {
                if (who && c < d) in[k] = dy[(r0 + __ffs(who) - 1) * d + c];
                who &= who - 1;
            }
            sum += (in[0] + in[1]) + (in[2] + in[3]);
        }
    }
    __shared__ T room[32][33];
    room[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    sum = warpSum(room[threadIdx.x][threadIdx.y]); // of column threadIdx.y over the threads y
    const i64 column = blockIdx.y * 32ll + threadIdx.y;
    if (threadIdx.x == 0 && column < d) dw[v * d + column] = sum;
}

// The same for large tables, where the rows of dy are listed by id first. Their order
// in the list is theirs in dy, so that the sums are the same in every run.

// How many rows before r have its id, and in counts [v], zero before, the number of
// rows of each id. Block: RANKS threads.
#define RANKS 256
KERNEL __launch_bounds__(RANKS) embedding_ranks(const i64 *ids, int *ranks, int *counts, i64 n) {
    __shared__ __align__(16) int others[RANKS];
    i64 r = blockIdx.x * (i64)RANKS + threadIdx.x;
    int id = r < n ? (int)ids[r] : -1, rank = 0;
    for (i64 r0 = 0; r0 <= blockIdx.x * (i64)RANKS; r0 += RANKS) {
        __syncthreads();
        others[threadIdx.x] = r0 + threadIdx.x < n ? (int)ids[r0 + threadIdx.x] : -2;
        __syncthreads();
        int before = (int)min((i64)RANKS, r - r0), whole = before / 4;
#pragma unroll 8
        for (int k = 0; k < whole; k++) {
            int4 o = ((const int4 *)others)[k];
            rank += (o.x == id) + (o.y == id) + (o.z == id) + (o.w == id);
        }
        for (int k = 4 * whole; k < before; k++) rank += others[k] == id;
    }
    if (r >= n) return;
    ranks[r] = rank;
    atomicMax(counts + id, rank + 1);
}

// starts [v]: the sums of the counts before each id. One block of 1024 threads.
KERNEL __launch_bounds__(1024) embedding_starts(const int *counts, int *starts, i64 v) {
    __shared__ int sums[1024];
    i64 each = (v + 4095) / 4096 * 4, from = threadIdx.x * each, to = min(v, from + each), k = from;
    int sum = 0;
#pragma unroll 4
    for (; k + 4 <= to; k += 4) {
        int4 c = *(const int4 *)(counts + k);
        sum += c.x + c.y + c.z + c.w;
    }
    for (; k < to; k++) sum += counts[k];
    sums[threadIdx.x] = sum;
    for (int o = 1; o < 1024; o <<= 1) {
        __syncthreads();
        int more = threadIdx.x >= o ? sums[threadIdx.x - o] : 0;
        __syncthreads();
        sums[threadIdx.x] += more;
    }
    int at = sums[threadIdx.x] - sum;
    for (k = from; k + 4 <= to; k += 4) {
        int4 c = *(const int4 *)(counts + k);
        *(int4 *)(starts + k) = make_int4(at, at + c.x, at + c.x + c.y, at + c.x + c.y + c.z);
        at += c.x + c.y + c.z + c.w;
    }
    for (; k < to; k++) {
        starts[k] = at;
        at += counts[k];
    }
}

KERNEL embedding_list(const i64 *ids, const int *ranks, const int *starts, int *list, i64 n) {
    EACH(r, n) list[starts[ids[r]] + ranks[r]] = (int)r;
}

// Row v of dw: the sum of the listed rows of dy. Grid: v; threads share the columns.
KERNEL embedding_sums(const T *dy, const int *counts, const int *starts, const int *list, T *dw, i64 d) {
    i64 v = blockIdx.x;
    int rows = counts[v];
    list += starts[v];
    i64 whole = d % 4 == 0 ? d / 4 : 0;
    for (i64 c = threadIdx.x; c < whole; c += blockDim.x) {
        Four sum = {};
#pragma unroll 4
        for (int k = 0; k < rows; k++) {
            Four x = ((const Four *)dy)[list[k] * whole + c];
            for (int e = 0; e < 4; e++) sum.v[e] += x.v[e];
        }
        ((Four *)dw)[v * whole + c] = sum;
    }
    for (i64 c = 4 * whole + threadIdx.x; c < d; c += blockDim.x) {
        T sum = 0;
        for (int k = 0; k < rows; k++) sum += dy[list[k] * d + c];
        dw[v * d + c] = sum;
    }
}
