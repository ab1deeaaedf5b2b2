// The largest of many numbers, in order: of equal ones the first, NaN before all.
#include "common.cuh"

#define AT_ONCE 2048

// Whether x, number i, comes before y, number j; −1 is no number.
__device__ inline bool ahead(T x, int i, T y, int j) {
    if (i < 0 || j < 0) return i >= 0;
    bool nan = x != x, other = y != y;
    if (nan || other) return nan && (!other || i < j);
    return x > y || x == y && i < j;
}

// The first k of each AT_ONCE of n numbers, a block each: for k > 1 sorted by a bitonic
// network. The numbers are those of `from`, or 0, 1, … if it is null, and the places that
// are left over get number −1. Their values go to values [blocks,k], and they themselves
// to at or places.
KERNEL __launch_bounds__(AT_ONCE / 2) largest(const T *x, const int *from, i64 n, T *values, T *at, int *places, i64 k) {
    __shared__ T v[AT_ONCE];
    __shared__ int p[AT_ONCE];
    i64 first = blockIdx.x * (i64)AT_ONCE;
    for (int i = threadIdx.x; i < AT_ONCE; i += blockDim.x) {
        bool there = first + i < n;
        v[i] = there ? x[first + i] : 0;
        p[i] = !there ? -1 : from ? from[first + i] : (int)(first + i);
    }
    if (k == 1)
        for (int stride = AT_ONCE / 2; stride; stride /= 2) {
            __syncthreads();
            int i = threadIdx.x, j = i + stride;
            if (i < stride && ahead(v[j], p[j], v[i], p[i])) v[i] = v[j], p[i] = p[j];
        }
    for (int size = 2; k > 1 && size <= AT_ONCE; size *= 2)
        for (int stride = size / 2; stride; stride /= 2) {
            __syncthreads();
            int i = 2 * threadIdx.x - (threadIdx.x & (stride - 1)), j = i + stride;
            T a = v[i], b = v[j];
            int ia = p[i], ib = p[j];
            bool up = (i & size) == 0;
            if (up ? ahead(b, ib, a, ia) : ahead(a, ia, b, ib)) v[i] = b, p[i] = ib, v[j] = a, p[j] = ia;
        }
    __syncthreads();
    for (int i = threadIdx.x; i < k; i += blockDim.x) {
        i64 to = blockIdx.x * k + i;
        values[to] = v[i];
        if (at) at[to] = (T)p[i];
        else places[to] = p[i];
    }
}
