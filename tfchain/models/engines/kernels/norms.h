/* Normalisations of a row, and the turning of queries and keys by their position. */

#ifndef TFCHAIN_NORMS_H
#define TFCHAIN_NORMS_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

typedef struct {
    float *gamma, *beta; /* (padded width), 0 in the padding; `gamma` is NULL where nothing is normalised */
} Norm;

static inline __mmask16 mask_of(int64_t left) { return left >= 16 ? 0xffff : (__mmask16)((1 << left) - 1); }

/* (x - mean) / sqrt(variance + epsilon) * gamma + beta over the first `count` of `padded` floats; `out` may be
   `values`. */
static void normalize(const float *values, int64_t count, int64_t padded, const Norm *norm, float epsilon, float *out) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < padded; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(values + i)); /* padding is 0 */
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)count);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
        __m512 off = _mm512_maskz_sub_ps(mask_of(count - i), _mm512_loadu_ps(values + i), mean);
        squares = _mm512_fmadd_ps(off, off, squares);
    }
    __m512 factor = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(squares) / (float)count + epsilon));
    for (int64_t i = 0; i < padded; i += 16) { /* gamma and beta are 0 in the padding */
        __m512 off = _mm512_sub_ps(_mm512_loadu_ps(values + i), mean);
        off = _mm512_fmadd_ps(_mm512_mul_ps(off, factor), _mm512_loadu_ps(norm->gamma + i), _mm512_loadu_ps(norm->beta + i));
        _mm512_storeu_ps(out + i, off);
    }
}

/* x / sqrt(mean of squares + epsilon) * gamma over the first `count` of `padded` floats; `out` may be `values`. */
static void normalize_by_square(const float *values, int64_t count, int64_t padded, const Norm *norm, float epsilon,
                                float *out) {
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < padded; i += 16) { /* padding is 0 */
        __m512 value = _mm512_loadu_ps(values + i);
        squares = _mm512_fmadd_ps(value, value, squares);
    }
    __m512 factor = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(squares) / (float)count + epsilon));
    for (int64_t i = 0; i < padded; i += 16)
        _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(values + i), factor),
                                                _mm512_loadu_ps(norm->gamma + i)));
}

/* Turns each feature of the first half of 2 * `half` with its partner in the second. `turn` has the cosines, then the
   sines. */
static void rotate(float *head, const float *turn, int64_t half) {
    for (int64_t i = 0; i < half; i += 16) {
        const __mmask16 mask = mask_of(half - i);
        __m512 cosine = _mm512_maskz_loadu_ps(mask, turn + i), sine = _mm512_maskz_loadu_ps(mask, turn + half + i);
        __m512 first = _mm512_maskz_loadu_ps(mask, head + i), second = _mm512_maskz_loadu_ps(mask, head + half + i);
        __m512 turned = _mm512_fnmadd_ps(second, sine, _mm512_mul_ps(first, cosine));
        second = _mm512_fmadd_ps(first, sine, _mm512_mul_ps(second, cosine));
        _mm512_mask_storeu_ps(head + i, mask, turned);
        _mm512_mask_storeu_ps(head + half + i, mask, second);
    }
}

#endif
