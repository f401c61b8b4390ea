// The part of CUDA that preprocess.cu uses, on a CPU: for testing its arithmetic and its barriers.
//
// Every thread of a block is a fiber. A fiber runs until __syncthreads() or its end; the others
// run up to the same barrier before it goes on. Blocks run one after the other, threads in rising
// or falling order: a kernel that lacks a barrier gives other results, or results that depend on
// the order. One launch at a time: the state is global.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(n)
#define __shared__ static  // one block at a time

struct int4 { int x, y, z, w; };
struct Dim3 { unsigned x = 1, y = 1, z = 1; };
static Dim3 threadIdx, blockIdx;

inline int __ldg(const int *at) { return *at; }
inline unsigned __ldg(const unsigned *at) { return *at; }
inline int4 __ldg(const int4 *at) { return *at; }
inline float __fmul_rn(float a, float b) { return a * b; }  // build with -ffp-contract=off
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }

inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    const std::uint64_t both = (std::uint64_t)high << 32 | low;
    return (unsigned)(both >> (shift & 31u));
}

// Round to nearest even, as cvt.rn.f16.f32 does.
inline unsigned short half_from_float(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const unsigned sign = bits >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fffu;                      // NaN
    if (magnitude >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);  // above 65504: infinity
    int exponent = (int)(magnitude >> 23) - 127;
    std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    int dropped = 13;
    if (exponent < -14) {  // subnormal
        dropped += -14 - exponent;
        exponent = -15;
        if (dropped > 24) return (unsigned short)sign;
    }
    const std::uint32_t half = 1u << (dropped - 1), rest = mantissa & ((1u << dropped) - 1);
    std::uint32_t kept = mantissa >> dropped;
    if (rest > half || (rest == half && (kept & 1u))) ++kept;
    // In a normal number the leading 1 of `kept` adds one to the exponent.
    const std::uint32_t base = exponent < -14 ? 0u : (std::uint32_t)(exponent + 14) << 10;
    return (unsigned short)(sign | (base + kept));
}

namespace host_cuda {

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    bool done = false;
    long barriers = 0;
};

static ucontext_t scheduler;
static Fiber *running = nullptr;
static const std::function<void()> *body = nullptr;

inline void enter() {
    (*body)();
    running->done = true;
    swapcontext(&running->context, &scheduler);
}

// Returns false when threads of a block met at different barriers.
inline bool launch(
    const std::function<void()> &kernel, Dim3 grid, Dim3 block, bool falling = false) {
    const unsigned threads = block.x * block.y * block.z;
    std::vector<Fiber> fibers(threads);
    body = &kernel;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
                for (Fiber &fiber : fibers) {
                    getcontext(&fiber.context);
                    fiber.context.uc_stack.ss_sp = fiber.stack.data();
                    fiber.context.uc_stack.ss_size = fiber.stack.size();
                    fiber.context.uc_link = nullptr;
                    fiber.done = false;
                    fiber.barriers = 0;
                    makecontext(&fiber.context, enter, 0);
                }
                for (unsigned left = threads; left > 0;) {
                    long reached = -1;
                    for (unsigned i = 0; i < threads; ++i) {
                        const unsigned t = falling ? threads - 1 - i : i;
                        if (fibers[t].done) continue;
                        threadIdx = {t % block.x, t / block.x % block.y, t / (block.x * block.y)};
                        running = &fibers[t];
                        swapcontext(&scheduler, &running->context);
                        if (fibers[t].done) {
                            --left;
                        } else if (reached >= 0 && reached != fibers[t].barriers) {
                            return false;
                        } else {
                            reached = fibers[t].barriers;
                        }
                    }
                }
            }
    return true;
}

}  // namespace host_cuda

inline void __syncthreads() {
    ++host_cuda::running->barriers;
    swapcontext(&host_cuda::running->context, &host_cuda::scheduler);
}
