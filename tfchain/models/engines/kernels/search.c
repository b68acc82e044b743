/* Exact search among vectors in memory, which reads most of them in 8 bits only.

   Each vector has a copy of a byte a dimension and a scale. The product of a query and a copy differs from the product
   in float32 by no more than a bound, which follows from the length of what the copy leaves out (Cauchy-Schwarz) and
   from the rounding of sums. So one pass over the copies gives a lower and an upper bound of each score. No vector whose
   upper bound is below the k-th largest lower bound is among the k best; all others are scored again in float32, and
   only those scores count. A score is the same sum in the same order whatever else is searched, so equal vectors have
   equal scores, and the result is bitwise that of scoring every vector.

   Only tfchain/models/indexes/native_vectors.py uses it. */

#define EXPORT __attribute__((visibility("default")))

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")

#include "memory.h"
#include "threads.h"

#define AT_ONCE 4         /* queries in a pass over the copies, and vectors in a step of it */
#define AHEAD 32          /* vectors from those that are read to those that are fetched for later */
#define BLOCK 1024        /* vectors that a thread takes at a time */
#define ROUNDED_UP 1.0001 /* a factor for sums of doubles that are kept in float32 */
#define ADDED 0x1p-21f    /* of what is added to a score: the rounding of three additions, and to spare */
#define LARGEST 1e37      /* of a product of lengths; far below the end of float32 */
#define SMALLEST 1e-30f   /* a vector without a larger number is not worth a copy: its scale could vanish */

/* In the order of `Vectors` in native_vectors.py. */
typedef struct {
    const float *values;    /* (vectors, dim); NULL if the bytes are all that is known of the vectors */
    const int8_t *bytes;    /* (vectors, dim) */
    const float *scales;    /* of the bytes, (vectors) */
    const float *errors;    /* length of vector minus copy, rounded up, (vectors) */
    const float *lengths;   /* of the vectors, rounded up, (vectors) */
    const int32_t *sums;    /* of the bytes, (vectors) */
    const float *added;     /* to each vector's scores, (vectors); NULL if nothing is */
    const int64_t *offsets; /* of the documents' vectors, (documents + 1); NULL if each document has one vector */
    int64_t vectors, documents, dim;
} Vectors;

typedef struct {
    const float *values;
    uint8_t *bytes; /* 128 is zero */
    float scale, by_error, by_length, fixed; /* bound = by_error * error + by_length * length + fixed */
} Query;

typedef struct {
    const Vectors *in;
    const Query *queries;
    int64_t count;
    float *scores; /* by the copies, (count, stride) */
    int64_t stride;
} Pass;

static inline __mmask16 first_16(int64_t left) { return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1); }
static inline __mmask64 first_64(int64_t left) { return left >= 64 ? ~0ull : (1ull << left) - 1; }

/* ---- Making copies ---------------------------------------------------------------------------------------------- */

/* The length of values - scale * bytes, and of the values; sums are doubles, in which no square of a float32 overflows. */
static void measure(const float *values, const int8_t *bytes, float scale, int64_t dim, double *error, double *length) {
    __m512d off = _mm512_setzero_pd(), all = _mm512_setzero_pd();
    const __m512d factor = _mm512_set1_pd(scale);
    for (int64_t i = 0; i < dim; i += 8) {
        const __mmask8 mask = (__mmask8)first_16(least(dim - i, 8));
        __m512d copy = _mm512_mul_pd(_mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, bytes + i))), factor);
        __m512d value = values == NULL ? copy : _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, values + i));
        copy = _mm512_sub_pd(value, copy);
        off = _mm512_fmadd_pd(copy, copy, off);
        all = _mm512_fmadd_pd(value, value, all);
    }
    *error = sqrt(_mm512_reduce_add_pd(off));
    *length = sqrt(_mm512_reduce_add_pd(all));
}

static float greatest(const float *values, int64_t dim) { /* absolute value, apart from what is not a number */
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < dim; i += 16)
        most = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(first_16(dim - i), values + i)), most);
    return _mm512_reduce_max_ps(most);
}

/* Writes bytes from -127 to 127, and returns their scale. */
static float round_to_bytes(const float *values, int64_t dim, int8_t *bytes) {
    const float most = greatest(values, dim);
    const int has_copy = most >= SMALLEST && most <= FLT_MAX;
    const float scale = has_copy ? most / 127 : 0;
    const __m512 factor = _mm512_set1_ps(has_copy ? 127 / most : 0);
    const __m512i high = _mm512_set1_epi32(127), low = _mm512_set1_epi32(-127);
    for (int64_t i = 0; i < dim; i += 16) {
        const __mmask16 mask = first_16(dim - i);
        __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, values + i), factor));
        whole = _mm512_max_epi32(_mm512_min_epi32(whole, high), low);
        _mm_mask_storeu_epi8(bytes + i, mask, _mm512_cvtepi32_epi8(whole));
    }
    return scale;
}

static float round_up_float(double value) { return (float)(value * ROUNDED_UP + FLT_MIN); }

/* Makes the copies of vectors, and measures them; `values` NULL: bytes and scales are there, and are measured. */
EXPORT void tfchain_copy_vectors(const float *values, int64_t vectors, int64_t dim, int8_t *bytes, float *scales,
                                 float *errors, float *lengths, int32_t *sums) {
    for (int64_t row = 0; row < vectors; row++) {
        const float *vector = values == NULL ? NULL : values + row * dim;
        int8_t *copy = bytes + row * dim;
        double error, length;
        if (vector != NULL) scales[row] = round_to_bytes(vector, dim, copy);
        measure(vector, copy, scales[row], dim, &error, &length);
        errors[row] = vector == NULL ? 0 : round_up_float(error);
        lengths[row] = round_up_float(length);
        int32_t sum = 0;
        for (int64_t i = 0; i < dim; i++) sum += copy[i];
        sums[row] = sum;
    }
}

/* ---- The pass over the copies ----------------------------------------------------------------------------------- */

/* The sums of four registers, one after the other. */
static inline __m128i add_up(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i first = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i second = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Scores `rows` vectors, up to AT_ONCE, for `count` queries. */
static inline __attribute__((always_inline)) void score_copies(const Pass *pass, int64_t row, int64_t rows,
                                                               const int count) {
    const Vectors *in = pass->in;
    const int64_t dim = in->dim;
    const int8_t *copies[AT_ONCE];
    __m512i sums[AT_ONCE][AT_ONCE];
    for (int r = 0; r < AT_ONCE; r++) copies[r] = in->bytes + (row + least(r, rows - 1)) * dim;
    for (int q = 0; q < count; q++)
        for (int r = 0; r < AT_ONCE; r++) sums[q][r] = _mm512_setzero_si512();
    for (int64_t i = 0; i < dim; i += 64) {
        const __mmask64 mask = first_64(dim - i);
        __m512i copy[AT_ONCE];
        for (int r = 0; r < AT_ONCE; r++) {
            copy[r] = _mm512_maskz_loadu_epi8(mask, copies[r] + i);
            /* The processor's own prefetcher does not follow vectors that are read side by side. */
            _mm_prefetch((const char *)(copies[r] + i + AHEAD * dim), _MM_HINT_T0);
        }
        for (int q = 0; q < count; q++) {
            const __m512i query = _mm512_load_si512(pass->queries[q].bytes + i);
            for (int r = 0; r < AT_ONCE; r++) sums[q][r] = _mm512_dpbusd_epi32(sums[q][r], query, copy[r]);
        }
    }
    const __mmask8 mask = (__mmask8)((1 << rows) - 1);
    const __m128i zero = _mm_slli_epi32(_mm_maskz_loadu_epi32(mask, in->sums + row), 7);
    const __m128 scale = _mm_maskz_loadu_ps(mask, in->scales + row);
    const __m128 added = in->added == NULL ? _mm_setzero_ps() : _mm_maskz_loadu_ps(mask, in->added + row);
    for (int q = 0; q < count; q++) {
        __m128i sum = _mm_sub_epi32(add_up(sums[q][0], sums[q][1], sums[q][2], sums[q][3]), zero);
        __m128 factor = _mm_mul_ps(scale, _mm_set1_ps(pass->queries[q].scale));
        __m128 score = _mm_fmadd_ps(_mm_cvtepi32_ps(sum), factor, added);
        _mm_mask_storeu_ps(pass->scores + q * pass->stride + row, mask, score);
    }
}

static void score_block(void *arguments, int64_t unit, int thread) {
    const Pass *pass = arguments;
    const int64_t end = least((unit + 1) * BLOCK, pass->in->vectors);
    (void)thread;
    for (int64_t row = unit * BLOCK; row < end; row += AT_ONCE) {
        const int64_t rows = least(end - row, AT_ONCE);
        switch (pass->count) {
            case 1: score_copies(pass, row, rows, 1); break;
            case 2: score_copies(pass, row, rows, 2); break;
            case 3: score_copies(pass, row, rows, 3); break;
            default: score_copies(pass, row, rows, 4); break;
        }
    }
}

/* ---- Choosing --------------------------------------------------------------------------------------------------- */

static inline __m512 bounds_of(const Vectors *in, const Query *query, int64_t row, __mmask16 mask) {
    __m512 bound = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, in->lengths + row), _mm512_set1_ps(query->by_length),
                                   _mm512_set1_ps(query->fixed));
    if (in->added != NULL)
        bound = _mm512_fmadd_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(mask, in->added + row)),
                                _mm512_set1_ps(ADDED), bound);
    return _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, in->errors + row), _mm512_set1_ps(query->by_error), bound);
}

/* Keeps the `most` largest values, largest first. */
static inline int64_t keep_largest(float *best, int64_t found, int64_t most, float value) {
    if (found == most && !(value > best[found - 1])) return found;
    int64_t at = found < most ? found++ : found - 1;
    for (; at > 0 && value > best[at - 1]; at--) best[at] = best[at - 1];
    best[at] = value;
    return found;
}

/* Turns scores by copies into upper bounds, and returns the least that a document among the best can score. */
static float find_least(const Vectors *in, const Query *query, const uint8_t *allowed, float *scores, int64_t most,
                        float *best) {
    int64_t found = 0, document = 0;
    float largest = -INFINITY; /* lower bound of the document's vectors */
    for (int64_t row = 0; row < in->vectors; row += 16) {
        __mmask16 mask = first_16(in->vectors - row);
        __m512 score = _mm512_maskz_loadu_ps(mask, scores + row), bound = bounds_of(in, query, row, mask);
        __m512 lower = _mm512_sub_ps(score, bound);
        _mm512_mask_storeu_ps(scores + row, mask, _mm512_add_ps(score, bound));
        if (in->offsets == NULL) {
            if (allowed != NULL) mask = _mm512_mask_test_epi32_mask(mask, _mm512_set1_epi32(255), _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, allowed + row)));
            if (found == most) mask = _mm512_mask_cmp_ps_mask(mask, lower, _mm512_set1_ps(best[most - 1]), _CMP_GT_OQ);
            if (!mask) continue;
            float values[16];
            _mm512_storeu_ps(values, lower);
            for (; mask; mask &= mask - 1) found = keep_largest(best, found, most, values[__builtin_ctz(mask)]);
            continue;
        }
        float values[16];
        _mm512_storeu_ps(values, lower);
        for (int64_t at = 0; at < least(in->vectors - row, 16); at++) {
            largest = fmaxf(largest, values[at]);
            if (row + at + 1 < in->offsets[document + 1]) continue;
            if (allowed == NULL || allowed[document]) found = keep_largest(best, found, most, largest);
            largest = -INFINITY, document++;
        }
    }
    return found == most ? best[most - 1] : -INFINITY;
}

/* The places of vectors whose upper bound reaches `lowest`, in their order. Returns their number. */
static int64_t list_candidates(const Vectors *in, const float *upper, float lowest, const uint8_t *allowed,
                               int64_t *candidates) {
    int64_t count = 0;
    for (int64_t row = 0; row < in->vectors; row += 16) {
        const __mmask16 inside = first_16(in->vectors - row);
        __mmask16 mask = _mm512_mask_cmp_ps_mask(inside, _mm512_maskz_loadu_ps(inside, upper + row), _mm512_set1_ps(lowest), _CMP_GE_OQ);
        for (; mask; mask &= mask - 1) {
            const int64_t at = row + __builtin_ctz(mask);
            if (in->offsets != NULL || allowed == NULL || allowed[at]) candidates[count++] = at;
        }
    }
    return count;
}

/* ---- Scoring in float32 ----------------------------------------------------------------------------------------- */

static float score_vector(const Vectors *in, const float *query, int64_t row) {
    __m512 sums[4];
    for (int i = 0; i < 4; i++) sums[i] = _mm512_setzero_ps();
    for (int64_t i = 0; i < in->dim; i += 16) {
        const __mmask16 mask = first_16(in->dim - i);
        __m512 value = in->values == NULL
                           ? _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, in->bytes + row * in->dim + i)))
                           : _mm512_maskz_loadu_ps(mask, in->values + row * in->dim + i);
        __m512 *sum = sums + i / 16 % 4;
        *sum = _mm512_fmadd_ps(value, _mm512_maskz_loadu_ps(mask, query + i), *sum);
    }
    const float all = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
    const float score = in->values == NULL ? all * in->scales[row] : all;
    return in->added == NULL ? score : score + in->added[row];
}

static void prefetch(const Vectors *in, int64_t row) {
    const char *vector = in->values == NULL ? (const char *)(in->bytes + row * in->dim) : (const char *)(in->values + row * in->dim);
    const int64_t size = in->values == NULL ? in->dim : in->dim * 4;
    for (int64_t at = 0; at < size; at += 64) _mm_prefetch(vector + at, _MM_HINT_T0);
}

static inline int64_t insert(float *scores, int64_t *places, int64_t found, int64_t most, float score, int64_t place) {
    if (found == most && !(score > scores[found - 1])) return found;
    int64_t at = found < most ? found++ : found - 1;
    for (; at > 0 && score > scores[at - 1]; at--) scores[at] = scores[at - 1], places[at] = places[at - 1];
    scores[at] = score, places[at] = place;
    return found;
}

/* Scores the candidates, and keeps the best documents. */
static void score_candidates(const Vectors *in, const float *query, const int64_t *candidates, int64_t count,
                             const uint8_t *allowed, int64_t most, int64_t *places, float *scores) {
    int64_t found = 0, document = 0;
    for (int64_t i = 0; i < count;) {
        if (in->offsets == NULL) {
            if (i + 2 < count) prefetch(in, candidates[i + 2]);
            found = insert(scores, places, found, most, score_vector(in, query, candidates[i]), candidates[i]);
            i++;
            continue;
        }
        while (in->offsets[document + 1] <= candidates[i]) document++;
        float best = -INFINITY;
        const int is_allowed = allowed == NULL || allowed[document];
        for (; i < count && candidates[i] < in->offsets[document + 1]; i++) {
            if (!is_allowed) continue;
            if (i + 2 < count) prefetch(in, candidates[i + 2]);
            best = fmaxf(best, score_vector(in, query, candidates[i]));
        }
        if (is_allowed) found = insert(scores, places, found, most, best, document);
    }
}

/* ---- The whole -------------------------------------------------------------------------------------------------- */

/* Returns 0 if scores of this query could leave float32's range. longest, most_added: the largest length of a vector,
   and the largest absolute value of what is added to its scores. */
static int prepare(const Vectors *in, Query *query, const float *values, float longest, float most_added) {
    const int64_t dim = in->dim;
    double error, length;
    query->values = values;
    query->scale = round_to_bytes(values, dim, (int8_t *)query->bytes);
    measure(values, (const int8_t *)query->bytes, query->scale, dim, &error, &length);
    for (int64_t i = 0; i < dim; i++) query->bytes[i] ^= 0x80;
    if (!(length < LARGEST) || !((length + error) * longest < LARGEST) || !(most_added < LARGEST)) return 0;
    /* |sum - product| <= dim * 2^-24 * |query| |vector| for a sum in any order; the rest is to spare. */
    const double rounding = (double)(dim + 64) / (1 << 22), copied = length + error;
    query->by_error = round_up_float(copied * (1 + rounding));
    query->by_length = round_up_float(error + rounding * copied);
    /* Numbers, products and scales may be too small for float32, each by up to FLT_MIN. */
    query->fixed = (float)(FLT_MIN * 32768.0 * (double)dim * (1 + length + longest));
    return 1;
}

/* Finds the documents with the largest scores: their places, largest score first, and equal scores in their order.

   queries: (count, dim). longest, most_added: as for `prepare`. allowed: (documents), or NULL for all. most: at most the
   number of allowed documents. places, scores: (count, most). rescored: how many vectors were scored in float32.
   Returns 0: done; 1: a query or a vector is too large, or not a number; 3: not enough memory. */
EXPORT int tfchain_search(const Vectors *in, const float *queries, int64_t count, float longest, float most_added,
                          const uint8_t *allowed, int64_t most, int64_t threads, int64_t *places, float *scores,
                          int64_t *rescored) {
    const int64_t width = round_up(in->dim, 64), stride = round_up(in->vectors, 16);
    Query asked[AT_ONCE];
    uint8_t *bytes = allocate(AT_ONCE * width);
    float *upper = malloc((size_t)(least(count, AT_ONCE) * stride + most) * sizeof(float));
    int64_t *candidates = malloc((size_t)in->vectors * sizeof(int64_t));
    int result = bytes == NULL || upper == NULL || candidates == NULL ? 3 : 0;
    *rescored = 0;
    for (int64_t first = 0; first < count && !result; first += AT_ONCE) {
        Pass pass = {.in = in, .queries = asked, .count = least(count - first, AT_ONCE), .scores = upper, .stride = stride};
        float *lower = upper + least(count, AT_ONCE) * stride;
        for (int64_t q = 0; q < pass.count; q++) {
            asked[q].bytes = bytes + q * width;
            if (!prepare(in, asked + q, queries + (first + q) * in->dim, longest, most_added)) result = 1;
        }
        if (result) break;
        if (threads > 1) {
            const int64_t allotted = enter((int)least(threads, MOST_HELPERS + 1));
            const int running = get_helpers((int)allotted - 1);
            run_phase(running, parts(in->vectors, BLOCK), score_block, &pass);
            if (running > 1) return_helpers();
            leave();
        } else {
            run_phase(1, parts(in->vectors, BLOCK), score_block, &pass);
        }
        for (int64_t q = 0; q < pass.count; q++) {
            float *bounds = upper + q * stride;
            const float lowest = find_least(in, asked + q, allowed, bounds, most, lower);
            const int64_t number = list_candidates(in, bounds, lowest, allowed, candidates);
            score_candidates(in, asked[q].values, candidates, number, allowed, most, places + (first + q) * most,
                             scores + (first + q) * most);
            *rescored += number;
        }
    }
    free(bytes), free(upper), free(candidates);
    return result;
}

#endif
