/* A transformer encoder in int8 for x86-64 processors with AVX-512 VNNI: token ids of whole texts in, vectors out.

   The layers are those of tfchain/models/encoders/transformer.py. Weights have 8 bits with a scale for each output; the
   inputs of a product are quantized row by row during the computation, with a scale and a zero for each row (LiteRT's
   "dynamic range"). Products are summed exactly, in 32 bits; everything else is float32. The rows of all texts follow
   each other without padding, so that a text's vector is bitwise the same on its own and among others, and with any
   number of threads; the matrix unit of some processors gives the same sums.

   A call runs phases one after another. A phase has units of work that the calling thread and its helpers take one by
   one, so that a helper that starts late, or not at all, delays nothing.

   Only tfchain/models/native_library.py uses it. GCC compiles it when tfchain is installed; without it, or on
   another processor, LiteRT computes. */

#define EXPORT __attribute__((visibility("default")))
#define VERSION 3 /* increased with each change of the exported functions; the same number is in native_library.py */

EXPORT int tfchain_version(void) { return VERSION; }

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#define MOST_BLOCK 42 /* rows that go through a layer together, so that their values stay in a core's cache */
#define MOST_TILED_BLOCK 64 /* the same by the matrix unit, which waits for weights more than for values */
#define LEAST_BLOCK 3 /* each block reads all weights */

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
    int64_t texts, poolings, rows, block, scratch;
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

/* The functions of units: of a block of rows, of a head of a text, or of a text. */

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

/* The part of a layer after attention, and the next layer's query, key and value. */
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
        if (token_ids[row] < 0 || token_ids[row] >= model->vocabulary) return 2;
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
                 .vectors = vectors, .texts = texts, .poolings = poolings, .rows = rows, .scratch = scratch};
    const int64_t most = can_tile(&model->all->intermediate, rows) ? MOST_TILED_BLOCK : MOST_BLOCK;
    const int64_t even = threads * parts(rows, threads * most); /* blocks */
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
    leave();
    return 0;
}

/* The places of the best scores, int64 (most); see best.h. Returns their number, 0 for a `most` above MOST_BEST. */
EXPORT int64_t tfchain_best(const float *scores, int64_t count, int64_t most, int64_t *places) {
    return most < 1 || most > MOST_BEST ? 0 : find_best(scores, count, most, places);
}

/* ---- Making a model --------------------------------------------------------------------------------------------- */

static int keep_floats(Model *model, float **made, const float *values, int64_t count) {
    *made = keep(&model->pieces, count * sizeof(float));
    if (*made != NULL) memcpy(*made, values, count * sizeof(float));
    return *made != NULL;
}

/* `weights` is (outputs, inputs); `outputs` is a multiple of PANEL, `inputs` of 4; both are padded with zeros. */
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

/* shape: dim, padded_dim, token_dim, vocabulary, positions, layers, activation, normalizes, relative heads, and the
   number of bytes of all weights. padded_dim and token_dim are multiples of PANEL. Returns NULL if there is not enough
   memory. */
EXPORT Model *tfchain_new(const int64_t *shape, float epsilon, const int8_t *tokens, const float *token_scales,
                          const float *fixed, const float *norm, const float *relative) {
    Model *model = calloc(1, sizeof(Model));
    if (model == NULL) return NULL;
    model->dim = shape[0], model->padded_dim = shape[1], model->token_dim = shape[2], model->vocabulary = shape[3];
    model->positions = shape[4], model->layers = shape[5], model->activation = (int)shape[6];
    model->normalizes = (int)shape[7], model->epsilon = epsilon;
    model->mixed = model->token_dim;
    model->all = calloc((size_t)model->layers, sizeof(Layer));
    add_piece(&model->pieces, shape[9]);
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

/* which: 0 the token embedding's projection; of a layer, 1 query, key and value, 2 attention's output, 3 the
   intermediate product, 4 the output product. Returns 0 if there is not enough memory. */
EXPORT int tfchain_set_product(Model *model, int64_t layer, int which, const int8_t *weights, const float *scales,
                               const float *bias, int64_t outputs, int64_t inputs) {
    Product *products[] = {&model->projection, &model->all[layer].query_key_value, &model->all[layer].attention_output,
                           &model->all[layer].intermediate, &model->all[layer].output};
    if (outputs > model->wide) model->wide = outputs;
    if (which == 2 && inputs > model->mixed) model->mixed = inputs;
    return make_product(model, products[which], weights, scales, bias, outputs, inputs);
}

/* norms: gamma and beta after attention, gamma and beta after the output, (4, padded_dim). */
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

EXPORT int tfchain_supported(void) { return 0; }

#endif
