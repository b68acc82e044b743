/* Products by the processor's matrix unit (AMX), which some have: the same sums in 32 bits, several times as fast. */

#ifndef TFCHAIN_MATRIX_UNIT_H
#define TFCHAIN_MATRIX_UNIT_H

#if __GNUC__ >= 11

#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "products.h"

#define TILE_ROWS 16         /* of a tile register, at most; each has 64 bytes */
#define GROUPS_A_TILE 16     /* groups of four inputs in a tile */
#define LEAST_TILED_ROWS 6   /* fewer are no faster this way */
#define ASK_FOR_UNIT 0x1023  /* ARCH_REQ_XCOMP_PERM */
#define TILE_DATA 18         /* XFEATURE_XTILEDATA */

static int has_matrix_unit;

static void ask_for_matrix_unit(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    if (!(d >> 24 & 1) || !(d >> 25 & 1)) return; /* AMX-TILE, AMX-INT8 */
    has_matrix_unit = syscall(SYS_arch_prctl, ASK_FOR_UNIT, TILE_DATA) == 0;
}

/* Whether this process may use the unit; the system is asked once, for all threads. */
static int can_tile(const Product *product, int64_t rows) {
    static pthread_once_t asked = PTHREAD_ONCE_INIT;
    pthread_once(&asked, ask_for_matrix_unit);
    return has_matrix_unit && rows >= LEAST_TILED_ROWS && product->groups % GROUPS_A_TILE == 0;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,amx-tile,amx-int8")

/* Tiles 0 to 3 are sums: first rows by first and second half of a panel, then second rows. 4 and 5 are the rows' bytes,
   6 and 7 the halves of a panel's weights. */
static void shape_tiles(int64_t rows) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t width[16]; /* bytes */
        uint8_t rows[16];
    } __attribute__((aligned(64))) shape = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) shape.width[tile] = 64, shape.rows[tile] = (uint8_t)(tile < 6 ? rows : TILE_ROWS);
    _tile_loadconfig(&shape);
}

/* Adds up a panel's products with `first` and, unless NULL, `second`, the bytes of one to TILE_ROWS rows each. */
static inline __attribute__((always_inline)) void add_tiles(const Product *product, const int8_t *weights,
                                                            const uint8_t *first, const uint8_t *second, int64_t stride,
                                                            int is_new, int32_t *sums) {
    const int64_t groups = product->groups;
    _tile_zero(0);
    _tile_zero(1);
    if (second != NULL) {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t group = 0; group < groups; group += GROUPS_A_TILE) {
        const int8_t *part = weights + group * PANEL * 4;
        if (is_new) /* fetches the next panel during this one */
            for (int64_t at = 0; at < GROUPS_A_TILE * PANEL * 4; at += 64)
                _mm_prefetch((const char *)part + groups * PANEL * 4 + at, _MM_HINT_T1);
        _tile_loadd(4, first + group * 4, stride);
        _tile_loadd(6, part, PANEL * 4);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, part + 64, PANEL * 4);
        _tile_dpbusd(1, 4, 7);
        if (second != NULL) {
            _tile_loadd(5, second + group * 4, stride);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
    }
    _tile_stored(0, sums, PANEL * 4);
    _tile_stored(1, sums + 16, PANEL * 4);
    if (second != NULL) {
        _tile_stored(2, sums + TILE_ROWS * PANEL, PANEL * 4);
        _tile_stored(3, sums + TILE_ROWS * PANEL + 16, PANEL * 4);
    }
}

/* As `multiply`. Rows go in pairs of tiles of the same height, so the last may read rows that others are writing, or
   that nobody writes; nothing comes of them. */
static void multiply_tiles(const Product *product, const Quantized *in, int64_t row, int64_t end, float *out,
                           int64_t stride, int how, int activation) {
    const int64_t tiles = parts(end - row, TILE_ROWS), height = parts(end - row, tiles);
    int32_t sums[2 * TILE_ROWS * PANEL] __attribute__((aligned(64)));
    shape_tiles(height);
    for (int64_t panel = 0; panel < product->panels; panel++) {
        const int8_t *weights = product->weights + panel * product->groups * PANEL * 4;
        for (int64_t at = row; at < end; at += 2 * height) {
            const uint8_t *first = in->bytes + at * in->stride;
            if (at + height < end)
                add_tiles(product, weights, first, first + height * in->stride, in->stride, at == row, sums);
            else
                add_tiles(product, weights, first, NULL, in->stride, at == row, sums);
            for (int64_t r = at; r < least(at + 2 * height, end); r++) {
                const int64_t place = (r - at) / height * TILE_ROWS + (r - at) % height;
                finish(product, panel, in, r, _mm512_load_si512(sums + place * PANEL),
                       _mm512_load_si512(sums + place * PANEL + 16), out + r * stride + panel * PANEL, how, activation);
            }
        }
    }
    _tile_release();
}

#pragma GCC pop_options

#else

static int can_tile(const Product *product, int64_t rows) { return (void)product, (void)rows, 0; }

static void multiply_tiles(const Product *product, const Quantized *in, int64_t row, int64_t end, float *out,
                           int64_t stride, int how, int activation) {
    (void)product, (void)in, (void)row, (void)end, (void)out, (void)stride, (void)how, (void)activation;
}

#endif

#endif
