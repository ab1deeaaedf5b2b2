// Weights in packed formats: lookups, and what products of many rows need.
#include "common.cuh"

// The formats of internal/ops.
enum { BF16 = 1, INT8, INT4 };

// Number i of a packed matrix, whose rows are whole groups of 32.
__device__ inline T unpacked(int format, const unsigned char *w, const unsigned short *scales, i64 i) {
    if (format == BF16) return fromHalf(((const unsigned short *)w)[i]);
    T scale = fromHalf(scales[i / 32]);
    if (format == INT8) return scale * (T)((const signed char *)w)[i];
    i64 k = i % 32;
    int pair = w[i / 32 * 16 + k % 16], q = k < 16 ? pair & 15 : pair >> 4;
    return scale * (T)((q ^ 8) - 8);
}

// Row ids[r] of w [.,d] as row r of y.
KERNEL packed_embedding(int format, const i64 *ids, const unsigned char *w, const unsigned short *scales, T *y, i64 n, i64 d) {
    EACH(i, n * d) y[i] = unpacked(format, w, scales, ids[i / d] * d + i % d);
}

// y = w, 8·n numbers.
KERNEL unpack(int format, const unsigned char *w, const unsigned short *scales, Out y, i64 n) {
    EACH(i, n) {
        Eight e;
#pragma unroll
        for (int k = 0; k < 8; k++) e.v[k] = unpacked(format, w, scales, 8 * i + k);
        y.eight(i, e);
    }
}

// y = x, n numbers, with each group of 32 rounded to integers from −127 to 127 times a
// scale, as package weights does it. A warp has a group.
KERNEL round_groups(In x, Out y, i64 n) {
    EACH(i, n) {
        float v = (float)x[i];
        unsigned top = warpMax(__float_as_uint(v) & 0x7fffffffu);
        bool finite = top < 0x7f800000u, some = finite && top >= 0x04000000u;
        float scale = some ? __uint_as_float(top) / 127 : finite ? 0 : __uint_as_float(0x7fc00000u);
        float q = some ? rintf(v * (127 / __uint_as_float(top))) : 0;
        y.put(i, (T)(scale * q));
    }
}
