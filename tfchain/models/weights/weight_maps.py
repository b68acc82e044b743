"""Finds the tensors of an encoder's weights in a Hugging Face folder, by the weight map of its family."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import find_block, name_layer
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures import FAMILIES
from tfchain.models.weights.architectures.family import WeightMap
from tfchain.models.weights.folded_tensors import Tensors

# What a folder may hold beside the encoder: known heads, only heads of language models, or anything.
HeadTensors = Literal["known", "language", "any"]


# Buffers that some versions of transformers wrote beside the weights.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")

# The last part of a weight's path → the last part of a tensor's name.
LEAVES = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}


def list_weights(config: TransformerConfig, names: WeightMap) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the Keras model's weights with the names of their tensors in a folder.

    Args:
        config: The transformer's shape.
        names: The names of its family.

    Yields:
        `(path, names)`: a weight's path in the Keras model and the names of its tensors; several (query, key and value)
        are concatenated along the output.
    """
    block = find_block(config)
    for path, _ in block.list_shapes(config):
        yield path, _name_tensors(path, names.embeddings, "")
    for number in range(config.num_distinct_layers):
        prefix = names.layers.format(number)
        for path, _ in block.list_layer_shapes(config, number):
            yield f"{name_layer(number)}/{path}", _name_tensors(path, names.parts, prefix)
    for path, _ in block.list_final_shapes(config):
        yield path, _name_tensors(path, names.embeddings, "")


def _name_tensors(path: str, modules: Mapping[str, tuple[str, ...]], prefix: str) -> tuple[str, ...]:
    module, leaf = path.rsplit("/", 1)
    return tuple(f"{prefix}{name}.{LEAVES[leaf]}" for name in modules[module])


def fold_tensors(family: str, tensors: Tensors) -> Tensors:
    """Returns a folder's tensors as the weight map of its family names them.

    Args:
        family: `model_type` of the folder's config.json, or an architecture.
        tensors: The folder's tensors.
    """
    fold = FAMILIES[family].fold
    return tensors if fold is None else fold(tensors)


def to_weights(
    config: TransformerConfig, tensors: Tensors, *, heads: HeadTensors = "known"
) -> Iterator[tuple[str, np.ndarray]]:
    """Converts a folder's tensors to the Keras model's weights, one at a time, so that few are in memory at once.

    Args:
        config: The transformer's shape.
        tensors: Name → array; each is read once.
        heads: Which tensors the folder may have beside the transformer's. Default: known heads.

    Returns:
        `(path, float32 array)` pairs; kernels are `(in, out)`, and `(out, in)` in the folder.

    Raises:
        ModelFolderError: as `match_tensors` does.
    """
    matched = match_tensors(config, tensors, heads=heads)
    return ((path, join_tensors(path, [tensors[name] for name in names])) for path, names in matched.items())


def match_tensors(
    config: TransformerConfig, tensors: Iterable[str], *, heads: HeadTensors = "known"
) -> dict[str, tuple[str, ...]]:
    """Finds the tensors of each of the Keras model's weights.

    Args:
        config: The transformer's shape.
        tensors: The names in the folder.
        heads: As in `to_weights`. Default: known heads.

    Returns:
        Path → the names of its tensors in the folder, in the order in which they are concatenated.

    Raises:
        ModelFolderError: if tensors are missing or left over: the transformer's own that the configuration has no place
            for, or those of a head that `heads` does not allow. The message lists missing and left-over tensors.
    """
    family = FAMILIES[config.architecture]
    names = next((other for other in family.other_weights if _has_all(config, other, tensors)), family.weights)
    found = {_plain_name(name, names): name for name in tensors}
    wanted = dict(list_weights(config, names))
    needed = {name for parts in wanted.values() for name in parts}
    ignored = (*BUFFERS, *names.language_heads, *(() if heads == "language" else names.task_heads))
    left_over = sorted(
        name
        for name in found
        if name not in needed and not name.startswith(ignored) and not name.endswith(names.buffers or "\0")
    )
    if heads == "any":
        own = (names.layers.split("{}")[0], "embeddings.")
        left_over = [name for name in left_over if name.startswith(own)]
    missing = sorted(needed - found.keys())
    if missing or left_over:
        raise ModelFolderError(
            f"The weights do not fit a {config.architecture} encoder of {config.num_layers} layers. "
            f"Missing tensors: {_shorten(missing)}. Left over, not read: {_shorten(left_over)}. "
            "Check that config.json and the weights belong together, and that the model encodes texts."
        )
    return {path: tuple(found[name] for name in parts) for path, parts in wanted.items()}


def join_tensors(path: str, tensors: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a weight in float32: its tensors, transposed for a kernel, and concatenated along the output."""
    arrays = [np.asarray(tensor, dtype="float32") for tensor in tensors]
    if path.endswith("kernel"):
        arrays = [array.T for array in arrays]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)


def join_shapes(path: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns the shape of `join_tensors` for tensors of these shapes; `()` if they cannot be concatenated."""
    transposed = [shape[::-1] if path.endswith("kernel") else shape for shape in shapes]
    if any(len(shape) < 1 or shape[:-1] != transposed[0][:-1] for shape in transposed):
        return ()
    return (*transposed[0][:-1], sum(shape[-1] for shape in transposed))


def to_tensors(config: TransformerConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts the Keras model's weights to a folder's tensors: the inverse of `to_weights`, without a prefix."""
    tensors = {}
    for path, names in list_weights(config, FAMILIES[config.architecture].weights):
        widths = _find_widths(config, path) if len(names) > 1 else None
        parts: int | list[int] = len(names) if widths is None else np.cumsum(widths)[:-1].tolist()
        for name, part in zip(names, np.split(weights[path], parts, axis=-1), strict=True):
            tensors[name] = np.ascontiguousarray(part.T if path.endswith("kernel") else part)
    return tensors


def _find_widths(config: TransformerConfig, path: str) -> tuple[int, ...] | None:
    """Returns the widths of a weight's parts; None if all have the same."""
    layer, _, inside = path.partition("/")
    if not layer.startswith("layer_"):
        return None
    number = int(layer.removeprefix("layer_"))
    return find_block(config).split_widths(config, number, inside.rpartition("/")[0])


def _has_all(config: TransformerConfig, names: WeightMap, tensors: Iterable[str]) -> bool:
    """Returns whether a folder has a tensor of these names for each weight."""
    found = {_plain_name(name, names) for name in tensors}
    return all(name in found for _, parts in list_weights(config, names) for name in parts)


def _plain_name(name: str, names: WeightMap) -> str:
    for prefix in (names.prefix, *names.other_prefixes):
        name = name.removeprefix(prefix)
    for old, new in names.renamed.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _shorten(names: list[str], most: int = 8) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
