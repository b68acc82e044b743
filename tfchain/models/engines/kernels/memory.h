/* Memory aligned for the widest registers and filled with zeros. The functions return NULL if there is not enough. */

#ifndef TFCHAIN_MEMORY_H
#define TFCHAIN_MEMORY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (2 << 20)
#define SMALL_PAGE (4 << 10)

static inline int64_t parts(int64_t all, int64_t size) { return (all + size - 1) / size; }
static inline int64_t round_up(int64_t number, int64_t step) { return parts(number, step) * step; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline void *allocate(int64_t bytes) {
    void *memory = aligned_alloc(64, (size_t)round_up(bytes + 64, 64)); /* a prefetch or last vector may read beyond */
    if (memory != NULL) memset(memory, 0, (size_t)bytes);
    return memory;
}

/* A model's memory is one piece, or a few, in huge pages where the system gives them on request, because a query reads
   all of it. */
typedef struct Piece {
    struct Piece *next;
    int64_t size, used;
} Piece;

/* Returns 0 if there is not enough memory. */
static inline int add_piece(Piece **pieces, int64_t bytes) {
    const int64_t page = bytes < HUGE_PAGE ? SMALL_PAGE : HUGE_PAGE, size = round_up(bytes + 128, page);
    Piece *piece = aligned_alloc((size_t)page, (size_t)size);
    if (piece == NULL) return 0;
    if (page == HUGE_PAGE) madvise(piece, (size_t)size, MADV_HUGEPAGE);
    memset(piece, 0, (size_t)size);
    piece->next = *pieces, piece->size = size, piece->used = 64;
    *pieces = piece;
    return 1;
}

static inline void *keep(Piece **pieces, int64_t bytes) {
    bytes = round_up(bytes + 64, 64);
    if ((*pieces == NULL || (*pieces)->size - (*pieces)->used < bytes) && !add_piece(pieces, bytes)) return NULL;
    void *memory = (char *)*pieces + (*pieces)->used;
    (*pieces)->used += bytes;
    return memory;
}

#endif
