/* Attention in float32: products of two matrices of a text, transposition, softmax. */

#ifndef TFCHAIN_ATTENTION_H
#define TFCHAIN_ATTENTION_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "functions.h"
#include "products.h"

#define FLOAT_TILE(R)                                                                                                 \
    static __attribute__((noinline)) void float_tile_##R(const float *a, int64_t a_stride, const float *b,            \
                                                         int64_t b_stride, int64_t depth, float *c, int64_t c_stride) { \
        __m512 low[R], high[R];                                                                                       \
        for (int r = 0; r < R; r++) low[r] = high[r] = _mm512_setzero_ps();                                           \
        for (int64_t k = 0; k < depth; k++) {                                                                         \
            __m512 first = _mm512_loadu_ps(b + k * b_stride), second = _mm512_loadu_ps(b + k * b_stride + 16);        \
            _Pragma("GCC unroll 14") for (int r = 0; r < R; r++) {                                                    \
                __m512 all = _mm512_set1_ps(a[r * a_stride + k]);                                                     \
                low[r] = _mm512_fmadd_ps(all, first, low[r]);                                                         \
                high[r] = _mm512_fmadd_ps(all, second, high[r]);                                                      \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 14") for (int r = 0; r < R; r++) {                                                        \
            _mm512_storeu_ps(c + r * c_stride, low[r]);                                                               \
            _mm512_storeu_ps(c + r * c_stride + 16, high[r]);                                                         \
        }                                                                                                             \
    }

FLOAT_TILE(1) FLOAT_TILE(2) FLOAT_TILE(3) FLOAT_TILE(4) FLOAT_TILE(5) FLOAT_TILE(6) FLOAT_TILE(7)
FLOAT_TILE(8) FLOAT_TILE(9) FLOAT_TILE(10) FLOAT_TILE(11) FLOAT_TILE(12) FLOAT_TILE(13) FLOAT_TILE(14)

typedef void (*FloatTile)(const float *, int64_t, const float *, int64_t, int64_t, float *, int64_t);
static const FloatTile FLOAT_TILES[] = {NULL,          float_tile_1, float_tile_2,  float_tile_3,  float_tile_4,
                                        float_tile_5,  float_tile_6, float_tile_7,  float_tile_8,  float_tile_9,
                                        float_tile_10, float_tile_11, float_tile_12, float_tile_13, float_tile_14};

/* (rows, depth) times (depth, columns), columns a multiple of 32. */
static void multiply_floats(const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t rows,
                            int64_t depth, int64_t columns, float *c, int64_t c_stride) {
    int64_t tiles = parts(rows, MOST_ROWS), at = 0;
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t height = parts(rows - at, tiles - tile);
        for (int64_t column = 0; column < columns; column += 32)
            FLOAT_TILES[height](a + at * a_stride, a_stride, b + column, b_stride, depth, c + at * c_stride + column,
                                c_stride);
        at += height;
    }
}

/* Transposes 16 by 16 floats. */
static void transpose_block(const float *in, int64_t in_stride, float *out, int64_t out_stride) {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(in + i * in_stride);
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d x = _mm512_castps_pd(b[i + j]), y = _mm512_castps_pd(b[i + j + 2]);
            a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    for (int i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_ps(out + i * out_stride, _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88));
        _mm512_storeu_ps(out + (i + 8) * out_stride, _mm512_shuffle_f32x4(b[i], b[i + 8], 0xdd));
        _mm512_storeu_ps(out + (i + 4) * out_stride, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88));
        _mm512_storeu_ps(out + (i + 12) * out_stride, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xdd));
    }
}

static inline __mmask16 mask_between(int64_t at, int64_t first, int64_t end) { /* of 16 places, those in [first, end) */
    unsigned mask = end - at >= 16 ? 0xffffu : (1u << (end - at)) - 1;
    return (__mmask16)(first > at ? mask & ~((1u << (first - at)) - 1) : mask);
}

/* softmax(values * scale + bias) over the floats from `first` to `end`, in place; those before, and those from `end` to
   `count`, a multiple of 16, become 0. `bias` begins with the first value, not with `first`. */
static void softmax(float *values, int64_t first, int64_t end, int64_t count, float scale, const float *bias) {
    const __m512 lowest = _mm512_set1_ps(-INFINITY), by = _mm512_set1_ps(scale);
    const int64_t start = first & ~15LL, stop = round_up(end, 16);
    __m512 highest = lowest;
    for (int64_t i = start; i < stop; i += 16) {
        const __mmask16 mask = mask_between(i, first, end);
        __m512 value = _mm512_mul_ps(_mm512_loadu_ps(values + i), by);
        if (bias != NULL) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, bias + i));
        value = _mm512_mask_blend_ps(mask, lowest, value);
        _mm512_storeu_ps(values + i, value);
        highest = _mm512_max_ps(highest, value);
    }
    __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(highest)), sum = _mm512_setzero_ps();
    for (int64_t i = start; i < stop; i += 16) {
        const __mmask16 mask = mask_between(i, first, end);
        __m512 value = _mm512_maskz_mov_ps(mask, exponential(_mm512_sub_ps(_mm512_loadu_ps(values + i), top)));
        _mm512_storeu_ps(values + i, value);
        sum = _mm512_add_ps(sum, value);
    }
    __m512 factor = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
    for (int64_t i = start; i < stop; i += 16)
        _mm512_storeu_ps(values + i, _mm512_mul_ps(_mm512_loadu_ps(values + i), factor));
    for (int64_t i = 0; i < start; i += 16) _mm512_storeu_ps(values + i, _mm512_setzero_ps());
    for (int64_t i = stop; i < count; i += 16) _mm512_storeu_ps(values + i, _mm512_setzero_ps());
}

#endif
