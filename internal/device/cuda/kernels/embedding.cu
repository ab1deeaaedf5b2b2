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

// A long list, of more than STRETCH rows, is summed in parts, so that a frequent id does
// not take one block as long as all others together. The lists of all ids lie one
// behind the other in stretches of STRETCH rows; a part is what a stretch has of a long
// list, of which it may have the end of one and the beginning of another.
#define STRETCH 64

// Columns of the sum of the listed rows of dy, for all threads of a block.
__device__ __forceinline__ void sumRows(const T *dy, const int *list, int rows, T *to, i64 d) {
    i64 whole = d % 4 == 0 ? d / 4 : 0;
    for (i64 c = threadIdx.x; c < whole; c += blockDim.x) {
        Four sum = {};
#pragma unroll 4
        for (int k = 0; k < rows; k++) {
            Four x = ((const Four *)dy)[list[k] * whole + c];
            for (int e = 0; e < 4; e++) sum.v[e] += x.v[e];
        }
        ((Four *)to)[c] = sum;
    }
    for (i64 c = 4 * whole + threadIdx.x; c < d; c += blockDim.x) {
        T sum = 0;
        for (int k = 0; k < rows; k++) sum += dy[list[k] * d + c];
        to[c] = sum;
    }
}

// Row v of dw, unless its list is long: the sum of the listed rows of dy. Blocks from v
// on: the parts of a stretch, [2,d] for each, first that of the list that began before.
KERNEL embedding_sums(const i64 *ids, const T *dy, const int *counts, const int *starts, const int *list, T *dw, T *parts, i64 n, i64 v, i64 d) {
    i64 r = blockIdx.x;
    if (r < v) {
        if (counts[r] <= STRETCH) sumRows(dy, list + starts[r], counts[r], dw + r * d, d);
        return;
    }
    i64 from = (r - v) * STRETCH, to = min(n, from + STRETCH);
    i64 first = ids[list[from]], last = ids[list[to - 1]];
    parts += 2 * (r - v) * d;
    if (starts[first] < from && counts[first] > STRETCH)
        sumRows(dy, list + from, (int)(min(to, (i64)starts[first] + counts[first]) - from), parts, d);
    if (starts[last] >= from && counts[last] > STRETCH) sumRows(dy, list + starts[last], (int)(to - starts[last]), parts + d, d);
}

// The rows of dw that have a long list: the sums of their parts, which begin in the
// stretch of the block's number.
KERNEL embedding_long(const i64 *ids, const int *counts, const int *starts, const int *list, T *dw, const T *parts, i64 n, i64 d) {
    i64 from = blockIdx.x * (i64)STRETCH, to = min(n, from + STRETCH), id = ids[list[to - 1]], end = starts[id] + counts[id];
    if (starts[id] < from || counts[id] <= STRETCH) return;
    i64 more = (end - 1) / STRETCH - blockIdx.x; // stretches
    parts += 2 * blockIdx.x * d;
    for (i64 c = threadIdx.x; c < d; c += blockDim.x) {
        T sum = parts[d + c];
#pragma unroll 8
        for (i64 k = 1; k <= more; k++) sum += parts[2 * k * d + c];
        dw[id * d + c] = sum;
    }
}
