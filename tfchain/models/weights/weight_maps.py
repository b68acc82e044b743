"""Maps from an encoder's weights to the tensors of a Hugging Face folder: data, one line per weight."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import find_block, name_layer
from tfchain.models.encoders.config import TransformerConfig

# What a folder may hold beside the encoder: known heads, only heads of language models, or anything.
HeadTensors = Literal["known", "language", "any"]


@dataclass(frozen=True, kw_only=True)
class WeightMap:
    """The names of a family's tensors.

    Args:
        prefix: The prefix of each name if the folder holds a model with a head.
        embeddings: tfchain's part before the layers → the folder's modules, of which `weight` and `bias` are read.
        layers: The prefix of layer `{}`.
        parts: tfchain's part of a layer → the folder's modules; several are concatenated along the output.
        language_heads: Prefixes of a language model's tensors that an encoder does not need.
        task_heads: Prefixes of the head's tensors in a model trained for a task, such as a classifier.
        renamed: Endings of names in old folders → their endings in newer folders.
    """

    prefix: str
    embeddings: Mapping[str, tuple[str, ...]]
    layers: str
    parts: Mapping[str, tuple[str, ...]]
    language_heads: tuple[str, ...] = ("pooler.", "cls.", "lm_head.", "vocab_")
    task_heads: tuple[str, ...] = ("classifier.", "pre_classifier.", "qa_outputs.")
    renamed: Mapping[str, str] = field(
        default_factory=lambda: {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    )


BERT = WeightMap(
    prefix="bert.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/token_type": ("embeddings.token_type_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention/output": ("attention.output.dense",),
        "attention_norm": ("attention.output.LayerNorm",),
        "intermediate": ("intermediate.dense",),
        "output": ("output.dense",),
        "output_norm": ("output.LayerNorm",),
    },
)

ROBERTA = WeightMap(prefix="roberta.", embeddings=BERT.embeddings, layers=BERT.layers, parts=BERT.parts)

DISTILBERT = WeightMap(
    prefix="distilbert.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="transformer.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention/output": ("attention.out_lin",),
        "attention_norm": ("sa_layer_norm",),
        "intermediate": ("ffn.lin1",),
        "output": ("ffn.lin2",),
        "output_norm": ("output_layer_norm",),
    },
)

MPNET = WeightMap(
    prefix="mpnet.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "relative_position_bias": ("encoder.relative_attention_bias",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        "attention/output": ("attention.attn.o",),
        "attention_norm": ("attention.LayerNorm",),
        "intermediate": ("intermediate.dense",),
        "output": ("output.dense",),
        "output_norm": ("output.LayerNorm",),
    },
)

WEIGHT_MAPS = {"bert": BERT, "distilbert": DISTILBERT, "roberta": ROBERTA, "xlm-roberta": ROBERTA, "mpnet": MPNET}

# Buffers that some versions of transformers wrote beside the weights.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")

# The last part of a weight's path → the last part of a tensor's name.
LEAVES = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}


def list_weights(config: TransformerConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the Keras model's weights with the names of their tensors in a folder.

    Args:
        config: The transformer's shape.

    Yields:
        `(path, names)`: a weight's path in the Keras model and the names of its tensors; several (query, key and value)
        are concatenated along the output.
    """
    names, block = WEIGHT_MAPS[config.architecture], find_block(config)
    for path, _ in block.list_shapes(config):
        yield path, _name_tensors(path, names.embeddings, "")
    for number in range(config.num_layers):
        prefix = names.layers.format(number)
        for path, _ in block.list_layer_shapes(config, number):
            yield f"{name_layer(number)}/{path}", _name_tensors(path, names.parts, prefix)


def _name_tensors(path: str, modules: Mapping[str, tuple[str, ...]], prefix: str) -> tuple[str, ...]:
    module, leaf = path.rsplit("/", 1)
    return tuple(f"{prefix}{name}.{LEAVES[leaf]}" for name in modules[module])


def to_weights(
    config: TransformerConfig, tensors: Mapping[str, np.ndarray], *, heads: HeadTensors = "known"
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
    names = WEIGHT_MAPS[config.architecture]
    found = {_plain_name(name, names): name for name in tensors}
    wanted = dict(list_weights(config))
    needed = {name for parts in wanted.values() for name in parts}
    ignored = (*BUFFERS, *names.language_heads, *(() if heads == "language" else names.task_heads))
    left_over = sorted(name for name in found if name not in needed and not name.startswith(ignored))
    if heads == "any":
        own = (names.layers.split("{}")[0], "embeddings.")
        left_over = [name for name in left_over if name.startswith(own)]
    missing = sorted(needed - found.keys())
    if missing or left_over:
        raise ModelFolderError(
            f"The weights do not fit a {config.architecture} encoder of {config.num_layers} layers. "
            f"Missing tensors: {_shorten(missing)}. Left over, not read: {_shorten(left_over)}. "
            "Check that config.json and the safetensors file belong together, and that the model encodes texts."
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
    for path, names in list_weights(config):
        for name, part in zip(names, np.split(weights[path], len(names), axis=-1), strict=True):
            tensors[name] = np.ascontiguousarray(part.T if path.endswith("kernel") else part)
    return tensors


def _plain_name(name: str, names: WeightMap) -> str:
    name = name.removeprefix(names.prefix)
    for old, new in names.renamed.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _shorten(names: list[str], most: int = 8) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
