// Layer norm and RMS norm over groups of a row's columns: heads, or whole rows.
// Block: lanes (a multiple of 32) by groups; grid: the groups of all rows. A thread
// keeps its columns in registers, PER of them at most: eights of neighbours if WIDE,
// which the width must be a multiple of.
#pragma once
#include "early.cuh"

struct Norm {
    i64 n, groups, width; // n groups of width columns, `groups` to a row
    double eps;
    i64 centered, residual;
    // Unless null, the rests of a stream that is read, of which In has the twin, and of the
    // one that is written: of x and sum forward, of more and dx backward.
    const unsigned short *rests;
    unsigned short *toRests;
};

// Column k of a thread.
template <bool WIDE> __device__ inline int column(int k) {
    return WIDE ? (threadIdx.x + k / 8 * blockDim.x) * 8 + k % 8 : threadIdx.x + k * blockDim.x;
}

// The columns of a thread from the group that begins at `at`, 0 beyond the width.
template <int PER, bool WIDE> __device__ inline void load(In x, i64 at, int width, T (&v)[PER]) {
#pragma unroll
    for (int k = 0; k < PER; k += WIDE ? 8 : 1) {
        int c = column<WIDE>(k);
        if (!WIDE) {
            v[k] = c < width ? x[at + c] : (T)0;
            continue;
        }
        Eight e = {};
        if (c < width) e = x.eight((at + c) / 8);
#pragma unroll
        for (int j = 0; j < 8; j++) v[(k + j) % PER] = e.v[j];
    }
}

// Columns of a thread that are read now and used later: numbers, or eights of type E.
template <int PER> struct Columns {
    T v[PER];
    __device__ void read(In x, i64 at, int width) { load<PER, false>(x, at, width, v); }
    __device__ void numbers(T (&to)[PER]) const {
        for (int k = 0; k < PER; k++) to[k] = v[k];
    }
    static __device__ bool half(In x) { return x.half; }
};

template <int PER, typename E> struct WideColumns {
    E eights[PER / 8];
    __device__ void read(In x, i64 at, int width) {
#pragma unroll
        for (int k = 0; k < PER; k += 8) {
            eights[k / 8] = E();
            if (column<true>(k) < width) eights[k / 8].read(x, (at + column<true>(k)) >> 3);
        }
    }
    __device__ void numbers(T (&to)[PER]) const {
#pragma unroll
        for (int k = 0; k < PER; k++) to[k] = eights[k / 8].numbers().v[k % 8];
    }
    static __device__ bool half(In x) { return E::half(x); }
};

// Lets the cache fetch the columns of a thread for a later load, if they are eights.
template <int PER, bool WIDE> __device__ inline void fetchSoon(In x, i64 at, int width) {
#pragma unroll
    for (int k = 0; WIDE && k < PER; k += 8) {
        int c = column<WIDE>(k);
        if (c < width) asm volatile("prefetch.global.L2 [%0];" ::"l"((const char *)x.at + (at + c) * (x.half ? 2 : (int)sizeof(T))));
    }
}

template <int PER, bool WIDE> __device__ inline void store(Out y, i64 at, int width, const T (&v)[PER]) {
#pragma unroll
    for (int k = 0; k < PER; k += WIDE ? 8 : 1) {
        int c = column<WIDE>(k);
        if (c >= width) continue;
        if (!WIDE) {
            y.put(at + c, v[k]);
            continue;
        }
        Eight e;
#pragma unroll
        for (int j = 0; j < 8; j++) e.v[j] = v[(k + j) % PER];
        y.eight((at + c) / 8, e);
    }
}

// A split number is its twin, which is the number rounded to bfloat16, and the rest: the
// lower 16 bits of the number, which are added to the twin's as a signed integer. Of two
// twins that are as close, it has the one farther from zero.
__device__ inline unsigned bitsToSplit(float x) { return x == x ? __float_as_uint(x) : 0x7fff0000; }

template <int PER, bool WIDE> __device__ inline void storeTwice(Out y, Out twin, i64 at, int width, const T (&v)[PER]) {
    store<PER, WIDE>(y, at, width, v);
    if (twin.at) store<PER, WIDE>(twin, at, width, v);
}

// The rests of a thread's columns, and what is written of a result and its twin. Only
// eights of float are split.
template <int PER, bool WIDE, typename X> struct Split {
    __device__ void read(const Norm &, i64, int) {}
    __device__ void join(const Norm &, X (&)[PER]) const {}
    static __device__ void fetch(const Norm &, i64, int) {}
    static __device__ void put(const Norm &s, Out y, Out twin, i64 at, const X (&v)[PER]) { storeTwice<PER, WIDE>(y, twin, at, s.width, v); }
};
template <int PER> struct Split<PER, true, float> {
    WideColumns<PER, HalfEights> rests;
    __device__ void read(const Norm &s, i64 at, int width) {
        if (s.rests) rests.read({s.rests, 1}, at, width);
    }
    __device__ void join(const Norm &s, float (&v)[PER]) const {
#pragma unroll
        for (int k = 0; s.rests && k < PER; k += 8) {
            uint4 e = rests.eights[k / 8].e;
            int pairs[4] = {(int)e.x, (int)e.y, (int)e.z, (int)e.w};
#pragma unroll
            for (int j = 0; j < 8; j++) v[k + j] = __int_as_float(__float_as_int(v[k + j]) + (j % 2 ? pairs[j / 2] >> 16 : (int)(short)pairs[j / 2]));
        }
    }
    static __device__ void fetch(const Norm &s, i64 at, int width) {
        if (s.rests) fetchSoon<PER, true>({s.rests, 1}, at, width);
    }
    static __device__ void put(const Norm &s, Out y, Out twin, i64 at, const float (&v)[PER]) {
        if (!s.toRests) {
            storeTwice<PER, true>(y, twin, at, s.width, v);
            return;
        }
#pragma unroll
        for (int k = 0; k < PER; k += 8) {
            int c = column<true>(k);
            if (c >= s.width) continue;
            unsigned upper[4], lower[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                unsigned a = bitsToSplit(v[k + 2 * j]), b = bitsToSplit(v[k + 2 * j + 1]);
                lower[j] = __byte_perm(a, b, 0x5410);
                upper[j] = __byte_perm(a + 0x8000, b + 0x8000, 0x7632);
            }
            ((uint4 *)twin.at)[(at + c) / 8] = make_uint4(upper[0], upper[1], upper[2], upper[3]);
            ((uint4 *)s.toRests)[(at + c) / 8] = make_uint4(lower[0], lower[1], lower[2], lower[3]);
        }
    }
};

// The gradient of a gate whose rows are ld elements apart.
struct GateGrad {
    Out y;
    i64 ld;
};

// What the gradient of the gate is written to by norms that read columns of type C: a
// GateGrad if all that they read is in bfloat16; and where the columns of group g begin.
template <typename C> struct GateOf {
    typedef Out Type;
    static __device__ Out out(Out y) { return y; }
    static __device__ i64 at(Out, const Norm &s, i64 g) { return g * s.width; }
};
template <int PER> struct GateOf<WideColumns<PER, HalfEights>> {
    typedef GateGrad Type;
    static __device__ Out out(GateGrad y) { return y.y; }
    static __device__ i64 at(GateGrad y, const Norm &s, i64 g) { return g * s.width + (unsigned)g / (unsigned)s.groups * (y.ld - s.groups * s.width); }
};

// The factors of a thread's columns.
template <int PER, bool WIDE> __device__ inline void factors(const Norm &s, const T *w, i64 c0, T (&f)[PER]) {
    if (w) load<PER, WIDE>({w, 0}, c0, s.width, f);
    for (int k = 0; k < PER; k++) f[k] = !w ? (T)1 : s.residual ? 1 + f[k] : f[k];
}

// x − mean in place of x, and the reciprocal of the deviation.
template <int PER, bool WIDE> __device__ inline T center(const Norm &s, T (&x)[PER], T *room) {
    T sum = 0, squares = 0, mean = 0;
    if (s.centered) {
        for (int k = 0; k < PER; k++) sum += x[k];
        mean = lanesSum(sum, room) / (T)s.width;
    }
    for (int k = 0; k < PER; k++) {
        x[k] = column<WIDE>(k) < s.width ? x[k] - mean : (T)0;
        squares += x[k] * x[k];
    }
    return 1 / sqrt(lanesSum(squares, room) / (T)s.width + (T)s.eps);
}

// The sums of two numbers over the threads of a group, returned to all of them. room
// holds 64 elements for each y.
__device__ inline void lanesSums(T &a, T &b, T *room) {
    a = warpSum(a), b = warpSum(b);
    int warps = blockDim.x >> 5;
    if (warps == 1) return;
    room += threadIdx.y * 64;
    __syncthreads(); // room may still be read from the sums before
    if ((threadIdx.x & 31) == 0) room[threadIdx.x >> 5] = a, room[32 + (threadIdx.x >> 5)] = b;
    __syncthreads();
    a = b = 0;
    for (int w = 0; w < warps; w++) a += room[w], b += room[32 + w];
}

// y = (x − mean)·rstd⊙f, times σ(gate) if there is a gate. x + more, if there is more and
// no gate, takes the place of x and is written to sum and, unless null, to twin.
template <int PER, bool WIDE, typename C> __device__ inline void forward(const Norm &s, In x, In more, const T *w, In gate, Out sum, Out twin, Out y) {
    extern __shared__ char space[];
    i64 g = blockIdx.x * (i64)blockDim.y + threadIdx.y, at = g * s.width;
    bool there = g < s.n; // all threads take part in the sums
    int width = there ? (int)s.width : 0;
    T v[PER], f[PER];
    C xs, others;
    Split<PER, WIDE, T> split;
    xs.read(x, at, width);
    split.read(s, at, width);
    if (gate.at) others.read(gate, at, width);
    else if (more.at) others.read(more, at, width);
    xs.numbers(v);
    split.join(s, v);
    if (there && more.at) {
        others.numbers(f);
        for (int k = 0; k < PER; k++) v[k] += f[k];
        split.put(s, sum, twin, at, v);
    }
    T rstd = center<PER, WIDE>(s, v, (T *)space);
    factors<PER, WIDE>(s, w, g % s.groups * s.width, f);
    for (int k = 0; k < PER; k++) v[k] = v[k] * rstd * f[k];
    if (gate.at) others.numbers(f);
    for (int k = 0; gate.at && k < PER; k++) v[k] *= C::half(gate) ? quickSigmoid(f[k]) : sigmoid(f[k]);
    if (there) store<PER, WIDE>(y, at, s.width, v);
}

// dx and, unless null, its twin, plus more if there is more and no gate; dgate if there
// is a gate; unless null, y, which may be the memory of dy; and the parts of
// dw = Σ dy⊙x̂ if there is part. The grid's groups are a multiple of a row's, and a thread has the same columns in all
// groups that it takes: part [blocks,width] for one group to a row, summed up over the
// threads y in shared memory, else [blocks·blockDim.y/groups,groups·width].
template <int PER, bool WIDE, typename C> __device__ inline void backward(const Norm &s, In x, const T *w, In dy, In more, In gate, Out dx, Out twin, typename GateOf<C>::Type dgate, Out y, T *part) {
    extern __shared__ char space[];
    T *room = (T *)space;
    i64 first = blockIdx.x * (i64)blockDim.y, mine = first + threadIdx.y, c0 = mine % s.groups * s.width;
    T f[PER], sums[PER] = {}, share = 1 / (T)s.width;
    for (; first < s.n; first += gridDim.x * (i64)blockDim.y) {
        i64 g = first + threadIdx.y, at = g * s.width;
        bool there = g < s.n;
        int width = there ? (int)s.width : 0;
        T v[PER], up[PER], in[PER], mean = 0, sum = 0, squares = 0, sumX = 0;
        C xs, ups, gates;
        xs.read(x, at, width);
        ups.read(dy, at, width);
        if (gate.at) gates.read(gate, at, width);
        else if (more.at) fetchSoon<PER, WIDE>(more, at, width), Split<PER, WIDE, T>::fetch(s, at, width);
        factors<PER, WIDE>(s, w, c0, f);
        xs.numbers(v);
        ups.numbers(up);
        if (gate.at) gates.numbers(in);
        for (int k = 0; there && gate.at && k < PER; k++) {
            in[k] = C::half(gate) ? quickSigmoid(in[k]) : sigmoid(in[k]);
            up[k] *= in[k];
        }
        if (s.centered) {
            for (int k = 0; k < PER; k++) mean += v[k], sum += up[k] * f[k];
            lanesSums(mean, sum, room);
            mean *= share, sum *= share;
        }
        for (int k = 0; k < PER; k++) {
            v[k] = column<WIDE>(k) < s.width ? v[k] - mean : (T)0;
            squares += v[k] * v[k], sumX += up[k] * f[k] * v[k];
        }
        lanesSums(squares, sumX, room);
        T rstd = rsqrt(squares * share + (T)s.eps);
        sumX *= rstd * share;
        for (int k = 0; k < PER; k++) v[k] *= rstd, sums[k] += up[k] * v[k];
        factors<PER, WIDE>(s, w, c0, f); // again, rather than in registers until here
        if (there && (gate.at || y.at)) {
            T t[PER];
            for (int k = 0; k < PER; k++) t[k] = gate.at ? v[k] * f[k] * in[k] : v[k] * f[k];
            if (y.at) store<PER, WIDE>(y, at, s.width, t);
            for (int k = 0; k < PER; k++) t[k] = up[k] * v[k] * f[k] * (1 - in[k]);
            if (gate.at) store<PER, WIDE>(GateOf<C>::out(dgate), GateOf<C>::at(dgate, s, g), s.width, t);
        }
        for (int k = 0; k < PER; k++) up[k] = rstd * (up[k] * f[k] - sum - v[k] * sumX);
        Split<PER, WIDE, T> split;
        if (there && more.at) {
            split.read(s, at, s.width);
            load<PER, WIDE>(more, at, s.width, in);
            split.join(s, in);
            for (int k = 0; k < PER; k++) up[k] += in[k];
        }
        if (there) split.put(s, dx, twin, at, up);
    }
    if (!part) return;
    if (s.groups > 1 || blockDim.y == 1) {
        store<PER, WIDE>({part, 0}, mine / s.groups * (s.groups * s.width) + c0, s.width, sums);
        return;
    }
    T *all = room + 64 * blockDim.y; // [PER,lanes], where the threads y add up in turn
    for (int y = 0; y < blockDim.y; y++) {
        __syncthreads();
        for (int k = 0; y == threadIdx.y && k < PER; k++) all[k * blockDim.x + threadIdx.x] = sums[k] += y ? all[k * blockDim.x + threadIdx.x] : (T)0;
    }
    if (threadIdx.y == blockDim.y - 1) store<PER, WIDE>({part, 0}, blockIdx.x * s.width, s.width, sums);
}

// The kernels for PER columns a thread that are read as the type that comes last, in
// blocks of THREADS at most, of which, with elements of 4 bytes, AHEAD share a processor
// forward and BACK backward. The driver compiles a file at a time, and only those that a
// model needs.
#define NORM(PER, WIDE, THREADS, AHEAD, BACK, ...)                                                                     \
    KERNEL __launch_bounds__(THREADS, sizeof(T) == 4 ? AHEAD : 1)                                                      \
        norm_forward(Norm s, In x, In more, const T *w, In gate, Out sum, Out twin, Out y) {                           \
        forward<PER, WIDE, __VA_ARGS__>(s, x, more, w, gate, sum, twin, y);                                            \
    }                                                                                                                  \
    KERNEL __launch_bounds__(THREADS, sizeof(T) == 4 ? BACK : 1)                                                       \
        norm_backward(Norm s, In x, const T *w, In dy, In more, In gate, Out dx, Out twin, GateOf<__VA_ARGS__>::Type dgate, Out y, T *part) { \
        backward<PER, WIDE, __VA_ARGS__>(s, x, w, dy, more, gate, dx, twin, dgate, y, part);                           \
    }
