/* A model's weights, and the buffers of a call. */

#ifndef TFCHAIN_MODEL_H
#define TFCHAIN_MODEL_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "norms.h"
#include "products.h"

#define MOST_IDLE 16 /* workspaces that a model keeps for later calls */

enum { POST, PRE, BOTH }; /* where norms are: after a sublayer's sum, before a sublayer, or before it and behind it */

typedef struct {
    int64_t heads, group; /* heads of keys and values, and the query heads that share each */
    int64_t head_dim, head_width; /* of the model, and padded to whole panels */
    int64_t window;       /* the largest distance of a key; the longest text where there is no window */
    float scale;          /* of attention scores */
    const float *turns;   /* of rotary positions, (positions, 2 * half); NULL if there are none */
    Product query_key_value, attention_output, intermediate, output;
    Norm attention, after_attention, feed_forward, after_feed_forward, query, key;
} Layer;

/* The buffers of a call. */
typedef struct {
    int64_t tokens, scratch_floats;
    float *hidden, *wide, *mixed, *scratch;
    Quantized narrow_bytes, mixed_bytes, wide_bytes;
} Workspace;

typedef struct {
    int64_t dim, padded_dim, token_dim, vocabulary, positions, token_types, layers, wide, mixed, head_width;
    int64_t fixed_rows, half; /* rows of `fixed` for each token type; half of the features that positions turn */
    float epsilon;
    int activation, normalizes, place, has_mean, is_causal, is_gated; /* `has_mean`: norms take the mean away */
    int8_t *tokens;      /* (vocabulary, token_dim) */
    float *token_scales; /* (vocabulary) */
    float *fixed;        /* (token_types * fixed_rows, padded_dim): position, or 1 row for all, and token type */
    Product projection;  /* from token_dim to dim; no panels if there is no projection */
    Norm embedding, final;
    float *relative; /* (query heads, 2 * positions - 1), or NULL */
    float *turns[2]; /* of rotary positions; the second for layers with a window */
    Layer *all;
    Piece *pieces;
    Workspace *_Atomic idle[MOST_IDLE]; /* no lock: a forked process could inherit it locked */
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

/* Returns an earlier call's workspace if it is large enough, else a new one; NULL if there is not enough memory. */
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
    int64_t rows = tokens + 16; /* transposing a block may read beyond the last token */
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

#endif
