// Exchange within a cluster of blocks: stores to a peer's shared memory that count
// themselves off on the peer's barrier, so that no fence waits for stores to global
// memory. It takes compute capability 9.0; without clusters nothing is here.
#pragma once
#include "common.cuh"

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ unsigned clusterRank() {
    unsigned r;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}

// Waits for all threads of the cluster.
__device__ __forceinline__ void clusterBarrier() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// The address, in the shared memory of the block of a rank, of what is at a here.
__device__ __forceinline__ unsigned ofPeer(unsigned a, unsigned rank) {
    unsigned r;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(rank));
    return r;
}

// A pair of barriers, for two buffers in turn, at the shared address a: begun by one
// thread before a clusterBarrier.
__device__ __forceinline__ void beginPair(unsigned a) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(a) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(a + 8) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Lets a phase of the barrier end when so many bytes have come.
__device__ __forceinline__ void expect(unsigned barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// Waits for the end of the barrier's phases of the parity.
__device__ __forceinline__ void await(unsigned barrier, unsigned parity) {
    asm volatile("{\n\t.reg .pred p;\nW_%=:\n\tmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], %1;\n\t@!p bra W_%=;\n\t}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

// Stores of one, two and four words to a peer.
__device__ __forceinline__ void send(unsigned a, unsigned v, unsigned barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(a), "r"(v), "r"(barrier) : "memory");
}
__device__ __forceinline__ void send2(unsigned a, float v, float w, unsigned barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1,%2}, [%3];" ::"r"(a), "f"(v), "f"(w), "r"(barrier) : "memory");
}
__device__ __forceinline__ void send4(unsigned a, float4 v, unsigned barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1,%2,%3,%4}, [%5];" ::"r"(a), "f"(v.x), "f"(v.y), "f"(v.z),
                 "f"(v.w), "r"(barrier)
                 : "memory");
}
__device__ __forceinline__ void toPeer(unsigned a, u64 v) { asm volatile("st.shared::cluster.u64 [%0], %1;" ::"r"(a), "l"(v) : "memory"); }
#else
__device__ __forceinline__ unsigned clusterRank() { return 0; }
__device__ __forceinline__ void clusterBarrier() {}
__device__ __forceinline__ unsigned ofPeer(unsigned a, unsigned) { return a; }
__device__ __forceinline__ void beginPair(unsigned) {}
__device__ __forceinline__ void expect(unsigned, unsigned) {}
__device__ __forceinline__ void await(unsigned, unsigned) {}
__device__ __forceinline__ void send(unsigned, unsigned, unsigned) {}
__device__ __forceinline__ void send2(unsigned, float, float, unsigned) {}
__device__ __forceinline__ void send4(unsigned, float4, unsigned) {}
__device__ __forceinline__ void toPeer(unsigned, u64) {}
#endif

// Stores x, of words of 64 bits, in the shared memory of all CS blocks of the cluster,
// which may read it behind the next clusterBarrier.
template <int CS, class X> __device__ __forceinline__ void toAll(X *at, X x) {
    if (CS == 1) {
        *at = x;
        return;
    }
    u64 words[sizeof(X) / 8];
    memcpy(words, &x, sizeof(X));
#pragma unroll
    for (int k = 0; k < CS; k++)
#pragma unroll
        for (int w = 0; w < sizeof(X) / 8; w++) toPeer(ofPeer(shared(at) + w * 8, k), words[w]);
}

// The blocks of a cluster that exchange a place of two buffers with one another.
template <int CS> struct Peers {
    unsigned place[CS], barrier[CS];
    // place is that of the first buffer, pair the barriers.
    __device__ __forceinline__ void begin(unsigned at, unsigned pair) {
#pragma unroll
        for (int k = 0; k < CS; k++) place[k] = ofPeer(at, k), barrier[k] = ofPeer(pair, k);
    }
};
