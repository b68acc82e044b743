"""Low-rank adapters in a checkpoint, one for each task, as jina-embeddings-v3 has them: one is merged on reading."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folded_tensors import iterate_blocks

ORIGINAL = ".parametrizations.weight.original"
FIRST, SECOND = ".parametrizations.weight.0.lora_A", ".parametrizations.weight.0.lora_B"


def list_adapters(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of a checkpoint's adapters; none if it has none.

    Args:
        values: The content of config.json.
    """
    return tuple(str(name) for name in values.get("lora_adaptations") or ())


class AdaptedTensors(Mapping[str, np.ndarray]):
    """A folder's tensors with one adapter merged: name → array, computed on access.

    A weight W of a product becomes W + scale · B A, that of an embedding W + scale · A B (Hu et al. 2022), with the
    scale `alpha / rank`. Adapters and originals are hidden; the merged weight has the name that it has without them.

    Args:
        tensors: The folder's tensors, as `TensorFiles`.
        number: The adapter's number; None leaves the weights as they are.
        scale: The factor of the adapter's part.
    """

    def __init__(self, tensors: Any, number: int | None, scale: float) -> None:
        self._tensors = tensors
        self._number = number
        self._scale = scale
        self._names = {
            name.replace(ORIGINAL, ".weight"): name for name in tensors if not name.endswith((FIRST, SECOND))
        }

    def __getitem__(self, name: str) -> np.ndarray:
        stored = self._names[name]
        weight: np.ndarray = self._tensors[stored]
        if self._number is None or not stored.endswith(ORIGINAL):
            return weight
        path = stored.removesuffix(ORIGINAL)
        first, second = (self._tensors[path + part][self._number].astype("float32") for part in (FIRST, SECOND))
        is_product = second.shape[0] == weight.shape[0] and first.shape[0] == second.shape[-1]
        change = second @ first if is_product else first @ second
        if change.shape != weight.shape:
            raise ModelFolderError(
                f"The adapter of {name} must change a weight of the shape {weight.shape}. "
                f"Received: {first.shape} and {second.shape}. Get the folder again."
            )
        merged: np.ndarray = weight + self._scale * change
        return merged

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading the tensor."""
        shape: tuple[int, ...] = self._tensors.shape(self._names[name])
        return shape

    def read_blocks(self, name: str, num_rows: int) -> Iterator[np.ndarray]:
        """Reads a tensor some rows at a time; one with an adapter is read whole."""
        stored = self._names[name]
        if self._number is None or not stored.endswith(ORIGINAL):
            blocks: Iterator[np.ndarray] = self._tensors.read_blocks(stored, num_rows)
            return blocks
        return iterate_blocks(self[name], num_rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def adapt_tensors(tensors: Any, values: Mapping[str, Any], adapter: str | None) -> Any:
    """Returns a folder's tensors with an adapter merged; the tensors themselves if the folder has no adapters.

    Args:
        tensors: The folder's tensors, as `TensorFiles`.
        values: The content of config.json.
        adapter: The adapter's name; None for the weights without any.

    Raises:
        ModelFolderError: if the folder has no adapter of that name.
    """
    adapters = list_adapters(values)
    if adapter is not None and adapter not in adapters:
        raise ModelFolderError(
            f"`adapter` must be one of {', '.join(adapters) or '(the model has no adapters)'}. "
            f"Received: adapter={adapter!r}."
        )
    if not adapters:
        return tensors
    number = None if adapter is None else adapters.index(adapter)
    return AdaptedTensors(tensors, number, values.get("lora_alpha", 1) / values.get("lora_rank", 4))
