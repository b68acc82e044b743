/* A transformer encoder in int8 for x86-64 processors with AVX-512 VNNI: token ids of whole texts in, vectors out.

   The layers are those of tfchain/models/encoders/transformer.py and of tfchain/models/encoders/general/. Weights have 8 bits with a scale for each output; the
   inputs of a product are quantized row by row during the computation, with a scale and a zero for each row (LiteRT's
   "dynamic range"). Products are summed exactly, in 32 bits; everything else is float32. The rows of all texts follow
   each other without padding, so that a text's vector is bitwise the same on its own and among others, and with any
   number of threads; the matrix unit of some processors gives the same sums.

   A call runs phases one after another. A phase has units of work that the calling thread and its helpers take one by
   one, so that a helper that starts late, or not at all, delays nothing.

   Only tfchain/models/native_library.py uses it. GCC compiles it when tfchain is installed; without it, or on
   another processor, LiteRT computes. */

#define EXPORT __attribute__((visibility("default")))
#define VERSION 7 /* increased with each change of the exported functions; the same number is in native_library.py */

EXPORT int tfchain_version(void) { return VERSION; }

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#define MOST_BLOCK 42 /* rows that go through a layer together, so that their values stay in a core's cache */
#define MOST_TILED_BLOCK 64 /* the same by the matrix unit, which waits for weights more than for values */
#define LEAST_BLOCK 3 /* each block reads all weights */
#define QUERIES 256 /* of a head that are attended for together */

/* Before the pragma below, because it must run on any processor. */
EXPORT int tfchain_supported(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")

#include "attention.h"
#include "best.h"
#include "matrix_unit.h"
#include "model.h"
#include "threads.h"

typedef struct {
    const Model *model;
    Workspace *space;
    const int32_t *token_ids;
    const int32_t *starts; /* of each text among the tokens, and the end */
    const float *weights;  /* of tokens in pooling, (poolings, tokens) */
    float *vectors;        /* (texts, poolings * dim) */
    int64_t texts, poolings, rows, block, queries, scratch; /* `queries`: blocks of the longest text's queries */
    const Layer *layer, *next;
} Call;

static void multiply(const Product *product, const Quantized *in, int64_t row, int64_t end, float *out, int64_t stride,
                     int how, int activation) {
    if (can_tile(product, end - row))
        multiply_tiles(product, in, row, end, out, stride, how, activation);
    else
        multiply_rows(product, in, row, end, out, stride, how, activation);
}

static void embed_rows(const Call *call, int64_t row, int64_t end) {
    const Model *model = call->model;
    Workspace *space = call->space;
    const int64_t dim = model->padded_dim, token_dim = model->token_dim;
    int64_t text = 0;
    while (call->starts[text + 1] <= row) text++;
    for (int64_t at = row; at < end; at++) {
        while (call->starts[text + 1] <= at) text++;
        const int64_t type = call->token_ids[at] / model->vocabulary; /* ids of a pair tell the token type */
        const int64_t id = call->token_ids[at] - type * model->vocabulary;
        const int64_t position = model->fixed_rows > 1 ? at - call->starts[text] : 0;
        const float *fixed = model->fixed + (type * model->fixed_rows + position) * dim;
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

static void norm_row(const Model *model, const float *values, int64_t count, const Norm *norm, float *out) {
    if (model->has_mean)
        normalize(values, count, round_up(count, PANEL), norm, model->epsilon, out);
    else
        normalize_by_square(values, count, round_up(count, PANEL), norm, model->epsilon, out);
}

/* Quantizes rows for a sublayer, normalised if `norm` is there: in place, or beside what the sublayer adds to. */
static void norm_rows(const Call *call, const Norm *norm, int in_place, int64_t row, int64_t end) {
    const Model *model = call->model;
    for (int64_t at = row; at < end; at++) {
        float *hidden = call->space->hidden + at * model->padded_dim, *out = hidden;
        if (norm->gamma != NULL) {
            if (!in_place) out = call->space->mixed + at * model->mixed;
            norm_row(model, hidden, model->dim, norm, out);
        }
        quantize(out, model->padded_dim, &call->space->narrow_bytes, at);
    }
}

static void quantize_rows(const float *values, int64_t stride, const Product *product, Quantized *out, int64_t row,
                          int64_t end) {
    for (int64_t at = row; at < end; at++) quantize(values + at * stride, product->groups * 4, out, at);
}

/* Adds a sublayer's last product to the rows; if `norm` is there, the product is normalised before. */
static void add_product(const Call *call, const Product *product, const Quantized *in, const Norm *norm, int64_t row,
                        int64_t end) {
    const Model *model = call->model;
    const int64_t dim = model->padded_dim;
    float *hidden = call->space->hidden, *beside = call->space->mixed;
    if (norm->gamma == NULL) {
        multiply(product, in, row, end, hidden, dim, ADD, 0);
        return;
    }
    multiply(product, in, row, end, beside, model->mixed, STORE, 0);
    for (int64_t at = row; at < end; at++) {
        float *out = beside + at * model->mixed;
        norm_row(model, out, model->dim, norm, out);
        for (int64_t i = at * dim; i < (at + 1) * dim; i++) hidden[i] += out[i - at * dim];
    }
}

/* Normalises and turns the queries and keys of rows, as far as the layer does. */
static void place_heads(const Call *call, const Layer *layer, int64_t row, int64_t end) {
    const Model *model = call->model;
    const int64_t width = layer->head_width;
    if (layer->query.gamma == NULL && layer->turns == NULL) return;
    int64_t text = 0;
    for (int64_t at = row; at < end; at++) {
        while (call->starts[text + 1] <= at) text++;
        const float *turn = layer->turns + 2 * model->half * (at - call->starts[text]);
        float *head = call->space->wide + at * model->wide;
        for (int64_t group = 0; group < layer->heads; group++) {
            for (int64_t query = 0; query <= layer->group; query++) { /* the last is the key */
                const Norm *norm = query < layer->group ? &layer->query : &layer->key;
                if (norm->gamma != NULL) norm_row(model, head, layer->head_dim, norm, head);
                if (layer->turns != NULL) rotate(head, turn, model->half);
                head += width;
            }
            head += width; /* the value */
        }
    }
}

/* The query, key and value of a layer. */
static void start_layer(const Call *call, const Layer *layer, int64_t row, int64_t end) {
    const Model *model = call->model;
    if (model->place != POST) norm_rows(call, &layer->attention, 0, row, end);
    multiply(&layer->query_key_value, &call->space->narrow_bytes, row, end, call->space->wide, model->wide, STORE, 0);
    place_heads(call, layer, row, end);
}

/* Attends with a block of the queries that share a head of keys. Only the keys that some query reaches are looked at. */
static void attend(const Call *call, int64_t text, int64_t head, int64_t first_row, int thread) {
    const Model *model = call->model;
    const Layer *layer = call->layer;
    const int64_t width = layer->head_width, stride = model->wide, out_stride = model->mixed;
    const int64_t start = call->starts[text], length = call->starts[text + 1] - start;
    if (first_row >= length) return;
    const int64_t last_row = least(first_row + QUERIES, length);
    const int64_t first_key = first_row > layer->window ? (first_row - layer->window) & ~31LL : 0;
    const int64_t last_key = model->is_causal ? last_row : least(length, last_row + layer->window);
    const int64_t columns = round_up(last_key - first_key, 32);
    const float *queries = call->space->wide + start * stride + head * (layer->group + 2) * width;
    const float *key = queries + layer->group * width, *value = key + width;
    float *keys = call->space->scratch + thread * call->scratch, *scores = keys + width * columns;
    for (int64_t row = first_key; row < last_key; row += 16)
        for (int64_t at = 0; at < width; at += 16)
            transpose_block(key + row * stride + at, stride, keys + at * columns + row - first_key, columns);
    const int64_t tiles = parts(last_row - first_row, MOST_ROWS);
    for (int64_t number = 0; number < layer->group; number++) {
        const float *query = queries + number * width;
        float *out = call->space->mixed + start * out_stride + (head * layer->group + number) * width;
        const float *relative = NULL; /* by key - query, from -(positions - 1) on */
        if (model->relative != NULL)
            relative = model->relative + (head * layer->group + number) * (2 * model->positions - 1) + model->positions - 1;
        int64_t row = first_row;
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int64_t rows = parts(last_row - row, tiles - tile);
            const int64_t low = row > layer->window ? (row - layer->window) & ~31LL : 0;
            const int64_t high = model->is_causal ? row + rows : least(length, row + rows + layer->window);
            const int64_t seen = round_up(high - low, 32);
            multiply_floats(query + row * stride, stride, keys + low - first_key, columns, rows, width, seen, scores, seen);
            for (int64_t at = row; at < row + rows; at++) {
                const int64_t first = at > layer->window ? at - layer->window : 0;
                const int64_t end = model->is_causal ? at + 1 : least(length, at + 1 + layer->window);
                softmax(scores + (at - row) * seen, first - low, end - low, seen, layer->scale,
                        relative == NULL ? NULL : relative + low - at);
            }
            multiply_floats(scores, seen, value + low * stride, stride, rows, high - low, width, out + row * out_stride,
                            out_stride);
            row += rows;
        }
    }
}

/* The functions of units: of a block of rows, of a head of a text, or of a text. */

static void start_rows(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    Workspace *space = call->space;
    const int64_t row = unit * call->block, end = least(row + call->block, call->rows), dim = model->padded_dim;
    (void)thread;
    embed_rows(call, row, end);
    if (model->projection.panels)
        multiply(&model->projection, &space->mixed_bytes, row, end, space->hidden, dim, ADD, 0);
    if (model->place == POST)
        norm_rows(call, &model->embedding, 1, row, end);
    else if (model->embedding.gamma != NULL)
        for (float *at = space->hidden + row * dim; at < space->hidden + end * dim; at += dim)
            norm_row(model, at, model->dim, &model->embedding, at);
    start_layer(call, call->next, row, end);
}

/* The part of a layer after attention, and the next layer's query, key and value. */
static void feed_rows(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    const Layer *layer = call->layer;
    Workspace *space = call->space;
    const int64_t row = unit * call->block, end = least(row + call->block, call->rows), dim = model->padded_dim;
    const int is_post = model->place == POST;
    (void)thread;
    quantize_rows(space->mixed, model->mixed, &layer->attention_output, &space->mixed_bytes, row, end);
    add_product(call, &layer->attention_output, &space->mixed_bytes, &layer->after_attention, row, end);
    norm_rows(call, is_post ? &layer->attention : &layer->feed_forward, is_post, row, end);
    multiply(&layer->intermediate, &space->narrow_bytes, row, end, space->wide, model->wide,
             model->is_gated ? STORE : ACTIVATE, model->activation);
    if (model->is_gated)
        for (int64_t at = row; at < end; at++)
            apply_gate(space->wide + at * model->wide, layer->output.groups * 4, model->activation);
    quantize_rows(space->wide, model->wide, &layer->output, &space->wide_bytes, row, end);
    add_product(call, &layer->output, &space->wide_bytes, &layer->after_feed_forward, row, end);
    if (is_post) norm_rows(call, &layer->feed_forward, 1, row, end);
    if (call->next != NULL)
        start_layer(call, call->next, row, end);
    else if (model->final.gamma != NULL)
        for (float *at = space->hidden + row * dim; at < space->hidden + end * dim; at += dim)
            norm_row(model, at, model->dim, &model->final, at);
}

static void attend_head(void *arguments, int64_t unit, int thread) {
    const Call *call = arguments;
    const int64_t part = unit % call->queries, head = unit / call->queries;
    attend(call, head / call->layer->heads, head % call->layer->heads, part * QUERIES, thread);
}

static void pool_text(void *arguments, int64_t text, int thread) {
    const Call *call = arguments;
    const Model *model = call->model;
    (void)thread;
    float *vector = call->vectors + text * call->poolings * model->dim;
    for (int64_t pooling = 0; pooling < call->poolings; pooling++) {
        const float *weights = call->weights + pooling * call->rows;
        int64_t first = call->starts[text], end = call->starts[text + 1];
        while (first < end && weights[first] == 0) first++; /* with a pooling a token, all weights but one are 0 */
        while (end > first && weights[end - 1] == 0) end--;
        for (int64_t i = 0; i < model->dim; i += 16) {
            __mmask16 mask = model->dim - i >= 16 ? 0xffff : (__mmask16)((1 << (model->dim - i)) - 1);
            __m512 sum = _mm512_setzero_ps();
            for (int64_t row = first; row < end; row++)
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

/* Computes the vectors of texts. Returns 0: done; 1: a text has no tokens or too many; 2: a token id is not in the
   vocabulary; 3: not enough memory. */
EXPORT int tfchain_encode(Model *model, const int32_t *token_ids, const int32_t *starts, int64_t texts,
                          const float *weights, int64_t poolings, int64_t threads, float *vectors) {
    if (texts < 1) return 0;
    const int64_t rows = starts[texts];
    int64_t longest = 0;
    if (starts[0] != 0) return 1;
    for (int64_t text = 0; text < texts; text++) {
        const int64_t length = starts[text + 1] - starts[text];
        if (length < 1 || length > model->positions) return 1;
        if (length > longest) longest = length;
    }
    for (int64_t row = 0; row < rows; row++)
        if (token_ids[row] < 0 || token_ids[row] >= model->vocabulary * model->token_types) return 2;
    threads = enter((int)least(threads, MOST_HELPERS + 1));
    threads = threads < 1 ? 1 : threads;
    const int running = get_helpers((int)threads - 1);
    threads = least(threads, running);
    const int64_t scratch = scratch_of_thread(model, longest);
    Workspace *space = get_workspace(model, rows, scratch * running);
    if (space == NULL) {
        if (running > 1) return_helpers();
        leave();
        return 3;
    }
    Call call = {.model = model, .space = space, .token_ids = token_ids, .starts = starts, .weights = weights,
                 .vectors = vectors, .texts = texts, .poolings = poolings, .rows = rows, .queries = parts(longest, QUERIES), .scratch = scratch};
    const int64_t most = can_tile(&model->all->intermediate, rows) ? MOST_TILED_BLOCK : MOST_BLOCK;
    const int64_t even = threads * parts(rows, threads * most); /* blocks */
    call.block = parts(rows, even) > LEAST_BLOCK ? parts(rows, even) : LEAST_BLOCK;
    const int64_t blocks = parts(rows, call.block);
    call.next = model->all;
    run_phase(running, blocks, start_rows, &call);
    for (int64_t layer = 0; layer < model->layers; layer++) {
        call.layer = model->all + layer;
        call.next = layer + 1 < model->layers ? call.layer + 1 : NULL;
        run_phase(running, texts * call.layer->heads * call.queries, attend_head, &call);
        run_phase(running, blocks, feed_rows, &call);
    }
    run_phase(running, texts, pool_text, &call);
    if (running > 1) return_helpers();
    return_workspace(model, space);
    leave();
    return 0;
}

/* The places of the best scores, int64 (most); see best.h. Returns their number, 0 for a `most` above MOST_BEST. */
EXPORT int64_t tfchain_best(const float *scores, int64_t count, int64_t most, int64_t *places) {
    return most < 1 || most > MOST_BEST ? 0 : find_best(scores, count, most, places);
}

#include "making.h"

#else

EXPORT int tfchain_supported(void) { return 0; }

#endif
