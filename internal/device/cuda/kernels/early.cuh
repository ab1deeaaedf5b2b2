// Neighbours that are read now and used later.
#pragma once
#include "common.cuh"

// Of an operand of any type. Eights take so many registers that not many should be read
// early.
struct Eights {
    static const bool early = false;
    Eight e = {};
    __device__ void read(In x, i64 i) { e = x.eight(i); }
    __device__ Eight numbers() const { return e; }
    static __device__ bool half(In x) { return x.half; }
};

struct Fours {
    Four e = {};
    __device__ void read(In x, i64 i) { e = x.four(i); }
    __device__ Four numbers() const { return e; }
};

// Of an operand in bfloat16, which they remain until they are used: what turns a number
// into another type waits for it, and what is read after it would wait too.
struct HalfEights {
    static const bool early = true;
    uint4 e = {};
    __device__ void read(In x, i64 i) { e = ((const uint4 *)x.at)[i]; }
    __device__ Eight numbers() const { return In{&e, 1}.eight(0); }
    static __device__ bool half(In) { return true; }
};

struct HalfFours {
    uint2 e = {};
    __device__ void read(In x, i64 i) { e = ((const uint2 *)x.at)[i]; }
    __device__ Four numbers() const { return In{&e, 1}.four(0); }
};
