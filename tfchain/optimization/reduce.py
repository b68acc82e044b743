"""Reduction of dimensions: an encoder whose last head produces narrower vectors."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder, make_blank_encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder

if TYPE_CHECKING:
    from tfchain.optimization.recipes import ReduceDimensions

MOST_TEXTS = 20_000  # about fifty per dimension are enough for principal directions


def reduce_dimensions(
    text_encoder: TextEncoder,
    recipe: "ReduceDimensions",
    texts: Sequence[str] | None = None,
    *,
    progress: bool | None = None,
) -> TextEncoder:
    """Returns a text encoder with narrower vectors; the given one is unchanged.

    An encoder of its own for queries is projected on the same directions, so that the two can still be compared.

    Args:
        text_encoder: The text encoder, one of tfchain's own.
        recipe: The width, and the method.
        texts: Texts whose vectors show the principal directions; of more than 20,000, an evenly spaced sample of that
            size. Required for `pca`. Default: none.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Raises:
        InputError: if the encoder is not one of tfchain's own, the width exceeds the encoder's, or there are fewer
            texts than dimensions to find.
    """
    encoder, route = text_encoder.own_encoder, text_encoder.query_route
    for own in (encoder, encoder if route is None else route.own_encoder):
        if not isinstance(own, Encoder):
            raise InputError(f"ReduceDimensions needs one of tfchain's own encoders. Received: {type(own).__name__}.")
    if encoder.config.head is not None:
        raise InputError(
            "ReduceDimensions makes vectors narrower, and this encoder ends in a head, whose outputs all count. "
            f"Received: a head of {encoder.config.head.out_dim} outputs. Leave the recipe out."
        )
    if encoder.config.tokens is not None:
        raise InputError(
            "ReduceDimensions makes a text's one vector narrower. Received: a model with a vector for each token. "
            "Leave the recipe out, or make late interaction of fewer numbers: LateInteractionReranker(dim=...)."
        )
    width = text_encoder.embedding_dim
    if recipe.dim > width:
        raise InputError(f"`dim` must be at most the model's {width} dimensions. Received: dim={recipe.dim}.")
    if recipe.method == "pca":
        directions = find_directions(_encode(text_encoder, recipe, texts, progress), recipe.dim)
    else:
        directions = np.eye(width, recipe.dim, dtype="float32")
    is_cosine = text_encoder.similarity == "cosine"
    made = project(encoder, directions, normalize=is_cosine)
    if route is not None:
        narrow = project(route.own_encoder, directions, normalize=is_cosine)
        route = route.with_encoder(SharedModel(narrow, is_private=True))
    reduced = text_encoder.with_encoder(SharedModel(made, is_private=True), query_route=route)
    is_cut = recipe.method == "truncate"  # the first dimensions are still the first
    reduced.matryoshka_dims = tuple(dim for dim in text_encoder.matryoshka_dims if is_cut and dim < recipe.dim)
    return reduced


def find_directions(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Finds the orthonormal directions that keep most of the vectors' squared length: uncentred principal components.

    Args:
        vectors: `(vectors, width)`, at least `dim` of them.
        dim: The number of directions.

    Returns:
        float32 `(width, dim)`, the most important first; the largest value of each is positive, so that the same
        vectors always give the same directions.
    """
    values = vectors.astype("float64")
    _, found = np.linalg.eigh(values.T @ values)  # in ascending order
    directions = found[:, ::-1][:, :dim]
    largest = np.abs(directions).argmax(axis=0)
    return (directions * np.sign(directions[largest, np.arange(dim)])).astype("float32")


def project(encoder: Encoder, directions: np.ndarray, *, normalize: bool) -> Encoder:
    """Returns an encoder whose vectors are the given encoder's, projected.

    A head without activation absorbs the projection. If the directions are single dimensions, a head with an activation
    keeps only their units. Otherwise a new head follows. A new head also follows a head that was pruned or clustered if
    multiplying it by the directions would undo that.

    Args:
        encoder: The encoder; it is unchanged.
        directions: float32 `(embedding_dim, dim)`.
        normalize: Whether the new vectors have length one, even if the given encoder's do not.
    """
    config = encoder.config
    dim = directions.shape[1]
    heads = [encoder.get_layer(f"dense_{number}").get_weights() for number in range(len(config.dense))]
    dense = list(config.dense)
    is_selection = np.array_equal(directions, np.eye(*directions.shape))
    if dense and (is_selection or (dense[-1].activation == "linear" and not _has_form(heads[-1][0]))):
        heads[-1] = [part @ directions for part in heads[-1]]
        dense[-1] = dataclasses.replace(dense[-1], out_dim=dim)
    else:
        heads.append([directions])
        dense.append(DenseConfig(in_dim=len(directions), out_dim=dim, use_bias=False, activation="linear"))
    if len(dense) > len(config.dense):
        shape = config.with_dense(dense[-1])
    else:
        shape = dataclasses.replace(config, dense=tuple(dense))
    if normalize:
        shape = shape.with_normalize()
    made = make_blank_encoder(shape, name=encoder.name)
    made.backbone.set_weights(encoder.backbone.get_weights())
    for number, weights in enumerate(heads):
        made.get_layer(f"dense_{number}").set_weights(weights)
    return made


def _has_form(kernel: np.ndarray) -> bool:
    """Whether weights are zero or share a few values; a kernel that only selects inputs has nothing to lose."""
    is_selection = np.isin(kernel, (0, 1)).all() and (kernel.sum(axis=0) == 1).all()
    return not is_selection and bool((kernel == 0).any() or 2 * len(np.unique(kernel)) < kernel.size)


def _encode(
    text_encoder: TextEncoder, recipe: "ReduceDimensions", texts: Sequence[str] | None, progress: bool | None
) -> np.ndarray:
    distinct = list(dict.fromkeys(check_texts(texts or ())))
    if len(distinct) < recipe.dim:
        raise InputError(
            f"ReduceDimensions finds {recipe.dim} principal directions in at least as many different texts, better ten "
            f"times as many. Received: {len(distinct)}. Give more `texts`, or a smaller `dim`."
        )
    count = min(len(distinct), MOST_TEXTS)
    chosen = [distinct[number * len(distinct) // count] for number in range(count)]
    vectors = text_encoder.encode_document(chosen, progress=progress)
    if text_encoder.similarity == "dot":
        return vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
