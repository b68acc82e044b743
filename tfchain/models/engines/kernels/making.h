/* Making a model of a library's user: weights are copied, products into the order in which the kernels read them. */

#ifndef TFCHAIN_MAKING_H
#define TFCHAIN_MAKING_H

#include "model.h"

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

/* shape: dim, padded_dim, token_dim, vocabulary, positions, layers, activation, normalizes, relative heads, the number
   of bytes of all weights, the token types that ids tell apart, rows of `fixed` for each, half of the features that
   positions turn, where norms are, has_mean, is_causal and is_gated. padded_dim and token_dim are multiples of PANEL.
   Returns NULL if there is not enough memory. */
EXPORT Model *tfchain_new(const int64_t *shape, float epsilon, const float *fixed, const float *relative) {
    Model *model = calloc(1, sizeof(Model));
    if (model == NULL) return NULL;
    model->dim = shape[0], model->padded_dim = shape[1], model->token_dim = shape[2], model->vocabulary = shape[3];
    model->positions = shape[4], model->layers = shape[5], model->activation = (int)shape[6];
    model->normalizes = (int)shape[7], model->epsilon = epsilon, model->token_types = shape[10];
    model->fixed_rows = shape[11], model->half = shape[12], model->place = (int)shape[13];
    model->has_mean = (int)shape[14], model->is_causal = (int)shape[15], model->is_gated = (int)shape[16];
    model->mixed = model->token_dim > model->padded_dim ? model->token_dim : model->padded_dim;
    model->all = calloc((size_t)model->layers, sizeof(Layer));
    add_piece(&model->pieces, shape[9]);
    model->tokens = keep(&model->pieces, model->vocabulary * model->token_dim);
    model->token_scales = keep(&model->pieces, model->vocabulary * (int64_t)sizeof(float));
    int whole = model->tokens != NULL && model->token_scales != NULL && model->all != NULL;
    whole = whole && keep_floats(model, &model->fixed, fixed, model->token_types * model->fixed_rows * model->padded_dim);
    if (relative != NULL)
        whole = whole && keep_floats(model, &model->relative, relative, shape[8] * (2 * model->positions - 1));
    if (whole) return model;
    tfchain_free(model);
    return NULL;
}

/* The embeddings of the tokens from `first` on, (count, token_dim), and their scales. All tokens must be set. */
EXPORT void tfchain_set_tokens(Model *model, int64_t first, int64_t count, const int8_t *tokens, const float *scales) {
    memcpy(model->tokens + first * model->token_dim, tokens, (size_t)(count * model->token_dim));
    memcpy(model->token_scales + first, scales, (size_t)count * sizeof(float));
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

/* which: 0 after the embeddings, 1 after the last layer; of a layer, 2 at the attention, 3 behind it, 4 at the
   feed-forward network, 5 behind it, 6 of queries, 7 of keys. norm: gamma and beta, (2, width), padded with zeros.
   Returns 0 if there is not enough memory. */
EXPORT int tfchain_set_norm(Model *model, int64_t layer, int which, const float *norm, int64_t width) {
    Layer *all = model->all + layer;
    Norm *norms[] = {&model->embedding, &model->final, &all->attention, &all->after_attention,
                     &all->feed_forward, &all->after_feed_forward, &all->query, &all->key};
    return keep_floats(model, &norms[which]->gamma, norm, width) &&
           keep_floats(model, &norms[which]->beta, norm + width, width);
}

/* The cosines and sines of each position, (positions, 2 * half); `is_local`: for layers with a window. Before the
   layers. Returns 0 if there is not enough memory. */
EXPORT int tfchain_set_turns(Model *model, int is_local, const float *turns) {
    return keep_floats(model, &model->turns[is_local], turns, model->positions * 2 * model->half);
}

/* shape: heads of keys, query heads for each, width of a head, window (-1 for none). */
EXPORT void tfchain_set_layer(Model *model, int64_t number, const int64_t *shape, float scale) {
    Layer *layer = model->all + number;
    layer->heads = shape[0], layer->group = shape[1], layer->head_dim = shape[2];
    layer->head_width = round_up(layer->head_dim, PANEL);
    layer->window = shape[3] < 0 ? model->positions : shape[3], layer->scale = scale;
    layer->turns = model->turns[shape[3] >= 0];
    if (layer->head_width > model->head_width) model->head_width = layer->head_width;
}

#endif
