/* Products of 8-bit rows with 8-bit weights, and the steps between them: quantization and gates. */

#ifndef TFCHAIN_PRODUCTS_H
#define TFCHAIN_PRODUCTS_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "functions.h"
#include "memory.h"

#define PANEL 32     /* outputs of a product that are computed together: two registers of 16 */
#define MOST_ROWS 14 /* rows that are computed together, with their sums in registers */

typedef struct {
    int64_t panels, groups; /* groups of four inputs */
    int8_t *weights;        /* (panels, groups, PANEL, 4) */
    float *scales, *bias;   /* (panels * PANEL) */
    int32_t *sums;          /* of each output's weights */
} Product;

/* Rows of quantized inputs: value = scale * (byte - zero). */
typedef struct {
    uint8_t *bytes; /* (rows, stride) */
    int64_t stride;
    float *scales;
    int32_t *zeros;
} Quantized;

enum { STORE, ADD, ACTIVATE };

#define TILE(R)                                                                                                        \
    static __attribute__((noinline)) void tile_##R(const Product *product, int64_t panel, const Quantized *in,         \
                                                   int64_t row, float *out, int64_t stride, int how, int activation) { \
        const int8_t *weights = product->weights + panel * product->groups * PANEL * 4;                                \
        const uint8_t *bytes = in->bytes + row * in->stride;                                                           \
        const int64_t step = in->stride, groups = product->groups;                                                     \
        __m512i low[R], high[R];                                                                                       \
        for (int r = 0; r < R; r++) low[r] = high[r] = _mm512_setzero_si512();                                         \
        for (int64_t group = 0; group < groups; group++) {                                                             \
            __m512i first = _mm512_load_si512(weights), second = _mm512_load_si512(weights + 64);                      \
            /* Fetches the next panel during this one; the processor's own prefetcher does not reach so far. */        \
            _mm_prefetch((const char *)weights + groups * 128, _MM_HINT_T1);                                           \
            _mm_prefetch((const char *)weights + groups * 128 + 64, _MM_HINT_T1);                                      \
            weights += 128;                                                                                            \
            _Pragma("GCC unroll 14") for (int r = 0; r < R; r++) {                                                     \
                int32_t four;                                                                                          \
                memcpy(&four, bytes + r * step + group * 4, 4);                                                        \
                __m512i all = _mm512_set1_epi32(four);                                                                 \
                low[r] = _mm512_dpbusd_epi32(low[r], all, first);                                                      \
                high[r] = _mm512_dpbusd_epi32(high[r], all, second);                                                   \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("GCC unroll 14") for (int r = 0; r < R; r++) {                                                         \
            finish(product, panel, in, row + r, low[r], high[r], out + r * stride, how, activation);                   \
        }                                                                                                              \
    }

static inline __attribute__((always_inline)) void finish(const Product *product, int64_t panel, const Quantized *in,
                                                         int64_t row, __m512i low, __m512i high, float *out, int how,
                                                         int activation) {
    const int64_t column = panel * PANEL;
    __m512i zero = _mm512_set1_epi32(in->zeros[row]);
    __m512 scale = _mm512_set1_ps(in->scales[row]);
    for (int half = 0; half < 2; half++) {
        const int64_t at = column + 16 * half;
        __m512i sum = _mm512_sub_epi32(half ? high : low, _mm512_mullo_epi32(zero, _mm512_load_si512(product->sums + at)));
        __m512 factor = _mm512_mul_ps(scale, _mm512_load_ps(product->scales + at));
        __m512 value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, _mm512_load_ps(product->bias + at));
        float *target = out + 16 * half;
        if (how == ADD) value = _mm512_add_ps(value, _mm512_loadu_ps(target));
        if (how == ACTIVATE) value = activate(value, activation);
        _mm512_storeu_ps(target, value);
    }
}

TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

typedef void (*Tile)(const Product *, int64_t, const Quantized *, int64_t, float *, int64_t, int, int);
static const Tile TILES[] = {NULL,   tile_1, tile_2, tile_3,  tile_4,  tile_5,  tile_6, tile_7,
                             tile_8, tile_9, tile_10, tile_11, tile_12, tile_13, tile_14};

/* Writes rows [row, end) of a product to the same rows of `out`. */
static void multiply_rows(const Product *product, const Quantized *in, int64_t row, int64_t end, float *out, int64_t stride,
                     int how, int activation) {
    const int64_t tiles = parts(end - row, MOST_ROWS);
    for (int64_t panel = 0; panel < product->panels; panel++) {
        int64_t at = row;
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int64_t rows = parts(end - at, tiles - tile);
            TILES[rows](product, panel, in, at, out + at * stride + panel * PANEL, stride, how, activation);
            at += rows;
        }
    }
}

/* Quantizes a row like XNNPACK's "qd8" products: asymmetric, with an exact zero. `count` is a multiple of 16. */
static void quantize(const float *values, int64_t count, Quantized *out, int64_t row) {
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
        __m512 value = _mm512_loadu_ps(values + i);
        low = _mm512_min_ps(low, value);
        high = _mm512_max_ps(high, value);
    }
    float smallest = _mm512_reduce_min_ps(low), largest = _mm512_reduce_max_ps(high);
    float inverse = smallest == largest ? 1.0f : 255.0f / (largest - smallest);
    float at_low = smallest * inverse, at_high = largest * inverse;
    float zero = (at_low + at_high) > 0 ? -at_low : 255.0f - at_high;
    int32_t offset = (int32_t)lrintf(fminf(fmaxf(zero, 0.0f), 255.0f));
    out->scales[row] = 1.0f / inverse;
    out->zeros[row] = offset;
    __m512 factor = _mm512_set1_ps(inverse);
    __m512i add = _mm512_set1_epi32(offset), none = _mm512_setzero_si512();
    uint8_t *bytes = out->bytes + row * out->stride;
    for (int64_t i = 0; i < count; i += 16) {
        __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values + i), factor));
        whole = _mm512_max_epi32(_mm512_add_epi32(whole, add), none);
        _mm_store_si128((__m128i *)(bytes + i), _mm512_cvtusepi32_epi8(whole));
    }
}

/* activation(gate) * other, in place of the gate: the row's first `width` floats and the `width` that follow them. */
static void apply_gate(float *values, int64_t width, int activation) {
    for (int64_t i = 0; i < width; i += 16) {
        __m512 gate = activate(_mm512_loadu_ps(values + i), activation);
        _mm512_storeu_ps(values + i, _mm512_mul_ps(gate, _mm512_loadu_ps(values + width + i)));
    }
}

#endif
