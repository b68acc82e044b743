"""Shrinking: an encoder of a smaller shape that does nearly what the large one does."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.sampling import spread_evenly
from tfchain.models.encoders.anatomy import find_block, name_layer
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.encoders.transformer import TransformerEmbeddings
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.importance import Moments, measure_moments, rank_groups, refit

if TYPE_CHECKING:
    from tfchain.optimization.recipes import Shrink

TEXTS_LOOKED_AT = 1000  # tens of thousands of tokens, for at most a few thousand features per layer


def shrink(
    text_encoder: TextEncoder, recipe: "Shrink", texts: Sequence[str] | None = None, *, progress: bool | None = None
) -> TextEncoder:
    """Returns a text encoder of a smaller shape; the given one is unchanged.

    Args:
        text_encoder: The text encoder to shrink.
        recipe: What to make smaller.
        texts: Texts that show what heads and units contribute; of more than 1,000, an evenly spaced sample of that
            size. Required for `num_heads` and `intermediate_dim`, used for `token_embedding_dim`. Default: none.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Raises:
        InputError: if the encoder is not one of tfchain's own, a size exceeds the model's, or texts are missing.
    """
    encoder = text_encoder.own_encoder
    if not isinstance(encoder, Encoder):
        raise InputError(
            f"Shrink needs one of tfchain's own encoders. Received: {type(encoder).__name__}. Leave the recipe out."
        )
    config = encoder.config.transformer
    _check(recipe, config)
    kept = choose_layers(recipe.layers, config.num_layers)
    layer_weights = keep_layer_weights(config.layer_weights, kept)
    moments: dict[str, Moments] = {}
    if recipe.num_heads is not None or recipe.intermediate_dim is not None:
        if not texts:
            raise InputError(
                "Shrink needs texts to see which heads and feed-forward units do most. Received: none. Give `texts`, a "
                "few hundred of the kind that the model is for."
            )
        moments = measure_moments(text_encoder, spread_evenly(texts, TEXTS_LOOKED_AT), progress=progress)

    width = recipe.token_embedding_dim or config.token_embedding_dim or config.hidden_dim
    # Where possible, written as a folder of transformers has it, so that reading it again gives the same model.
    shape = dataclasses.replace(
        config,
        layer=None if config.layer is None else config.layer.keep_layers(kept),
        num_layers=len(kept),
        num_heads=_plain([recipe.num_heads or config.layer_heads[layer] for layer in kept]),
        intermediate_dim=_plain([recipe.intermediate_dim or config.layer_intermediate_dims[layer] for layer in kept]),
        head_dim=config.head_dim if recipe.num_heads in (None, config.num_heads) else _head_dim(config),
        token_embedding_dim=None if width == config.hidden_dim else width,
        layer_weights=layer_weights,
    )
    made = Encoder(dataclasses.replace(encoder.config, transformer=shape), name=encoder.name)
    targets = {weight.path: weight for weight in made.weights}
    weights = KerasWeights(encoder)
    layers = tuple(f"{name_layer(number)}/" for number in range(len(kept)))
    for path in targets.keys() & weights.keys():  # all but layers and the token embedding stay as they are
        if not path.startswith(layers) and targets[path].shape == weights[path].shape:
            targets[path].assign(weights[path])
    counts = None
    if recipe.token_embedding_dim is not None and texts:
        counts = count_tokens(text_encoder, texts)
    copy_embeddings(encoder.get_layer("embeddings"), made.get_layer("embeddings"), counts)
    for number, layer in enumerate(kept):
        for path, value in shrink_layer(config, layer, shape, number, weights, moments).items():
            targets[path].assign(value)
    return text_encoder.with_encoder(SharedModel(made, is_private=True))


def choose_layers(layers: int | tuple[int, ...] | None, num_layers: int) -> tuple[int, ...]:
    """Returns the numbers of the layers to keep; a count is spread evenly from the first layer to the last.

    Raises:
        InputError: if the model has fewer layers.

    Example:
        >>> choose_layers(3, 6)
        (0, 2, 5)
        >>> choose_layers(1, 6)
        (5,)
    """
    if layers is None:
        return tuple(range(num_layers))
    if isinstance(layers, tuple):
        if layers[-1] >= num_layers:
            raise InputError(
                f"`layers` must be below the model's {num_layers} layers. Received: layers={layers}. Count from 0."
            )
        return layers
    if layers > num_layers:
        raise InputError(f"`layers` must be at most the model's {num_layers}. Received: layers={layers}.")
    if layers == 1:
        return (num_layers - 1,)
    return tuple(number * (num_layers - 1) // (layers - 1) for number in range(layers))


def keep_layer_weights(weights: tuple[float, ...], kept: Sequence[int]) -> tuple[float, ...]:
    """Returns the weights of a mean over layers for the kept layers: the embeddings and each layer keep their own.

    Args:
        weights: The weight of the embeddings' output, then of each layer's; empty for no mean.
        kept: The numbers of the kept layers.

    Raises:
        InputError: if the kept layers' weights add up to 0, so that nothing is left to average.

    Example:
        >>> keep_layer_weights((0.0, 1.0, 2.0, 3.0), (0, 2))
        (0.0, 1.0, 3.0)
    """
    made = tuple(weights[place] for place in (0, *(layer + 1 for layer in kept))) if weights else ()
    if made and not sum(made):
        raise InputError(
            "Shrink must keep layers that count in the encoder's mean over layers: the kept layers' weights add up to "
            f"0. Received: layers={tuple(kept)}, layer_weights={weights}. Keep other layers."
        )
    return made


def count_tokens(text_encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Counts how often each token occurs, float64 `(vocabulary,)`."""
    size = text_encoder.own_encoder.config.transformer.vocabulary_size
    counts = np.zeros(size)
    for ids in text_encoder.tokenizer(list(texts)):
        counts += np.bincount(np.asarray(ids) % size, minlength=size)  # ids of pairs tell the token type, too
    return counts


def copy_embeddings(
    source: TransformerEmbeddings, target: TransformerEmbeddings, counts: np.ndarray | None = None
) -> None:
    """Copies embeddings; factorises the token embeddings if the target's are narrower.

    Args:
        source: The large embeddings.
        target: The small embeddings.
        counts: How often each token occurs; frequent tokens are kept more exactly. Default: all tokens count the same.
    """
    for name in ("position", "token_type", "norm"):
        if getattr(source, name) is not None:
            getattr(target, name).set_weights(getattr(source, name).get_weights())
    table = source.token.get_weights()[0]
    if source.token_embedding_dim == target.token_embedding_dim:
        target.token.set_weights([table])
        if source.projection is not None and target.projection is not None:
            target.projection.set_weights(source.projection.get_weights())
        return
    if source.projection is not None:
        kernel, bias = source.projection.get_weights()
        table = table @ kernel + bias
    assert target.projection is not None
    narrow, kernel, bias = factorise(table, target.token_embedding_dim, counts)
    target.token.set_weights([narrow])
    target.projection.set_weights([kernel, bias])


def factorise(
    table: np.ndarray, width: int, counts: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds a narrow table and the product that widens it, with the least weighted squared error: principal components.

    Args:
        table: `(rows, dim)`.
        width: The width of the narrow table, at most `dim`.
        counts: The rows' weights minus 1, `(rows,)`. Default: all rows weigh the same.

    Returns:
        float32 `(rows, width)`, `(width, dim)` and `(dim,)`: table ≈ narrow @ kernel + bias.
    """
    values = table.astype("float64")
    weights = np.ones(len(values)) if counts is None else counts + 1.0
    weights = weights / weights.sum()
    mean = weights @ values
    centred = values - mean
    _, vectors = np.linalg.eigh(centred.T @ (centred * weights[:, None]))
    components = vectors[:, ::-1][:, :width]  # (dim, width), the largest first
    return (
        (centred @ components).astype("float32"),
        np.ascontiguousarray(components.T).astype("float32"),
        mean.astype("float32"),
    )


def shrink_layer(
    config: TransformerConfig,
    number: int,
    small_config: TransformerConfig,
    small_number: int,
    weights: Mapping[str, np.ndarray],
    moments: Mapping[str, Moments],
) -> dict[str, np.ndarray]:
    """Makes the weights of a layer with as many or fewer groups of features, such as heads.

    Args:
        config: The large transformer's shape.
        number: The layer's number there.
        small_config: The small transformer's shape.
        small_number: The layer's number there.
        weights: The large transformer's weights by path.
        moments: As `measure_moments` returns them. Needed if the layer gets smaller.

    Returns:
        Path in the small transformer → weight.
    """
    block = find_block(config)
    name, small_name = name_layer(number), name_layer(small_number)
    made = {path: weights[f"{name}/{path}"] for path, _ in block.list_layer_shapes(config, number)}
    small_groups = block.list_groups(small_config, small_number)
    for group, small in zip(block.list_groups(config, number), small_groups, strict=True):
        if group.count == small.count:
            continue
        seen = moments[f"{name}/{group.reader}"]
        kernel, bias = made[f"{group.reader}/kernel"], made.get(f"{group.reader}/bias")
        kept = keep_largest(rank_groups(seen, kernel, group.width), small.count)
        refitted, offset = refit(seen, kernel, bias, list_features(kept, group.width))
        made[f"{group.reader}/kernel"] = refitted
        if offset is not None:
            made[f"{group.reader}/bias"] = offset
        starts = np.cumsum([0, *group.made_widths[:-1]]) * group.count
        outputs = [start + list_features(kept, width) for start, width in zip(starts, group.made_widths, strict=True)]
        for part in ("kernel", "bias"):
            if f"{group.maker}/{part}" in made:
                made[f"{group.maker}/{part}"] = made[f"{group.maker}/{part}"][..., np.concatenate(outputs)]
    return {f"{small_name}/{path}": weight for path, weight in made.items()}


def list_features(groups: np.ndarray, width: int) -> np.ndarray:
    """Returns the numbers of the features of groups, each of which has `width` in a row."""
    features: np.ndarray = (groups[:, None] * width + np.arange(width)).reshape(-1)
    return features


def keep_largest(ranks: np.ndarray, count: int) -> np.ndarray:
    """The indices of the largest values, in ascending order."""
    return np.sort(np.argsort(-ranks, kind="stable")[:count])


def _plain(values: list[int]) -> int | tuple[int, ...]:
    """One number if all layers have the same, as in a folder of transformers."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def _head_dim(config: TransformerConfig) -> int | None:
    """The width of a head, which a different number of heads must not change."""
    widths = {config.layer_head_dim(layer) for layer in range(config.num_layers)}
    if len(widths) > 1:
        raise InputError(f"Shrink needs heads of one width in all layers. Received: {sorted(widths)}.")
    return widths.pop()


def _check(recipe: "Shrink", config: TransformerConfig) -> None:
    if config.is_static:
        raise InputError(
            "Shrink needs an encoder with layers. Received: a static one, which is a table of token vectors. Use "
            "ReduceDimensions, or Quantize('int8')."
        )
    if config.num_shared_layers is not None:
        raise InputError(
            "Shrink needs layers with weights of their own. Received: an encoder whose layers share them, as ALBERT's "
            "do. Distill it into another architecture, or use Quantize('int8')."
        )
    own_products = config.disentangled is not None and not config.disentangled.shares_products
    if recipe.num_heads is not None and own_products:
        raise InputError(
            "`num_heads` cannot be shrunk where positions have products of their own, as in some DeBERTas. "
            f"Received: num_heads={recipe.num_heads}. Shrink layers and feed-forward units."
        )
    if recipe.token_embedding_dim is not None and config.widened == "sum":
        raise InputError(
            "`token_embedding_dim` cannot be shrunk where positions are as narrow as tokens, as in ELECTRA. "
            f"Received: token_embedding_dim={recipe.token_embedding_dim}. Leave it out."
        )
    present = {
        "num_heads": min(config.layer_heads),
        "intermediate_dim": min(config.layer_intermediate_dims),
        "token_embedding_dim": config.token_embedding_dim or config.hidden_dim,
    }
    for name, most in present.items():
        value = getattr(recipe, name)
        if value is not None and value > most:
            raise InputError(f"`{name}` must be at most the model's {most}. Received: {name}={value}.")
    has_bias = bool(config.relative_attention_buckets) or (config.layer is not None and config.layer.has_alibi)
    if recipe.num_heads is not None and has_bias:
        raise InputError(
            "`num_heads` cannot be shrunk where all layers share a bias for each head, as in MPNet and with ALiBi. "
            f"Received: num_heads={recipe.num_heads}. Shrink layers and feed-forward units."
        )
    shared = 1 if config.layer is None else config.layer.queries_per_key
    if recipe.num_heads is not None and recipe.num_heads % shared:
        raise InputError(
            f"`num_heads` must be a multiple of {shared}, the query heads that share a head of keys and values. "
            f"Received: num_heads={recipe.num_heads}."
        )
