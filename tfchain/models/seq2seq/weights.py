"""The weights of a sequence-to-sequence transformer by path, and the tensors of a folder that they are made of."""

from collections.abc import Iterator

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families import FAMILIES
from tfchain.models.seq2seq.families.family import LEAVES
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer
from tfchain.models.weights.folded_tensors import Tensors
from tfchain.models.weights.weight_maps import join_tensors

MOST_NAMES = 8
UNTOUCHED = "logits_bias"  # its tensor is named itself, and has one row


def load_weights(transformer: Seq2SeqTransformer, tensors: Tensors) -> None:
    """Sets a transformer's weights from a folder's tensors, one at a time.

    Args:
        transformer: The transformer.
        tensors: The folder's.

    Raises:
        ModelFolderError: if tensors are missing or left over, or one has another shape than the configuration says.
    """
    names = _match(transformer, tensors)
    for variable in transformer.weights:
        if variable.path not in names:
            continue  # the state of dropout
        value = join_tensors(variable.path, [tensors[name] for name in names[variable.path]])
        if variable.path.startswith(UNTOUCHED):
            value = value.reshape(-1)
        if value.shape != tuple(variable.shape):
            raise ModelFolderError(
                f"The tensors {', '.join(names[variable.path])} must give the shape {tuple(variable.shape)}, as "
                f"config.json says. Received: {value.shape}. Check that config.json and the weights belong together."
            )
        variable.assign(value)


def to_tensors(transformer: Seq2SeqTransformer) -> dict[str, np.ndarray]:
    """Returns the tensors of a folder for a transformer's weights: the inverse of `load_weights`."""
    tensors: dict[str, np.ndarray] = {}
    for path, names in _list_names(transformer, None).items():
        value = np.asarray(next(weight for weight in transformer.weights if weight.path == path), dtype="float32")
        if path.startswith(UNTOUCHED):
            value = value.reshape(1, -1)
        for name, part in zip(names, np.split(value, len(names), axis=-1), strict=True):
            tensors[name] = np.ascontiguousarray(part.T if path.endswith("kernel") else part)
    return tensors


def list_arrays(transformer: Seq2SeqTransformer) -> Iterator[tuple[str, np.ndarray]]:
    """Yields path and array of each weight, sorted by path, for a fingerprint."""
    found = {weight.path: weight for weight in transformer.weights if "seed" not in weight.path}
    for path in sorted(found):
        yield path, np.asarray(found[path])


def _match(transformer: Seq2SeqTransformer, tensors: Tensors) -> dict[str, tuple[str, ...]]:
    found = set(tensors)
    names = _list_names(transformer, found)
    family = FAMILIES[transformer.config.family]
    needed = {name for parts in names.values() for name in parts}
    missing = sorted(needed - found)
    left_over = sorted(name for name in found - needed if not name.endswith(family.ignored))
    if missing or left_over:
        config = transformer.config
        raise ModelFolderError(
            f"The weights do not fit a {config.family} model of {config.num_layers} and {config.num_decoder_layers} "
            f"layers. Missing tensors: {_shorten(missing)}. Left over, not read: {_shorten(left_over)}. "
            "Check that config.json and the weights belong together."
        )
    return names


def _list_names(transformer: Seq2SeqTransformer, found: set[str] | None) -> dict[str, tuple[str, ...]]:
    """Returns the names of the tensors of each weight's path; of several names the first that is `found`."""
    config = transformer.config
    return {
        weight.path: _find_names(config, weight.path, found)
        for weight in transformer.weights
        if "seed" not in weight.path
    }


def _find_names(config: Seq2SeqConfig, path: str, found: set[str] | None) -> tuple[str, ...]:
    family = FAMILIES[config.family]
    first, _, inside = path.partition("/")
    for start, layers, parts in (
        ("encoder_layer_", family.encoder_layers, family.encoder),
        ("decoder_layer_", family.decoder_layers, family.decoder),
    ):
        if first.startswith(start):
            module, _, leaf = inside.rpartition("/")
            if module == "intermediate" and config.is_gated:
                module = "gated_intermediate"
            prefix = layers.format(int(first.removeprefix(start)))
            return tuple(f"{prefix}{name}.{LEAVES[leaf]}" for name in parts[module])
    if first == UNTOUCHED:
        return family.ends[first]
    names = [f"{name}.{LEAVES[inside.rpartition('/')[2]]}" for name in family.ends[first]]
    chosen = next((name for name in names if found is None or name in found), names[0])
    return (chosen,)


def _shorten(names: list[str]) -> str:
    if not names:
        return "none"
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
