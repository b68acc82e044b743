"""The one walk through an encoder: inputs, embeddings, layers, pooling and what follows, in order."""

from collections.abc import Callable
from typing import Any

from tfchain.models.encoders.anatomy import find_block, list_dropouts, list_modules, name_dropout, name_layer
from tfchain.models.encoders.blocks.block import FindLayer
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig

LAYER_MEAN = "layer_mean"
TOKEN_FLAGS = "token_flags"
TOKEN_MATRIX = "token_matrix"
Visit = Callable[[str, Any], None]  # the path of a product, and its input, (batch * length, in_dim)


def walk_transformer(
    config: TransformerConfig,
    find_layer: FindLayer,
    token_ids: Any,
    padding_mask: Any,
    *,
    training: bool | None = None,
    has_padding: bool = True,
    visit: Visit | None = None,
) -> Any:
    """Runs embeddings and layers, and averages their outputs where the shape has weights for them.

    Args:
        config: The transformer's shape.
        find_layer: From a name to the layer: `Encoder.get_layer`, or a function that makes it.
        token_ids: int32 `(batch, length)`, a tensor or a Keras tensor.
        padding_mask: int32 `(batch, length)`, 0 for padding.
        training: Whether dropout is on. Default: what Keras decides.
        has_padding: Whether the mask can be 0; if not, nothing is added to attention scores for it. Default: True.
        visit: Called with the path and the input of each product of the layers, before it is computed. Not for Keras
            tensors. Default: not called.

    Returns:
        `(batch, length, hidden_dim)`.
    """
    if config.is_static:
        return find_layer("embeddings")(token_ids)
    if config.has_token_flags:
        token_ids, padding_mask = find_layer(TOKEN_FLAGS)(token_ids, padding_mask)
        has_padding = True
    options = {} if training is None else {"training": training}
    block = find_block(config)
    bias = block.share(config, find_layer, token_ids, padding_mask, has_padding=has_padding)
    hidden = find_layer("embeddings")(token_ids, **options)
    states = [hidden]  # the embeddings' output, then each layer's
    layers: dict[str, Any] = {}  # several layers in a row may share one's weights
    for number in range(config.num_layers):
        name = name_layer(config.find_distinct_layer(number))
        if name not in layers:
            layers[name] = find_layer(name)
        layer = layers[name]
        if visit is None:
            hidden = layer(hidden, bias, token_ids, **options)
        else:
            hidden = layer.compute(hidden, bias, token_ids, visit=_inside(name, visit), **options)
        states.append(hidden)
    hidden = block.finish(config, find_layer, hidden)
    # The last output counts as what follows it makes of it, such as a normalisation.
    return find_layer(LAYER_MEAN)([*states[:-1], hidden]) if config.layer_weights else hidden


def walk_heads(config: EncoderConfig, find_layer: FindLayer, hidden: Any, token_ids: Any, padding_mask: Any) -> Any:
    """Runs pooling, dense modules, normalisations and the task's head.

    Args:
        config: The encoder's shape.
        find_layer: As for `walk_transformer`.
        hidden: `(batch, length, hidden_dim)`.
        token_ids: int32 `(batch, length)`.
        padding_mask: int32 `(batch, length)`: 0 for padding, 2 for a token that pooling leaves out.

    Returns:
        `(batch, embedding_dim)`.
    """
    vectors = hidden if config.tokens is not None else find_layer("pooling")(hidden, padding_mask)
    dropouts = list_dropouts(config)
    for name in list_modules(config):
        if name in dropouts:
            vectors = find_layer(name_dropout(name))(vectors)
        vectors = find_layer(name)(vectors)
    return vectors if config.tokens is None else find_layer(TOKEN_MATRIX)(vectors, token_ids, padding_mask)


def _inside(name: str, visit: Visit) -> Visit:
    return lambda part, rows: visit(f"{name}/{part}", rows)
