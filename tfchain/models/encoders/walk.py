"""The one walk through an encoder: inputs, embeddings, layers, pooling and what follows, in order."""

from collections.abc import Callable
from typing import Any

from tfchain.models.encoders.anatomy import list_dense, name_layer
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig

FindLayer = Callable[[str], Any]  # from a layer's name to the layer, made or found
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
    """Runs embeddings and layers.

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
    from keras import ops

    options = {} if training is None else {"training": training}
    bias = find_layer("attention_mask")(padding_mask) if has_padding else ops.zeros(())
    if config.relative_attention_buckets:
        bias = bias + find_layer("relative_position_bias")(token_ids)
    hidden = find_layer("embeddings")(token_ids, **options)
    for number in range(config.num_layers):
        name = name_layer(number)
        layer = find_layer(name)
        if visit is None:
            hidden = layer(hidden, bias, token_ids, **options)
        else:
            hidden = layer.compute(hidden, bias, token_ids, visit=_inside(name, visit), **options)
    return hidden


def walk_heads(config: EncoderConfig, find_layer: FindLayer, hidden: Any, padding_mask: Any) -> Any:
    """Runs pooling, dense modules, normalisation and the task's head.

    Args:
        config: The encoder's shape.
        find_layer: As for `walk_transformer`.
        hidden: `(batch, length, hidden_dim)`.
        padding_mask: int32 `(batch, length)`: 0 for padding, 2 for a token that pooling leaves out.

    Returns:
        `(batch, embedding_dim)`.
    """
    vectors = find_layer("pooling")(hidden, padding_mask)
    modules = [name for name, _ in list_dense(config)]
    for name in modules[: len(config.dense)]:
        vectors = find_layer(name)(vectors)
    if config.normalize:
        vectors = find_layer("normalize")(vectors)
    for name in modules[len(config.dense) :]:
        vectors = find_layer(name)(vectors)
    return vectors


def _inside(name: str, visit: Visit) -> Visit:
    return lambda part, rows: visit(f"{name}/{part}", rows)
