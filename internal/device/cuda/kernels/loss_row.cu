// The mean cross-entropy of soft-capped logits in bfloat16 and its derivative, for rows
// that fit the shared memory twice: each number is read from the card's memory once.
// crossentropy.cu has the version for all rows.
//gen: f32
#include "common.cuh"

#define THREADS 512
#define GROUPS 4 // of a thread's pieces of eight logits, which are waited for together
#define PIECES 4 // of a group

// Starts copying 16 bytes to shared memory.
__device__ inline void fetch(void *to, const void *from) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared(to)), "l"(from) : "memory"); }

// Waits for the thread's own copies of all groups up to g. The numbers have to be
// literals.
__device__ inline void arrived(int g) {
    if (g == 0) asm volatile("cp.async.wait_group 3;" ::: "memory");
    if (g == 1) asm volatile("cp.async.wait_group 2;" ::: "memory");
    if (g == 2) asm volatile("cp.async.wait_group 1;" ::: "memory");
    if (g == 3) asm volatile("cp.async.wait_group 0;" ::: "memory");
}

__device__ inline float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// tanh(z·inverse) of eight logits, by its series where all are small, as logits are
// beside their cap.
__device__ inline Eight tanhs(uint4 h, float inverse) {
    unsigned w[4] = {h.x, h.y, h.z, h.w};
    Eight e;
    float far = 0;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        e.v[k] = __uint_as_float(k % 2 ? w[k / 2] & 0xffff0000 : w[k / 2] << 16) * inverse;
        far = fmaxf(far, fabsf(e.v[k]));
    }
    if (far < 0.25f) {
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float s = e.v[k] * e.v[k];
            e.v[k] *= 1 + s * (-1 / 3.f + s * (2 / 15.f + s * (-17 / 315.f + s * (62 / 2835.f))));
        }
        return e;
    }
#pragma unroll
    for (int k = 0; k < 8; k++) e.v[k] = 1 - quickRatio(2.f, 1 + quickExp(2 * e.v[k]));
    return e;
}

// Loss and derivative of a row, zero in rows without a target. With a cap of 30 at most,
// exponentials and their sums need no maximum to be subtracted. Grid: rows; dlogits may
// be the memory of the logits. Shared memory: a row.
KERNEL __launch_bounds__(THREADS, 2) loss_row(const uint4 *logits, const i64 *targets, const T *g, const int *count, double *loss, uint4 *dlogits, i64 v, T cap) {
    extern __shared__ __align__(16) uint4 row[];
    __shared__ T room[32];
    const int eights = (int)(v / 8);
    const i64 at = blockIdx.x * (i64)eights, t = targets[blockIdx.x];
    if (t < 0) {
        if (threadIdx.x == 0) loss[blockIdx.x] = 0;
        for (int c = threadIdx.x; c < eights; c += THREADS) dlogits[at + c] = make_uint4(0, 0, 0, 0);
        return;
    }
#pragma unroll
    for (int p = 0; p < GROUPS * PIECES; p++) {
        int c = p * THREADS + threadIdx.x;
        if (c < eights) fetch(row + c, logits + at + c);
        if (p % PIECES == PIECES - 1) asm volatile("cp.async.commit_group;" ::: "memory");
    }
    const float inverse = 1 / cap, bits = cap * 1.44269504f; // e^x = 2^(x·log₂e)
    float sum = 0;
#pragma unroll
    for (int n = 0; n < GROUPS; n++) {
        arrived(n);
#pragma unroll 1
        for (int c = n * PIECES * THREADS + threadIdx.x; c < min(eights, (n + 1) * PIECES * THREADS); c += THREADS) {
            Eight y = tanhs(row[c], inverse);
            float some = 0;
#pragma unroll
            for (int k = 0; k < 8; k++) some += power(y.v[k] * bits);
            sum += some;
        }
    }
    sum = lanesSum(sum, room);
    // All copies have arrived and, behind the sum's barriers, all threads see them.
    const float scale = (float)((double)*g / *count), share = scale / sum;
    if (threadIdx.x == 0) {
        Eight eight = tanhs(row[t / 8], inverse);
        float y = 0;
#pragma unroll
        for (int k = 0; k < 8; k++) y = t % 8 == k ? eight.v[k] : y;
        loss[blockIdx.x] = log((double)sum) - (double)(cap * y);
    }
#pragma unroll 1
    for (int c = threadIdx.x; c < eights; c += THREADS) {
        Eight y = tanhs(row[c], inverse);
        const int own = (int)(t - 8 * c);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            float slope = 1 - y.v[k] * y.v[k];
            y.v[k] = share * power(y.v[k] * bits) * slope;
            if (k == own) y.v[k] -= scale * slope;
        }
        dlogits[at + c] = make_uint4(toHalves(y.v[0], y.v[1]), toHalves(y.v[2], y.v[3]), toHalves(y.v[4], y.v[5]), toHalves(y.v[6], y.v[7]));
    }
}
