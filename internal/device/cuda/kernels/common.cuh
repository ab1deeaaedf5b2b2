// Definitions that the kernels share. Every file is compiled twice, with float and
// with double as ELEMENT. Sums run in a fixed order, so that the same inputs give the
// same bits.
#pragma once

typedef ELEMENT T;

typedef long long i64;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void

// Loops over n elements with all threads of a one-dimensional grid.
#define EACH(i, n) \
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < (n); i += (i64)gridDim.x * blockDim.x)

// The address of shared memory that instructions for it take.
__device__ __forceinline__ unsigned shared(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ inline T infinity() { return (T)__int_as_float(0x7f800000); }

// The sum over the lanes of a warp, returned to all of them.
template <typename X> __device__ inline X warpSum(X x) {
    for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(~0u, x, o);
    return x;
}

template <typename X> __device__ inline X warpMax(X x) {
    for (int o = 16; o; o >>= 1) {
        X y = __shfl_xor_sync(~0u, x, o);
        x = y > x ? y : x;
    }
    return x;
}

// The sum over the threads x of a block, a multiple of 32, for each y, returned to
// all of them. room holds 32 elements for each y.
template <typename X> __device__ inline X lanesSum(X x, X *room) {
    x = warpSum(x);
    int warps = blockDim.x >> 5;
    if (warps == 1) return x;
    room += threadIdx.y * 32;
    __syncthreads(); // room may still be read from the sum before
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = x;
    __syncthreads();
    x = 0;
    for (int w = 0; w < warps; w++) x += room[w];
    return x;
}

template <typename X> __device__ inline X lanesMax(X x, X *room) {
    x = warpMax(x);
    int warps = blockDim.x >> 5;
    if (warps == 1) return x;
    room += threadIdx.y * 32;
    __syncthreads();
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = x;
    __syncthreads();
    for (int w = 0; w < warps; w++) x = room[w] > x ? room[w] : x;
    return x;
}

// Numbers that are added to a result on the way, or null.
struct Addends { const T *at[2]; };

__device__ inline T plused(T x, const Addends &plus, i64 i) {
    if (plus.at[0]) x += plus.at[0][i];
    if (plus.at[1]) x += plus.at[1][i];
    return x;
}

// Four neighbouring elements, read and written at once; the address must be a
// multiple of 16 bytes.
struct __align__(16) Four { T v[4]; };

__device__ inline bool fours(const void *a) { return ((u64)a & 15) == 0; }

// Operands that are stored as T or, where half is set, in bfloat16. Eight neighbours
// are read and written at once: element 8·i is the first, and the address a multiple
// of 16 bytes.
struct Eight { T v[8]; };

__device__ inline T fromHalf(unsigned h) { return (T)__uint_as_float(h << 16); }
__device__ inline unsigned toHalves(T lo, T hi) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"((float)hi), "f"((float)lo));
    return r;
}

struct In {
    const void *at;
    i64 half;
    __device__ T operator[](i64 i) const { return half ? fromHalf(((const unsigned short *)at)[i]) : ((const T *)at)[i]; }
    // Element 4·i is the first.
    __device__ Four four(i64 i) const {
        if (!half) return ((const Four *)at)[i];
        uint2 h = ((const uint2 *)at)[i];
        return {{fromHalf(h.x & 0xffff), fromHalf(h.x >> 16), fromHalf(h.y & 0xffff), fromHalf(h.y >> 16)}};
    }
    __device__ Eight eight(i64 i) const {
        Eight e;
        if (half) {
            uint4 h = ((const uint4 *)at)[i];
            unsigned w[4] = {h.x, h.y, h.z, h.w};
#pragma unroll
            for (int k = 0; k < 4; k++) e.v[2 * k] = fromHalf(w[k] & 0xffff), e.v[2 * k + 1] = fromHalf(w[k] >> 16);
            return e;
        }
        Four a = ((const Four *)at)[2 * i], b = ((const Four *)at)[2 * i + 1];
#pragma unroll
        for (int k = 0; k < 4; k++) e.v[k] = a.v[k], e.v[4 + k] = b.v[k];
        return e;
    }
};

struct Out {
    void *at;
    i64 half;
    __device__ void put(i64 i, T x) const {
        if (half) ((unsigned short *)at)[i] = (unsigned short)toHalves(x, 0);
        else ((T *)at)[i] = x;
    }
    __device__ void four(i64 i, const Four &f) const {
        if (half) ((uint2 *)at)[i] = make_uint2(toHalves(f.v[0], f.v[1]), toHalves(f.v[2], f.v[3]));
        else ((Four *)at)[i] = f;
    }
    __device__ void eight(i64 i, const Eight &e) const {
        if (half) {
            ((uint4 *)at)[i] = make_uint4(toHalves(e.v[0], e.v[1]), toHalves(e.v[2], e.v[3]), toHalves(e.v[4], e.v[5]), toHalves(e.v[6], e.v[7]));
            return;
        }
        Four a, b;
#pragma unroll
        for (int k = 0; k < 4; k++) a.v[k] = e.v[k], b.v[k] = e.v[4 + k];
        ((Four *)at)[2 * i] = a, ((Four *)at)[2 * i + 1] = b;
    }
};

// The sum over y of a block of 32 threads along x and at most 16 along y, returned to
// the threads of y = 0.
__device__ inline T rowsSum(T sum) {
    __shared__ T room[16][32];
    __syncthreads(); // room may still be read from the sum before
    room[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    for (int y = 1; threadIdx.y == 0 && y < blockDim.y; y++) sum += room[y][threadIdx.x];
    return sum;
}

// Σ_p part[p·stride + at] over `parts` parts, or 0 unless `there`. The block is that
// of rowsSum.
__device__ inline T partsSum(const T *part, i64 parts, i64 stride, i64 at, bool there) {
    T sum = 0;
#pragma unroll 4
    for (i64 p = there ? threadIdx.y : parts; p < parts; p += blockDim.y) sum += part[p * stride + at];
    return rowsSum(sum);
}

// The activations, numbered as in internal/vec.
enum { SIGMOID, LOG_SIGMOID, TANH, SILU, GELU, RELU, RELU_SQUARED, SELU };

#define SELU_ALPHA ((T)1.6732632423543772848170429916717)
#define SELU_SCALE ((T)1.0507009873554804934193349852946)
#define SQRT_HALF ((T)0.70710678118654752440)
#define INV_SQRT_2PI ((T)0.39894228040143267794)

__device__ inline T sigmoid(T x) { return 1 / (1 + exp(-x)); }
__device__ inline T logSigmoid(T x) { return min(x, (T)0) - log1p(exp(-abs(x))); }

// Functions for results that are stored in bfloat16: quick, and exact to some 20 bits.
__device__ inline double quickExp(double x) { return exp(x); }
__device__ inline float quickExp(float x) { return __expf(x); }
__device__ inline double quickRatio(double x, double y) { return x / y; }
__device__ inline float quickRatio(float x, float y) { return __fdividef(x, y); }
__device__ inline T quickSigmoid(T x) { return quickRatio((T)1, 1 + quickExp(-x)); }

// x bounded from below, so that its product with a factor that underflows is zero.
__device__ inline T fromBelow(T x) { return max((T)-1000, x); }

__device__ inline T activate(int a, T x) {
    switch (a) {
    case SIGMOID: return sigmoid(x);
    case LOG_SIGMOID: return logSigmoid(x);
    case TANH: return tanh(x);
    case SILU: return fromBelow(x) * sigmoid(x);
    case GELU: return fromBelow(x) * (T)0.5 * erfc(-x * SQRT_HALF);
    case RELU: return x < 0 ? 0 : x;
    case RELU_SQUARED: return x < 0 ? 0 : x * x;
    }
    return x > 0 ? SELU_SCALE * x : SELU_SCALE * SELU_ALPHA * expm1(x);
}

// The derivative of an activation at x.
__device__ inline T slope(int a, T x) {
    T s;
    switch (a) {
    case SIGMOID: return sigmoid(x) * sigmoid(-x);
    case LOG_SIGMOID: return sigmoid(-x);
    case TANH:
        s = tanh(x);
        return 1 - s * s;
    case SILU:
        x = min(fromBelow(x), (T)1000);
        return sigmoid(x) * (1 + x * sigmoid(-x));
    case GELU:
        x = min(fromBelow(x), (T)1000);
        return (T)0.5 * erfc(-x * SQRT_HALF) + x * exp(-x * x / 2) * INV_SQRT_2PI;
    case RELU: return x > 0 ? 1 : x <= 0 ? 0 : x;
    case RELU_SQUARED: return x <= 0 ? 0 : 2 * x;
    }
    return x > 0 ? SELU_SCALE : SELU_SCALE * SELU_ALPHA * exp(x);
}

// A row of a Resets array: whether a document begins at step t of sequence b.
__device__ inline bool begins(const i64 *resets, i64 steps, i64 b, i64 t) { return resets && resets[b * steps + t]; }
