// Operations on one element at a time.
#include "common.cuh"

// Calls f with the numbers of every group of eight elements of n, and g with those of
// the elements that are left.
template <typename F, typename G> __device__ inline void eachEight(i64 n, F f, G g) {
    EACH(i, n / 8) f(i);
    EACH(i, n % 8) g(n / 8 * 8 + i);
}

// y = x, of which one may be in bfloat16.
KERNEL convert(In x, Out y, i64 n) {
    eachEight(n, [&](i64 i) { y.eight(i, x.eight(i)); }, [&](i64 i) { y.put(i, x[i]); });
}

KERNEL activation(int a, In x, Out y, i64 n) { EACH(i, n) y.put(i, activate(a, x[i])); }

KERNEL activation_grad(int a, In x, In dy, Out dx, i64 n) { EACH(i, n) dx.put(i, dy[i] * slope(a, x[i])); }

template <typename A> __device__ inline void gatedBy(A act, In g, In u, Out y, i64 n) {
    eachEight(n, [&](i64 i) {
        Eight p = g.eight(i), q = u.eight(i);
#pragma unroll
        for (int k = 0; k < 8; k++) p.v[k] = act(p.v[k]) * q.v[k];
        y.eight(i, p);
    }, [&](i64 i) { y.put(i, act(g[i]) * u[i]); });
}

KERNEL gated(int a, In g, In u, Out y, i64 n) {
    if (a == SILU && y.half) gatedBy([](T x) { return fromBelow(x) * quickSigmoid(x); }, g, u, y, n);
    else if (a == SILU) gatedBy([](T x) { return activate(SILU, x); }, g, u, y, n);
    else if (a == SIGMOID) gatedBy(sigmoid, g, u, y, n);
    else EACH(i, n) y.put(i, activate(a, g[i]) * u[i]);
}

// Rows of `width` elements that begin `ld` apart, of fewer than 2^32 elements in all.
struct Rows {
    i64 width, ld;
    // The place of element i.
    __device__ i64 operator()(i64 i) const {
        if (width == ld) return i;
        unsigned row = (unsigned)i / (unsigned)width;
        return row * ld + (i - row * width);
    }
};

// dg, du, which have such rows, and, unless null, y, which may be the memory of dy.
template <typename A, typename S> __device__ inline void gatedGradBy(A act, S slope, In g, In u, In dy, Out dg, Out du, Out y, i64 n, Rows at) {
    const Rows eights = {at.width / 8, at.ld / 8};
    eachEight(n, [&](i64 i) {
        Eight x = g.eight(i), v = u.eight(i), up = dy.eight(i), down;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            T s = slope(x.v[k]) * up.v[k] * v.v[k], open = act(x.v[k]);
            down.v[k] = up.v[k] * open;
            up.v[k] = open * v.v[k];
            x.v[k] = s;
        }
        dg.eight(eights(i), x);
        du.eight(eights(i), down);
        if (y.at) y.eight(i, up);
    }, [&](i64 i) {
        T x = g[i], v = u[i], up = dy[i], open = act(x);
        dg.put(at(i), up * v * slope(x));
        du.put(at(i), up * open);
        if (y.at) y.put(i, open * v);
    });
}

// Rows of a width that is no multiple of eight must follow one another.
KERNEL gated_grad(int a, In g, In u, In dy, Out dg, Out du, Out y, i64 n, i64 width, i64 ld) {
    const Rows at = {width, ld};
    if (a == SILU && dg.half)
        gatedGradBy([](T x) { return fromBelow(x) * quickSigmoid(x); },
                    [](T x) {
                        x = min(fromBelow(x), (T)1000);
                        T s = quickSigmoid(x);
                        return s * (1 + x * (1 - s));
                    }, g, u, dy, dg, du, y, n, at);
    else if (a == SILU) gatedGradBy([](T x) { return activate(SILU, x); }, [](T x) { return slope(SILU, x); }, g, u, dy, dg, du, y, n, at);
    else if (a == SIGMOID) gatedGradBy(sigmoid, [](T x) { return slope(SIGMOID, x); }, g, u, dy, dg, du, y, n, at);
    else EACH(i, n) {
        T x = g[i], v = u[i], up = dy[i], open = activate(a, x);
        dg.put(at(i), up * v * slope(a, x));
        du.put(at(i), up * open);
        if (y.at) y.put(i, open * v);
    }
}

KERNEL soft_cap(T cap, const T *x, T *y, i64 n) { EACH(i, n) y[i] = cap * tanh(x[i] / cap); }

// The gradient of soft_cap from its output y.
KERNEL soft_cap_grad(T cap, const T *y, const T *dy, T *dx, i64 n) {
    EACH(i, n) {
        T t = y[i] / cap;
        dx[i] = dy[i] * (1 - t * t);
    }
}

KERNEL add(In a, In b, Out y, i64 n) {
    eachEight(n, [&](i64 i) {
        Eight p = a.eight(i), q = b.eight(i);
#pragma unroll
        for (int k = 0; k < 8; k++) p.v[k] += q.v[k];
        y.eight(i, p);
    }, [&](i64 i) { y.put(i, a[i] + b[i]); });
}

KERNEL multiply(const T *a, const T *b, T *y, i64 n) { EACH(i, n) y[i] = a[i] * b[i]; }

// y [n,d] += b [d], a row each.
KERNEL add_rows(const T *b, Out y, i64 n, i64 d) {
    In x = {y.at, y.half};
    EACH(i, n * d) y.put(i, x[i] + b[i % d]);
}

// y = (h + skip⊙c)⊙SiLU(z), all [n,d] but skip [d].
KERNEL skip_gate(const T *h, const T *c, const T *skip, const T *z, T *y, i64 n, i64 d) {
    EACH(i, n * d) y[i] = (h[i] + skip[i % d] * c[i]) * activate(SILU, z[i]);
}

// The gradients, and the parts of dskip over stretches of rows: part [stretches,d].
// Block: 32 columns by threads that share the rows; grid: columns, stretches.
KERNEL skip_gate_grad(const T *h, const T *c, const T *skip, const T *z, const T *dy, T *dh, T *dc, T *dz, T *part, i64 n, i64 d, i64 stretch) {
    i64 col = blockIdx.x * 32ll + threadIdx.x, r0 = blockIdx.y * stretch, r1 = col < d ? min(n, r0 + stretch) : r0;
    T s = col < d ? skip[col] : (T)0, sum = 0;
#pragma unroll 4
    for (i64 r = r0 + threadIdx.y; r < r1; r += blockDim.y) {
        i64 i = r * d + col;
        T up = dy[i], x = z[i], ci = c[i], hi = h[i];
        T g = up * activate(SILU, x);
        dh[i] = g;
        dc[i] = g * s;
        dz[i] = up * (hi + s * ci) * slope(SILU, x);
        sum += g * ci;
    }
    sum = rowsSum(sum);
    if (threadIdx.y == 0 && col < d) part[blockIdx.y * d + col] = sum;
}

__device__ inline u64 mix(u64 z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// Zeroes elements by the bits of a counter, the same as on the CPU: threshold is
// rate·2⁵³, keep is 1/(1 − rate). The key is a hash of the two numbers at `run`, a
// seed and a step, and of id, which distinguishes the dropouts of a graph.
KERNEL dropout(const T *x, T *y, i64 n, u64 threshold, T keep, u64 id, const i64 *run, i64 width) {
    u64 key = mix(mix(mix(~0ull ^ mix(run[0])) ^ mix(run[1])) ^ mix(id)) + (u64)(run[2] * width) * 0x9e3779b97f4a7c15ull;
    EACH(i, n) y[i] = mix(key + (u64)i * 0x9e3779b97f4a7c15ull) >> 11 < threshold ? (T)0 : x[i] * keep;
}
