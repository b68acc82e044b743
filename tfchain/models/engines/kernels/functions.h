/* Functions of 16 numbers: the exponential and the activations of transformers. */

#ifndef TFCHAIN_FUNCTIONS_H
#define TFCHAIN_FUNCTIONS_H

#include <immintrin.h>

enum { GELU, GELU_TANH, RELU, SILU }; /* in the order of ACTIVATIONS in native_library.py */

/* e^x to three units in the last place: 2^n times the Taylor series of the rest, |r| <= ln(2)/2. */
static inline __m512 exponential(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    x = _mm512_min_ps(x, _mm512_set1_ps(88.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 sum = _mm512_set1_ps(1.0f / 720);
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 120));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 24));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f / 6));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(0.5f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
    sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(sum, n);
}

static inline __m512 hyperbolic_tangent(__m512 x) { /* 1 - 2 / (e^2x + 1) */
    __m512 e = exponential(_mm512_add_ps(x, x));
    __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(e, one)));
}

/* The error function to 3e-7 and rounding: 1 - (1 + a1 z + ... + a6 z^6)^-16 (Abramowitz and Stegun 1964, 7.1.28). */
static inline __m512 error_function(__m512 x) {
    const __m512 z = _mm512_abs_ps(x), one = _mm512_set1_ps(1.0f);
    __m512 sum = _mm512_set1_ps(0.0000430638f);
    sum = _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.0002765672f));
    sum = _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.0001520143f));
    sum = _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.0092705272f));
    sum = _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.0422820123f));
    sum = _mm512_fmadd_ps(sum, z, _mm512_set1_ps(0.0705230784f));
    sum = _mm512_fmadd_ps(sum, z, one);
    for (int i = 0; i < 4; i++) sum = _mm512_mul_ps(sum, sum); /* infinite for a large z, so that the result is 1 */
    const __m512 result = _mm512_sub_ps(one, _mm512_div_ps(one, sum));
    return _mm512_or_ps(result, _mm512_and_ps(x, _mm512_set1_ps(-0.0f))); /* the sign of x */
}

static inline __m512 activate(__m512 x, int activation) {
    __m512 half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1.0f);
    switch (activation) {
        case GELU: {
            __m512 e = error_function(_mm512_mul_ps(x, _mm512_set1_ps(0.70710678f)));
            return _mm512_mul_ps(_mm512_mul_ps(x, half), _mm512_add_ps(e, one));
        }
        case GELU_TANH: {
            __m512 cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
            __m512 inner = _mm512_fmadd_ps(cube, _mm512_set1_ps(0.044715f), x);
            __m512 t = hyperbolic_tangent(_mm512_mul_ps(inner, _mm512_set1_ps(0.79788456f)));
            return _mm512_mul_ps(_mm512_mul_ps(x, half), _mm512_add_ps(t, one));
        }
        case SILU: return _mm512_div_ps(x, _mm512_add_ps(exponential(_mm512_sub_ps(_mm512_setzero_ps(), x)), one));
        default: return _mm512_max_ps(x, _mm512_setzero_ps()); /* RELU */
    }
}

#endif
