// Raw 8-bit frames -> network inputs, in one launch: resize with antialias, crop, channel order,
// normalisation, NCHW, and the type of the engine's input.
//
// The arithmetic is Pillow's (Resample.c, 8 bits per channel), which is what `Preprocess` runs:
// weights with 22 fraction bits, a pass along the rows whose sums are rounded and clipped to 8
// bits, then a pass down the columns. The weights come from the host (taps.py), once per frame
// size, so bilinear and bicubic are the same code.
//
// A block makes a tile of TILE_W x TILE_H outputs. It walks down the source rows that the tile
// needs, CHUNK at a time: pass one leaves CHUNK rows of TILE_W packed pixels in shared memory, pass
// two adds them to the sums that each thread keeps for its output. Shared memory does not grow
// with the resize factor, and no intermediate picture is written to memory.
//
// The pixels are read as aligned 32-bit words (three words are four pixels), so up to 16 bytes
// behind the last pixel are read: the buffer must have them. Frames must start at a multiple of 4.
//
// No header is needed: nvcc and NVRTC compile it, and host_cuda.h makes it C++ for a CPU.

enum { TILE_W = 32, TILE_H = 8, CHUNK = 48, FRACTION_BITS = 22 };

// The layout is that of PARAMETERS in frame_plan.py.
struct Parameters {
    const unsigned char *pixels;  // the window cut out of the frame, 3 bytes a pixel
    const int *bounds_x;          // width x (first column, number of taps)
    const int *bounds_y;          // height x (first row, number of taps)
    const int *taps_x;            // width x stride_x weights, 16-byte aligned
    const int *taps_y;            // height x stride_y weights
    void *out;                    // frames x 3 x height x width
    long long frame_bytes;        // from one frame of a batch to the next
    int pitch;                    // bytes from one source row to the next
    int width;
    int height;
    int stride_x;                 // a multiple of 4; weights behind the last tap are 0
    int stride_y;
    int reversed;                 // 1: the source is BGR and the network RGB, or the other way
    float factor[3];              // scale / std, in the order of the network's channels
    float offset[3];              // mean / std
    float step;                   // of an INT8 input: what the value 1 stands for
};

static_assert(sizeof(Parameters) == 112, "frame_plan.py describes the same bytes");

#ifdef __CUDACC__
// A float as half precision, rounded to nearest even. (cuda_fp16.h has it too, but is a header.)
__device__ __forceinline__ unsigned short half_from_float(float value) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}
#endif

__device__ __forceinline__ unsigned clip8(int sum) {
    const int value = sum >> FRACTION_BITS;
    return value < 0 ? 0u : value > 255 ? 255u : (unsigned)value;
}

// One pixel of pass one, packed as first channel | second << 8 | third << 16.
__device__ __forceinline__ unsigned along_the_row(
    const Parameters &p, const unsigned char *row, int x) {
    const int first = __ldg(p.bounds_x + 2 * x);
    const int count = __ldg(p.bounds_x + 2 * x + 1);
    const unsigned long long address = (unsigned long long)row + 3ull * (unsigned)first;
    const unsigned *word = (const unsigned *)(address & ~3ull);
    const unsigned shift = (unsigned)(address & 3ull) * 8u;
    const int4 *taps = (const int4 *)(p.taps_x + (long long)x * p.stride_x);
    int a = 1 << (FRACTION_BITS - 1), b = a, c = a;
    unsigned held = __ldg(word++);
    for (int k = 0; k < count; k += 4) {
        const unsigned w1 = __ldg(word), w2 = __ldg(word + 1), w3 = __ldg(word + 2);
        const unsigned u = __funnelshift_r(held, w1, shift);
        const unsigned v = __funnelshift_r(w1, w2, shift);
        const unsigned w = __funnelshift_r(w2, w3, shift);
        const int4 t = __ldg(taps++);
        a += (int)(u & 255u) * t.x + (int)(u >> 24) * t.y;
        b += (int)(u >> 8 & 255u) * t.x + (int)(v & 255u) * t.y;
        c += (int)(u >> 16 & 255u) * t.x + (int)(v >> 8 & 255u) * t.y;
        a += (int)(v >> 16 & 255u) * t.z + (int)(w >> 8 & 255u) * t.w;
        b += (int)(v >> 24) * t.z + (int)(w >> 16 & 255u) * t.w;
        c += (int)(w & 255u) * t.z + (int)(w >> 24) * t.w;
        held = w3;
        word += 3;
    }
    return clip8(a) | clip8(b) << 8 | clip8(c) << 16;
}

// Rounded after the product and after the difference, as numpy does: no fused multiply-add.
__device__ __forceinline__ float normalised(const Parameters &p, int channel, unsigned v) {
    return __fsub_rn(__fmul_rn((float)v, p.factor[channel]), p.offset[channel]);
}

__device__ __forceinline__ void store(float *out, float value, const Parameters &) {
    *out = value;
}

__device__ __forceinline__ void store(unsigned short *out, float value, const Parameters &) {
    *out = half_from_float(value);
}

// QuantizeLinear: round half to even, saturate.
__device__ __forceinline__ void store(signed char *out, float value, const Parameters &p) {
    const float q = rintf(__fdiv_rn(value, p.step));
    *out = (signed char)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
}

template <typename Out>
__device__ __forceinline__ void preprocess(const Parameters &p) {
    __shared__ unsigned rows[CHUNK][TILE_W];
    const int column = threadIdx.x;
    const int x = blockIdx.x * TILE_W + column;
    const int top = blockIdx.y * TILE_H;
    const int y = top + (int)threadIdx.y;
    const int bottom = (top + TILE_H < p.height ? top + TILE_H : p.height) - 1;
    const bool inside = x < p.width && y < p.height;
    const unsigned char *pixels = p.pixels + (long long)blockIdx.z * p.frame_bytes;

    // Bounds never decrease from one output row to the next.
    const int tile_first = __ldg(p.bounds_y + 2 * top);
    const int tile_end = __ldg(p.bounds_y + 2 * bottom) + __ldg(p.bounds_y + 2 * bottom + 1);
    const int first = inside ? __ldg(p.bounds_y + 2 * y) : 0;
    const int end = inside ? first + __ldg(p.bounds_y + 2 * y + 1) : 0;
    const int *taps = p.taps_y + (long long)y * p.stride_y - first;

    int a = 1 << (FRACTION_BITS - 1), b = a, c = a;
    for (int chunk = tile_first; chunk < tile_end; chunk += CHUNK) {
        const int chunk_end = chunk + CHUNK < tile_end ? chunk + CHUNK : tile_end;
        if (x < p.width)
            for (int r = chunk + (int)threadIdx.y; r < chunk_end; r += TILE_H)
                rows[r - chunk][column] = along_the_row(p, pixels + (long long)r * p.pitch, x);
        __syncthreads();
        const int from = first > chunk ? first : chunk;
        const int to = end < chunk_end ? end : chunk_end;
        for (int r = from; r < to; ++r) {
            const unsigned pixel = rows[r - chunk][column];
            const int tap = __ldg(taps + r);
            a += (int)(pixel & 255u) * tap;
            b += (int)(pixel >> 8 & 255u) * tap;
            c += (int)(pixel >> 16) * tap;
        }
        __syncthreads();
    }
    if (!inside) return;
    const long long plane = (long long)p.width * p.height;
    Out *out = (Out *)p.out + (long long)blockIdx.z * 3 * plane + (long long)y * p.width + x;
    const unsigned u = clip8(p.reversed ? c : a), v = clip8(b), w = clip8(p.reversed ? a : c);
    store(out, normalised(p, 0, u), p);
    store(out + plane, normalised(p, 1, v), p);
    store(out + 2 * plane, normalised(p, 2, w), p);
}

// Grid: width / TILE_W x height / TILE_H x frames, rounded up. Block: TILE_W x TILE_H.
extern "C" __global__ void __launch_bounds__(TILE_W * TILE_H)
    preprocess_fp32(const Parameters p) { preprocess<float>(p); }

extern "C" __global__ void __launch_bounds__(TILE_W * TILE_H)
    preprocess_fp16(const Parameters p) { preprocess<unsigned short>(p); }

extern "C" __global__ void __launch_bounds__(TILE_W * TILE_H)
    preprocess_int8(const Parameters p) { preprocess<signed char>(p); }
