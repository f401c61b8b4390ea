// preprocess.cu for a CPU, as a library that ctypes can call. Never part of a GPU build.

#include "host_cuda.h"

#include "preprocess.cu"

extern "C" {

// `kind`: 0 FP32, 1 FP16, 2 INT8. Returns 0, or 1 when barriers were missed, 2 for another kind.
int edgekit_preprocess(const Parameters *parameters, int kind, int frames, int falling) {
    const Parameters &p = *parameters;
    const Dim3 grid = {
        (unsigned)(p.width + TILE_W - 1) / TILE_W,
        (unsigned)(p.height + TILE_H - 1) / TILE_H,
        (unsigned)frames,
    };
    const Dim3 block = {TILE_W, TILE_H, 1};
    if (kind == 0)
        return host_cuda::launch([&] { preprocess_fp32(p); }, grid, block, falling) ? 0 : 1;
    if (kind == 1)
        return host_cuda::launch([&] { preprocess_fp16(p); }, grid, block, falling) ? 0 : 1;
    if (kind == 2)
        return host_cuda::launch([&] { preprocess_int8(p); }, grid, block, falling) ? 0 : 1;
    return 2;
}

unsigned short edgekit_half(float value) { return half_from_float(value); }

}
