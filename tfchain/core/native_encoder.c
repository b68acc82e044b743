/* A transformer encoder in int8 for x86-64 processors with AVX-512 VNNI: token ids of whole texts in, vectors out.

   The layers are those of tfchain/models/transformer.py. Weights have 8 bits with a scale for each output; what goes into
   a product is quantized row by row as it comes, with a scale and a zero of its own (LiteRT's "dynamic range"). Products
   are summed exactly, in 32 bits; all between them is float32. Texts lie below one another without padding, so that a
   text's vector is the same to the last bit alone and among others, and with any number of threads.

   A call runs phases one after another. A phase is a number of units that the calling thread and its helpers take one by
   one, so that a helper that comes late, or not at all, costs nothing but its help.

   tfchain/core/native.py is the only user. It is compiled where tfchain is installed, by GCC; elsewhere, or on another
   processor, LiteRT computes. */

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#define _GNU_SOURCE
#include <immintrin.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define PANEL 32 /* outputs of a product that are computed together: two registers of 16 */
#define MOST_ROWS 14  /* that are computed together, and their sums held in registers */
#define MOST_BLOCK 42 /* rows that go through a layer together, whose values stay in a core's cache */
#define LEAST_BLOCK 3 /* each block passes over all weights */
#define MOST_HELPERS 15
#define MOST_UNITS 0xfffff
#define MOST_IDLE 16 /* workspaces that a model keeps for the next calls */
#define SPIN_NANOSECONDS 200000 /* a helper waits so long for the next call before it sleeps */
#define HUGE_PAGE (2 << 20)
#define PIECE (4 << 20)

/* Before the pragma below: it must run on any processor. */
EXPORT int tfchain_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")

enum { GELU, GELU_TANH, RELU, SILU }; /* in the order of ACTIVATIONS in native.py */

static inline int64_t parts(int64_t all, int64_t size) { return (all + size - 1) / size; }
static inline int64_t round_up(int64_t number, int64_t step) { return parts(number, step) * step; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void *allocate(int64_t bytes) {
    void *memory = aligned_alloc(64, (size_t)round_up(bytes + 64, 64)); /* a prefetch or a last vector may go beyond */
    if (memory != NULL) memset(memory, 0, (size_t)bytes);
    return memory;
}

/* What a model keeps lies in few pieces, in huge pages where the system gives them to those who ask, as a query passes
   over all of it. */
typedef struct Piece {
    struct Piece *next;
    int64_t size, used;
} Piece;

static void *keep(Piece **pieces, int64_t bytes) {
    bytes = round_up(bytes + 64, 64);
    if (*pieces == NULL || (*pieces)->size - (*pieces)->used < bytes) {
        const int64_t size = round_up(bytes + 64, PIECE);
        Piece *piece = aligned_alloc(HUGE_PAGE, (size_t)size);
        if (piece == NULL) return NULL;
        madvise(piece, (size_t)size, MADV_HUGEPAGE);
        memset(piece, 0, (size_t)size);
        piece->next = *pieces, piece->size = size, piece->used = 64;
        *pieces = piece;
    }
    void *memory = (char *)*pieces + (*pieces)->used;
    (*pieces)->used += bytes;
    return memory;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

typedef void (*Work)(void *arguments, int64_t unit, int thread);

/* The ticket holds the number of the phase (24 bits), its units (20) and the next unit to take (20). A unit is taken by
   raising the last. A phase ends only when all its units are done, so that whoever has taken one can read the rest. */
static struct {
    pthread_mutex_t busy; /* held by the call that has the helpers */
    _Atomic uint64_t ticket;
    _Atomic uint32_t finished;
    _Atomic uint32_t waiting; /* helpers that sleep */
    _Atomic uint32_t wake;
    _Atomic uint32_t most; /* helpers that may work on the current call */
    Work work;
    void *arguments;
    int helpers;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER};

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int take_unit(int64_t *unit) {
    uint64_t ticket = atomic_load_explicit(&pool.ticket, memory_order_acquire);
    while ((ticket & MOST_UNITS) < (ticket >> 20 & MOST_UNITS)) {
        if (atomic_compare_exchange_weak_explicit(&pool.ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *unit = (int64_t)(ticket & MOST_UNITS);
            return 1;
        }
    }
    return 0;
}

static void *help(void *number) {
    uint32_t self = (uint32_t)(uintptr_t)number;
    int64_t idle_since = nanoseconds();
    for (uint32_t turn = 0;; turn++) {
        int64_t unit;
        if (self < atomic_load_explicit(&pool.most, memory_order_acquire) && take_unit(&unit)) {
            do {
                pool.work(pool.arguments, unit, (int)self + 1);
                atomic_fetch_add_explicit(&pool.finished, 1, memory_order_release);
            } while (take_unit(&unit));
            turn = 0;
            idle_since = nanoseconds();
            continue;
        }
        _mm_pause();
        if (turn % 64 == 63 && nanoseconds() - idle_since > SPIN_NANOSECONDS) {
            uint32_t wake = atomic_load(&pool.wake);
            atomic_fetch_add(&pool.waiting, 1);
            if (self >= atomic_load(&pool.most))
                syscall(SYS_futex, &pool.wake, FUTEX_WAIT_PRIVATE, wake, NULL, NULL, 0);
            atomic_fetch_sub(&pool.waiting, 1);
            idle_since = nanoseconds();
        }
    }
    return NULL;
}

static void forget_helpers(void) { /* in a forked process there are none, and no call goes on */
    pool.helpers = 0;
    atomic_store(&pool.ticket, 0);
    atomic_store(&pool.waiting, 0);
    atomic_store(&pool.most, 0);
    pthread_mutex_init(&pool.busy, NULL);
}

/* Gives this call the helpers, and how many threads may work on it; 1: it works alone, as another call has them. One
   that was late for the call before may work on this one, whatever was wanted here, so that all count. */
static int get_helpers(int wanted) {
    if (wanted < 1 || pthread_mutex_trylock(&pool.busy) != 0) return 1;
    static int registered = 0;
    if (!registered) registered = pthread_atfork(NULL, NULL, forget_helpers) == 0;
    while (pool.helpers < wanted && pool.helpers < MOST_HELPERS) {
        pthread_t thread;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
        const int failed = pthread_create(&thread, NULL, help, (void *)(uintptr_t)pool.helpers);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed) break;
        pthread_setname_np(thread, "tfchain-help");
        pthread_detach(thread);
        pool.helpers++;
    }
    atomic_store(&pool.most, (uint32_t)wanted);
    atomic_fetch_add(&pool.wake, 1);
    if (atomic_load(&pool.waiting)) syscall(SYS_futex, &pool.wake, FUTEX_WAKE_PRIVATE, MOST_HELPERS, NULL, NULL, 0);
    if (pool.helpers == 0) pthread_mutex_unlock(&pool.busy); /* no thread could be started */
    return pool.helpers + 1;
}

static void return_helpers(void) {
    atomic_store(&pool.most, 0);
    pthread_mutex_unlock(&pool.busy);
}

static void run_phase(int threads, int64_t units, Work work, void *arguments) {
    if (threads == 1 || units < 2 || units > MOST_UNITS) {
        for (int64_t unit = 0; unit < units; unit++) work(arguments, unit, 0);
        return;
    }
    pool.work = work;
    pool.arguments = arguments;
    atomic_store_explicit(&pool.finished, 0, memory_order_relaxed);
    uint64_t number = (atomic_load_explicit(&pool.ticket, memory_order_relaxed) >> 40) + 1;
    atomic_store_explicit(&pool.ticket, number << 40 | (uint64_t)units << 20, memory_order_release);
    int64_t unit;
    while (take_unit(&unit)) {
        work(arguments, unit, 0);
        atomic_fetch_add_explicit(&pool.finished, 1, memory_order_release);
    }
    for (uint32_t turn = 1; atomic_load_explicit(&pool.finished, memory_order_acquire) < units; turn++) {
        _mm_pause();
        if (turn % 4096 == 0) syscall(SYS_sched_yield);
    }
}

/* ---- Functions of 16 numbers ------------------------------------------------------------------------------------ */

/* e^x to three units in the last place: 2^n times the Taylor series of what is left, |r| <= ln(2)/2. */
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
    for (int i = 0; i < 4; i++) sum = _mm512_mul_ps(sum, sum); /* infinite for a large z, whose result is 1 */
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

/* ---- Products --------------------------------------------------------------------------------------------------- */

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
            /* The next panel comes while this one is worked on; the processor does not look so far ahead. */          \
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

/* Rows [row, end) of a product into `out`, whose first row is row 0. */
static void multiply(const Product *product, const Quantized *in, int64_t row, int64_t end, float *out, int64_t stride,
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

/* As XNNPACK quantizes rows for its "qd8" products: asymmetric, zero exactly kept. `count` floats, a multiple of 16. */
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

/* (x - mean) / sqrt(variance + epsilon) * gamma + beta over the first `count` of `padded` floats, in place. */
static void normalize(float *values, int64_t count, int64_t padded, const float *gamma, const float *beta, float epsilon) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < padded; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(values + i)); /* padding is 0 */
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)count);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 mask = count - i >= 16 ? 0xffff : (__mmask16)((1 << (count - i)) - 1);
        __m512 off = _mm512_maskz_sub_ps(mask, _mm512_loadu_ps(values + i), mean);
        squares = _mm512_fmadd_ps(off, off, squares);
    }
    __m512 factor = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(squares) / (float)count + epsilon));
    for (int64_t i = 0; i < padded; i += 16) { /* gamma and beta are 0 in the padding */
        __m512 off = _mm512_sub_ps(_mm512_loadu_ps(values + i), mean);
        off = _mm512_fmadd_ps(_mm512_mul_ps(off, factor), _mm512_loadu_ps(gamma + i), _mm512_loadu_ps(beta + i));
        _mm512_storeu_ps(values + i, off);
    }
}

/* ---- Attention -------------------------------------------------------------------------------------------------- */

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

/* 16 by 16 floats, rows to columns. */
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

/* softmax(values * scale + bias) over `count` floats, in place; those up to the next multiple of 32 become 0. */
static void softmax(float *values, int64_t count, float scale, const float *bias) {
    const __m512 lowest = _mm512_set1_ps(-INFINITY), by = _mm512_set1_ps(scale);
    __m512 highest = lowest;
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 mask = count - i >= 16 ? 0xffff : (__mmask16)((1 << (count - i)) - 1);
        __m512 value = _mm512_mul_ps(_mm512_loadu_ps(values + i), by);
        if (bias != NULL) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, bias + i));
        value = _mm512_mask_blend_ps(mask, lowest, value);
        _mm512_storeu_ps(values + i, value);
        highest = _mm512_max_ps(highest, value);
    }
    __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(highest)), sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 mask = count - i >= 16 ? 0xffff : (__mmask16)((1 << (count - i)) - 1);
        __m512 value = _mm512_maskz_mov_ps(mask, exponential(_mm512_sub_ps(_mm512_loadu_ps(values + i), top)));
        _mm512_storeu_ps(values + i, value);
        sum = _mm512_add_ps(sum, value);
    }
    __m512 factor = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
    for (int64_t i = 0; i < count; i += 16)
        _mm512_storeu_ps(values + i, _mm512_mul_ps(_mm512_loadu_ps(values + i), factor));
}

/* ---- The model -------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t heads, head_dim, head_panels; /* panels that hold a head's query, key and value */
    Product query_key_value, attention_output, intermediate, output;
    float *attention_gamma, *attention_beta, *output_gamma, *output_beta;
} Layer;


/* What one call works in. */
typedef struct {
    int64_t tokens, scratch_floats;
    float *hidden, *wide, *mixed, *scratch;
    Quantized narrow_bytes, mixed_bytes, wide_bytes;
} Workspace;

typedef struct {
    int64_t dim, padded_dim, token_dim, vocabulary, positions, layers, wide, mixed, head_width;
    float epsilon;
    int activation, normalizes;
    int8_t *tokens;      /* (vocabulary, token_dim) */
    float *token_scales; /* (vocabulary) */
    float *fixed;        /* (positions, padded_dim): position and token type */
    Product projection;  /* from token_dim to dim; no panels where there is none */
    float *gamma, *beta;
    float *relative; /* (heads, 2 * positions - 1), or NULL */
    Layer *all;
    Piece *pieces;
    Workspace *_Atomic idle[MOST_IDLE]; /* no lock: a process that is forked could find it held by nobody */
} Model;

static void free_workspace(Workspace *space) {
    if (space == NULL) return;
    free(space->hidden), free(space->wide), free(space->mixed), free(space->scratch);
    Quantized *all[] = {&space->narrow_bytes, &space->mixed_bytes, &space->wide_bytes};
    for (int i = 0; i < 3; i++) free(all[i]->bytes), free(all[i]->scales), free(all[i]->zeros);
    free(space);
}

static int make_quantized(Quantized *made, int64_t rows, int64_t width) {
    made->stride = round_up(width, 64);
    made->bytes = allocate(rows * made->stride);
    made->scales = allocate(rows * sizeof(float));
    made->zeros = allocate(rows * sizeof(int32_t));
    return made->bytes != NULL && made->scales != NULL && made->zeros != NULL;
}

static int64_t scratch_of_thread(const Model *model, int64_t longest) {
    return round_up(longest, 32) * (model->head_width + MOST_ROWS);
}

/* One that an earlier call has left, if it is large enough, or a new one; NULL: there is not enough memory. */
static Workspace *get_workspace(Model *model, int64_t tokens, int64_t scratch) {
    Workspace *space = NULL;
    for (int i = 0; i < MOST_IDLE && space == NULL; i++) space = atomic_exchange(&model->idle[i], NULL);
    if (space != NULL && space->tokens >= tokens && space->scratch_floats >= scratch) return space;
    if (space != NULL) {
        tokens = tokens > space->tokens ? tokens : space->tokens;
        scratch = scratch > space->scratch_floats ? scratch : space->scratch_floats;
        free_workspace(space);
    }
    space = calloc(1, sizeof(Workspace));
    if (space == NULL) return NULL;
    tokens = round_up(tokens, 32);
    int64_t rows = tokens + 16; /* a block that is transposed may read beyond the last token */
    space->tokens = tokens;
    space->scratch_floats = scratch;
    space->hidden = allocate(rows * model->padded_dim * sizeof(float));
    space->wide = allocate(rows * model->wide * sizeof(float));
    space->mixed = allocate(rows * model->mixed * sizeof(float));
    space->scratch = allocate(scratch * sizeof(float));
    int whole = space->hidden != NULL && space->wide != NULL && space->mixed != NULL && space->scratch != NULL;
    whole &= make_quantized(&space->narrow_bytes, rows, model->padded_dim);
    whole &= make_quantized(&space->mixed_bytes, rows, model->mixed);
    whole &= make_quantized(&space->wide_bytes, rows, model->wide);
    if (whole) return space;
    free_workspace(space);
    return NULL;
}

static void return_workspace(Model *model, Workspace *space) {
    for (int i = 0; i < MOST_IDLE; i++) {
        Workspace *none = NULL;
        if (atomic_compare_exchange_strong(&model->idle[i], &none, space)) return;
    }
    free_workspace(space);
}

typedef struct {
    const Model *model;
    Workspace *space;
    const int32_t *token_ids;
    const int32_t *starts; /* of each text among the tokens, and the end */
    const float *weights;  /* of tokens in pooling, (poolings, tokens) */
    float *vectors;        /* (texts, poolings * dim) */
    int64_t texts, poolings, rows, block, scratch;
    const Layer *layer, *next;
} Call;

static void embed_rows(const Call *call, int64_t row, int64_t end) {
    const Model *model = call->model;
    Workspace *space = call->space;
    const int64_t dim = model->padded_dim, token_dim = model->token_dim;
    int64_t text = 0;
    while (call->starts[text + 1] <= row) text++;
    for (int64_t at = row; at < end; at++) {
        while (call->starts[text + 1] <= at) text++;
        const int64_t id = call->token_ids[at];
        const float *fixed = model->fixed + (at - call->starts[text]) * dim;
        const int8_t *token = model->tokens + id * token_dim;
        __m512 scale = _mm512_set1_ps(model->token_scales[id]);
        float *hidden = space->hidden + at * dim;
        if (model->projection.panels) {
            memcpy(hidden, fixed, dim * sizeof(float));
            __m128i flip = _mm_set1_epi8((char)0x80);
            for (int64_t i = 0; i < token_dim; i += 16) {
                __m128i bytes = _mm_xor_si128(_mm_load_si128((const __m128i *)(token + i)), flip);
                _mm_store_si128((__m128i *)(space->mixed_bytes.bytes + at * space->mixed_bytes.stride + i), bytes);
            }
            space->mixed_bytes.scales[at] = model->token_scales[id];
            space->mixed_bytes.zeros[at] = 128;
            continue;
        }
        for (int64_t i = 0; i < dim; i += 16) {
            __m512 value = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(token + i))));
            _mm512_storeu_ps(hidden + i, _mm512_fmadd_ps(value, scale, _mm512_loadu_ps(fixed + i)));
        }
    }
}

static void norm_rows(const Call *call, const float *gamma, const float *beta, int64_t row, int64_t end) {
    const Model *model = call->model;
    for (int64_t at = row; at < end; at++) {
        float *hidden = call->space->hidden + at * model->padded_dim;
        normalize(hidden, model->dim, model->padded_dim, gamma, beta, model->epsilon);
        quantize(hidden, model->padded_dim, &call->space->narrow_bytes, at);
    }
}

static void quantize_rows(const float *values, int64_t stride, const Product *product, Quantized *out, int64_t row,
                          int64_t end) {
    for (int64_t at = row; at < end; at++) quantize(values + at * stride, product->groups * 4, out, at);
}

static void attend(const Call *call, int64_t text, int64_t head, int thread) {
    const Model *model = call->model;
    const Layer *layer = call->layer;
    const int64_t width = layer->head_panels / 3 * PANEL, stride = model->wide, out_stride = model->mixed;
    const int64_t start = call->starts[text], length = call->starts[text + 1] - start, columns = round_up(length, 32);
    const float *query = call->space->wide + start * stride + head * 3 * width, *key = query + width, *value = key + width;
    float *keys = call->space->scratch + thread * call->scratch, *scores = keys + width * columns;
    float *out = call->space->mixed + start * out_stride + head * width;
    const float scale = 1.0f / sqrtf((float)layer->head_dim);
    for (int64_t row = 0; row < length; row += 16)
        for (int64_t at = 0; at < width; at += 16)
            transpose_block(key + row * stride + at, stride, keys + at * columns + row, columns);
    const int64_t tiles = parts(length, MOST_ROWS);
    int64_t row = 0;
    for (int64_t tile = 0; tile < tiles; tile++) {
        const int64_t rows = parts(length - row, tiles - tile);
        multiply_floats(query + row * stride, stride, keys, columns, rows, width, columns, scores, columns);
        for (int64_t at = 0; at < rows; at++) {
            const float *bias = NULL;
            if (model->relative != NULL) /* by key - query, from -(positions - 1) on */
                bias = model->relative + head * (2 * model->positions - 1) + model->positions - 1 - (row + at);
            softmax(scores + at * columns, length, scale, bias);
        }
        multiply_floats(scores, columns, value, stride, rows, length, width, out + row * out_stride, out_stride);
        row += rows;
    }
}

/* Units: a block of rows, a head of a text, a text. */

static void start_rows(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    Workspace *space = call->space;
    const int64_t row = unit * call->block, end = least(row + call->block, call->rows);
    (void)thread;
    embed_rows(call, row, end);
    if (model->projection.panels)
        multiply(&model->projection, &space->mixed_bytes, row, end, space->hidden, model->padded_dim, ADD, 0);
    norm_rows(call, model->gamma, model->beta, row, end);
    multiply(&call->next->query_key_value, &space->narrow_bytes, row, end, space->wide, model->wide, STORE, 0);
}

/* All of a layer behind attention, and the next layer's query, key and value. */
static void feed_rows(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    const Layer *layer = call->layer;
    Workspace *space = call->space;
    const int64_t row = unit * call->block, end = least(row + call->block, call->rows), dim = model->padded_dim;
    (void)thread;
    quantize_rows(space->mixed, model->mixed, &layer->attention_output, &space->mixed_bytes, row, end);
    multiply(&layer->attention_output, &space->mixed_bytes, row, end, space->hidden, dim, ADD, 0);
    norm_rows(call, layer->attention_gamma, layer->attention_beta, row, end);
    multiply(&layer->intermediate, &space->narrow_bytes, row, end, space->wide, model->wide, ACTIVATE,
             model->activation);
    quantize_rows(space->wide, model->wide, &layer->output, &space->wide_bytes, row, end);
    multiply(&layer->output, &space->wide_bytes, row, end, space->hidden, dim, ADD, 0);
    norm_rows(call, layer->output_gamma, layer->output_beta, row, end);
    if (call->next != NULL)
        multiply(&call->next->query_key_value, &space->narrow_bytes, row, end, space->wide, model->wide, STORE, 0);
}

static void attend_head(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    attend(call, unit / call->layer->heads, unit % call->layer->heads, thread);
}

static void pool_text(void *arguments, int64_t text, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    (void)thread;
    float *vector = call->vectors + text * call->poolings * model->dim;
    for (int64_t pooling = 0; pooling < call->poolings; pooling++) {
        const float *weights = call->weights + pooling * call->rows;
        for (int64_t i = 0; i < model->dim; i += 16) {
            __mmask16 mask = model->dim - i >= 16 ? 0xffff : (__mmask16)((1 << (model->dim - i)) - 1);
            __m512 sum = _mm512_setzero_ps();
            for (int64_t row = call->starts[text]; row < call->starts[text + 1]; row++)
                sum = _mm512_fmadd_ps(_mm512_set1_ps(weights[row]),
                                      _mm512_loadu_ps(call->space->hidden + row * model->padded_dim + i), sum);
            _mm512_mask_storeu_ps(vector + pooling * model->dim + i, mask, sum);
        }
    }
    if (!model->normalizes) return;
    float squares = 0;
    for (int64_t i = 0; i < call->poolings * model->dim; i++) squares += vector[i] * vector[i];
    const float factor = 1.0f / fmaxf(sqrtf(squares), 1e-12f);
    for (int64_t i = 0; i < call->poolings * model->dim; i++) vector[i] *= factor;
}

/* Vectors of texts. 0: done; 1: a text without tokens or of too many; 2: a token id that is none; 3: no memory left. */
EXPORT int tfchain_encode(Model *model, const int32_t *token_ids, const int32_t *starts, int64_t texts,
                          const float *weights, int64_t poolings, int64_t threads, float *vectors) {
    const int64_t rows = starts[texts];
    int64_t longest = 0;
    for (int64_t text = 0; text < texts; text++) {
        const int64_t length = starts[text + 1] - starts[text];
        if (length < 1 || length > model->positions) return 1;
        if (length > longest) longest = length;
    }
    for (int64_t row = 0; row < rows; row++)
        if (token_ids[row] < 0 || token_ids[row] >= model->vocabulary) return 2;
    if (threads > MOST_HELPERS + 1) threads = MOST_HELPERS + 1;
    const int running = get_helpers((int)threads - 1);
    threads = least(threads, running);
    const int64_t scratch = scratch_of_thread(model, longest);
    Workspace *space = get_workspace(model, rows, scratch * running);
    if (space == NULL) {
        if (running > 1) return_helpers();
        return 3;
    }
    Call call = {.model = model, .space = space, .token_ids = token_ids, .starts = starts, .weights = weights,
                 .vectors = vectors, .texts = texts, .poolings = poolings, .rows = rows, .scratch = scratch};
    const int64_t even = threads * parts(rows, threads * MOST_BLOCK); /* blocks */
    call.block = parts(rows, even) > LEAST_BLOCK ? parts(rows, even) : LEAST_BLOCK;
    const int64_t blocks = parts(rows, call.block);
    call.next = model->all;
    run_phase(running, blocks, start_rows, &call);
    for (int64_t layer = 0; layer < model->layers; layer++) {
        call.layer = model->all + layer;
        call.next = layer + 1 < model->layers ? call.layer + 1 : NULL;
        run_phase(running, texts * call.layer->heads, attend_head, &call);
        run_phase(running, blocks, feed_rows, &call);
    }
    run_phase(running, texts, pool_text, &call);
    if (running > 1) return_helpers();
    return_workspace(model, space);
    return 0;
}

/* ---- Making a model --------------------------------------------------------------------------------------------- */

static int keep_floats(Model *model, float **made, const float *values, int64_t count) {
    *made = keep(&model->pieces, count * sizeof(float));
    if (*made != NULL) memcpy(*made, values, count * sizeof(float));
    return *made != NULL;
}

/* `weights` (outputs, inputs), `outputs` a multiple of PANEL, `inputs` one of 4; both sides are filled up with zeros. */
static int make_product(Model *model, Product *made, const int8_t *weights, const float *scales, const float *bias,
                        int64_t outputs, int64_t inputs) {
    made->panels = outputs / PANEL;
    made->groups = inputs / 4;
    made->weights = keep(&model->pieces, outputs * inputs);
    made->sums = keep(&model->pieces, outputs * sizeof(int32_t));
    if (made->weights == NULL || made->sums == NULL) return 0;
    for (int64_t output = 0; output < outputs; output++) {
        int8_t *panel = made->weights + output / PANEL * made->groups * PANEL * 4 + output % PANEL * 4;
        const int8_t *row = weights + output * inputs;
        int32_t sum = 0;
        for (int64_t group = 0; group < made->groups; group++) {
            memcpy(panel + group * PANEL * 4, row + group * 4, 4);
            sum += row[group * 4] + row[group * 4 + 1] + row[group * 4 + 2] + row[group * 4 + 3];
        }
        made->sums[output] = sum;
    }
    return keep_floats(model, &made->scales, scales, outputs) && keep_floats(model, &made->bias, bias, outputs);
}

EXPORT void tfchain_free(Model *model) {
    if (model == NULL) return;
    for (int i = 0; i < MOST_IDLE; i++) free_workspace(model->idle[i]);
    for (Piece *piece = model->pieces; piece != NULL;) {
        Piece *next = piece->next;
        free(piece);
        piece = next;
    }
    free(model->all);
    free(model);
}

/* shape: dim, padded_dim, token_dim, vocabulary, positions, layers, activation, normalizes, relative heads.
   padded_dim and token_dim are multiples of PANEL. NULL: there is not enough memory. */
EXPORT Model *tfchain_new(const int64_t *shape, float epsilon, const int8_t *tokens, const float *token_scales,
                          const float *fixed, const float *norm, const float *relative) {
    Model *model = calloc(1, sizeof(Model));
    if (model == NULL) return NULL;
    model->dim = shape[0], model->padded_dim = shape[1], model->token_dim = shape[2], model->vocabulary = shape[3];
    model->positions = shape[4], model->layers = shape[5], model->activation = (int)shape[6];
    model->normalizes = (int)shape[7], model->epsilon = epsilon;
    model->mixed = model->token_dim;
    model->all = calloc((size_t)model->layers, sizeof(Layer));
    model->tokens = keep(&model->pieces, model->vocabulary * model->token_dim);
    int whole = model->tokens != NULL && model->all != NULL;
    if (whole) memcpy(model->tokens, tokens, (size_t)(model->vocabulary * model->token_dim));
    whole = whole && keep_floats(model, &model->token_scales, token_scales, model->vocabulary) &&
            keep_floats(model, &model->fixed, fixed, model->positions * model->padded_dim) &&
            keep_floats(model, &model->gamma, norm, model->padded_dim) &&
            keep_floats(model, &model->beta, norm + model->padded_dim, model->padded_dim);
    if (relative != NULL)
        whole = whole && keep_floats(model, &model->relative, relative, shape[8] * (2 * model->positions - 1));
    if (whole) return model;
    tfchain_free(model);
    return NULL;
}

/* which: 0 the token embedding's projection, and of a layer 1 query, key and value, 2 attention's output, 3 the
   intermediate and 4 the output product. 0: there is not enough memory. */
EXPORT int tfchain_set_product(Model *model, int64_t layer, int which, const int8_t *weights, const float *scales,
                               const float *bias, int64_t outputs, int64_t inputs) {
    Product *products[] = {&model->projection, &model->all[layer].query_key_value, &model->all[layer].attention_output,
                           &model->all[layer].intermediate, &model->all[layer].output};
    if (outputs > model->wide) model->wide = outputs;
    if (which == 2 && inputs > model->mixed) model->mixed = inputs;
    return make_product(model, products[which], weights, scales, bias, outputs, inputs);
}

/* norms: gamma and beta behind attention, gamma and beta behind the output, (4, padded_dim). */
EXPORT int tfchain_set_layer(Model *model, int64_t number, int64_t heads, int64_t head_dim, const float *norms) {
    Layer *layer = model->all + number;
    const int64_t dim = model->padded_dim, width = round_up(head_dim, PANEL);
    layer->heads = heads, layer->head_dim = head_dim, layer->head_panels = 3 * width / PANEL;
    if (width > model->head_width) model->head_width = width;
    return keep_floats(model, &layer->attention_gamma, norms, dim) &&
           keep_floats(model, &layer->attention_beta, norms + dim, dim) &&
           keep_floats(model, &layer->output_gamma, norms + 2 * dim, dim) &&
           keep_floats(model, &layer->output_beta, norms + 3 * dim, dim);
}

#else

int tfchain_supported(void) { return 0; }

#endif
