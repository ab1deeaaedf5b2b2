// What sequence_halves.cuh is made of and C++ has no words for: barriers, copies, the
// exchange between blocks, and the product of small matrices.
#pragma once
#include "common.cuh"

// A barrier of the threads that compute.
__device__ __forceinline__ void meet() { asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory"); }

// Barriers in shared memory, of which some are completed by bytes that arrive.
__device__ __forceinline__ void barrierInit(u64 *bar, int count) { asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared(bar)), "r"(count) : "memory"); }
__device__ __forceinline__ void barrierWait(u64 *bar, int parity) {
    asm volatile("{\n.reg .pred done;\nWAIT:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@done bra DONE;\nbra WAIT;\nDONE:\n}" ::"r"(shared(bar)), "r"(parity) : "memory");
}
// Reports whether a wait is over, after waiting for some time.
__device__ __forceinline__ bool barrierTry(u64 *bar, int parity) {
    int done;
    asm volatile("{\n.reg .pred done;\nmbarrier.try_wait.parity.shared.b64 done, [%1], %2;\nselp.b32 %0, 1, 0, done;\n}" : "=r"(done) : "r"(shared(bar)), "r"(parity) : "memory");
    return done;
}
__device__ __forceinline__ void barrierArrive(u64 *bar) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared(bar)) : "memory"); }
__device__ __forceinline__ void barrierExpect(u64 *bar, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared(bar)), "r"(bytes) : "memory"); }
__device__ __forceinline__ void barriersReady() { asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory"); }

// Has bytes, a multiple of 16, brought to the second-level cache.
__device__ __forceinline__ void askForRow(const void *from, int bytes) { asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory"); }

// Lets copies overwrite what the thread has written before.
__device__ __forceinline__ void copiesMayFollow() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Copies bytes, a multiple of 16, which complete a barrier.
__device__ __forceinline__ void copyRow(void *to, const void *from, int bytes, u64 *bar) {
    asm volatile("{\n.reg .b64 once;\ncreatepolicy.fractional.L2::evict_first.b64 once, 1.0;\n"
                 "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], once;\n}" ::"r"(shared(to)),
                 "l"(from), "r"(bytes), "r"(shared(bar))
                 : "memory");
}

// Copies BYTES, 4, 8 or 16, to shared memory, while the thread goes on.
template <int BYTES> __device__ __forceinline__ void copyLater(void *to, const void *from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared(to)), "l"(from), "n"(BYTES) : "memory");
}
// What has been copied later since the last time is a group of copies.
__device__ __forceinline__ void copiesAsked() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all groups but the last LEFT.
template <int LEFT> __device__ __forceinline__ void copiesThere() { asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory"); }

// Words that blocks exchange, past the first-level cache.
__device__ __forceinline__ void sendWord(unsigned *to, unsigned x) { asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(x) : "memory"); }
__device__ __forceinline__ unsigned lookWord(const unsigned *at) {
    unsigned x;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(x) : "l"(at) : "memory");
    return x;
}
__device__ __forceinline__ uint4 lookWords(const unsigned *at) {
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(at) : "memory");
    return v;
}

// d += A·B of 16 × 16 and 16 × 8 numbers in bfloat16, as the instruction deals them to
// the lanes of a warp.
__device__ __forceinline__ void multiplyAdd(T (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// d = A·B.
__device__ __forceinline__ void multiplyFirst(T (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "f"((T)0));
}
