"""sentence-transformers' WeightedLayerPooling: the weights of a mean over layers, read from a folder and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.layer_weights import check_layer_weights
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.router import list_modules
from tfchain.models.weights.tensor_files import TensorFiles

LAYER_POOLING = "WeightedLayerPooling"
SWITCH = "output_hidden_states"  # of config.json: without it, sentence-transformers' module does nothing
TENSOR = "layer_weights"
FIRST_LAYER = 4  # the module's default


def read_layer_weights(
    modules: Sequence[tuple[str, Path]], values: Mapping[str, Any], num_layers: int, path: Path
) -> tuple[float, ...]:
    """Reads the weights of a mean over layers, as `TransformerConfig.layer_weights` has them.

    sentence-transformers averages layers only if config.json has `output_hidden_states`, and only before the pooling
    does it make a difference. Of several modules, the last one counts.

    Args:
        modules: The kind and the folder of each module, in order.
        values: The content of the transformer's config.json.
        num_layers: The transformer's layers.
        path: The model's folder, for error messages.

    Returns:
        The weights of the embeddings' output and of each layer's, with 0 for those that the module leaves out; empty if
        there is no mean.

    Raises:
        ModelFolderError: if the module's configuration and its weights do not belong to the transformer, or other code
            than transformers' computes the layers.
    """
    kinds = [kind for kind, _ in modules]
    end = kinds.index("Pooling") if "Pooling" in kinds else len(kinds)
    places = [place for kind, place in modules[kinds.index("Transformer") : end] if kind == LAYER_POOLING]
    if not places or not values.get(SWITCH):
        return ()
    if values[SWITCH] is not True:
        raise ModelFolderError(
            f"config.json of {path} must have {SWITCH}=true for a WeightedLayerPooling, which averages all layers. "
            f"Received: {values[SWITCH]!r:.100}. Use another model."
        )
    if has_own_code(values) and "tfchain" not in values:
        raise ModelFolderError(
            f"{path} averages layers (WeightedLayerPooling) that code of its own computes "
            f"({values['auto_map']!r:.200}), and tfchain only knows which outputs transformers' own code averages. "
            "Use another model."
        )
    return _read_module(places[-1], num_layers)


def find_layer_poolings(path: Path) -> list[Path]:
    """Returns the folders of a model's WeightedLayerPooling modules, whose weights are part of its shape."""
    return [place for kind, place in list_modules(path) if kind == LAYER_POOLING]


def has_own_code(values: Mapping[str, Any]) -> bool:
    """Returns whether a config.json names code of its own for the model."""
    return "AutoModel" in (values.get("auto_map") or {})


def describe_layer_pooling(weights: Sequence[float], dim: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the content of a WeightedLayerPooling's config.json, and its tensors.

    Args:
        weights: The weights of the embeddings' output and of each layer's.
        dim: The transformer's width.
    """
    start = next(number for number, weight in enumerate(weights) if weight)
    values = {"word_embedding_dimension": dim, "layer_start": start, "num_hidden_layers": len(weights) - 1}
    return values, {TENSOR: np.array(weights[start:], dtype="float32")}


def _read_module(place: Path, num_layers: int) -> tuple[float, ...]:
    start = read_json(place / "config.json").get("layer_start", FIRST_LAYER)
    if isinstance(start, bool) or not isinstance(start, int) or not 0 <= start <= num_layers:
        raise ModelFolderError(
            f"{place / 'config.json'} must have a `layer_start` from 0, the embeddings, to the transformer's "
            f"{num_layers} layers. Received: layer_start={start!r:.100}. Get the folder again."
        )
    tensors = TensorFiles(place)
    names = sorted(tensors)
    found = tensors.shape(TENSOR) if names == [TENSOR] else ()
    if found != (num_layers + 1 - start,):
        raise ModelFolderError(
            f"The weights in {place} must be one tensor {TENSOR} of {num_layers + 1 - start} numbers, one for each "
            f"output from layer {start} to {num_layers}. Received: {', '.join(names) or 'none'}, of the shape {found}. "
            "Check that they and config.json belong to the same model."
        )
    try:
        return check_layer_weights([*[0.0] * start, *np.asarray(tensors[TENSOR], dtype="float32")], num_layers)
    except InputError as error:
        raise ModelFolderError(f"The weights in {place} make no mean: {error}") from error
