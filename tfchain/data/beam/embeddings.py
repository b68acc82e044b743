"""An embeddings manager for Beam's MLTransform, around an encoder that is handed in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.ml.transforms.base import EmbeddingsManager, _TextEmbeddingHandler

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass
class LoadedEncode:
    """An encoder in a worker, in an object that Beam can hold."""

    encode: Encode


class EncodeHandler(ModelHandler[str, np.ndarray, LoadedEncode]):
    """Loads an encoder once in each worker, and encodes batches of texts.

    Args:
        load: Returns a function from texts to their vectors.
        name: What metrics call it.
        batches: Beam's settings of batches.
    """

    def __init__(self, load: Callable[[], Encode], name: str, batches: Mapping[str, int]) -> None:
        super().__init__()
        self.load = load
        self.name = name
        self.batches = dict(batches)

    def load_model(self) -> LoadedEncode:
        return LoadedEncode(self.load())

    def run_inference(
        self, batch: Sequence[str], model: LoadedEncode, inference_args: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        return model.encode(list(batch))  # (texts, dim)

    def batch_elements_kwargs(self) -> Mapping[str, int]:
        return self.batches

    def __repr__(self) -> str:
        return self.name


class CallableTextEmbeddings(EmbeddingsManager):
    """Replaces the texts in columns by their vectors, lists of floats, in an `MLTransform`.

    Args:
        load: Returns a function from texts to their vectors, float32 `(texts, dim)`; called once in each worker. It is
            kept in the transform's artifacts, so it must be an object of an importable class with plain attributes.
        columns: The columns.
        min_batch_size: The least texts of a batch. Default: Beam chooses.
        max_batch_size: The most texts of a batch. Default: Beam chooses.
    """

    def __init__(
        self,
        load: Callable[[], Encode],
        columns: Sequence[str],
        *,
        min_batch_size: int | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__(columns=list(columns), min_batch_size=min_batch_size, max_batch_size=max_batch_size)
        self.load = load

    def get_model_handler(self) -> EncodeHandler:
        sizes = {"min_batch_size": self.min_batch_size, "max_batch_size": self.max_batch_size}
        batches = {name: size for name, size in sizes.items() if size is not None}
        return EncodeHandler(self.load, type(self).__name__, batches)

    def get_ptransform_for_processing(self, **kwargs: Any) -> Any:
        return RunInference(model_handler=_TextEmbeddingHandler(self))
