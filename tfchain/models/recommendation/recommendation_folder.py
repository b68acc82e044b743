"""The folder of a recommendation model: its configuration, vocabularies and weights, and the encoder of texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError, first_line
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.precision import Precision
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.packed_weights import PackedWeight
from tfchain.models.recommendation.vocabulary import Vocabulary
from tfchain.models.text_encoder import TextEncoder

CONFIG, WEIGHTS, TEXT = "recommendation.json", "towers.safetensors", "text"
FORMAT = 1


@dataclass(frozen=True)
class StoredModel:
    """What a folder holds; the arguments of `RecommendationModel`."""

    config: RecommendationConfig
    text_encoder: TextEncoder | None
    vocabulary: Vocabulary | None
    weights: Mapping[str, np.ndarray] | None
    precision: Precision
    vector_storage: VectorStorage


def write_model(model: StoredModel, folder: Path) -> None:
    """Writes a model to an empty folder; the weights in float32, whatever its precision."""
    from safetensors.numpy import save_file

    values = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "precision": model.precision,
        "vectors": model.vector_storage.to_dict(),
        "vocabulary": None if model.vocabulary is None else model.vocabulary.to_dict(),
        "has_text": model.text_encoder is not None,
    }
    (folder / CONFIG).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    if model.weights is not None:
        save_file(dict(model.weights), folder / WEIGHTS)
    if model.text_encoder is not None:
        (folder / TEXT).mkdir()
        model.text_encoder.save(folder / TEXT)


def write_packed(weights: Mapping[str, PackedWeight], folder: Path) -> None:
    """Writes weights in their precision to a folder."""
    from safetensors.numpy import save_file

    tensors = {path: packed.values for path, packed in weights.items()}
    tensors |= {f"{path}/scales": packed.scales for path, packed in weights.items() if packed.scales is not None}
    save_file(tensors, folder / WEIGHTS)


def read_model(path: Path, *, engine: Any = "auto") -> StoredModel:
    """Reads what `write_model` wrote.

    Args:
        path: The folder.
        engine: The engine that runs the encoder of texts. Default: `auto`.

    Raises:
        ModelFolderError: if a file is missing, damaged or of a newer tfchain.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        values = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ModelFolderError(
                f"{path} has the format {values['format']}; this tfchain reads format {FORMAT}. Update tfchain."
            )
        vocabulary = None if values["vocabulary"] is None else Vocabulary.from_dict(values["vocabulary"])
        return StoredModel(
            RecommendationConfig.from_dict(values["config"]),
            TextEncoder.from_pretrained(path / TEXT, engine=engine) if values["has_text"] else None,
            vocabulary,
            None if vocabulary is None else load_file(path / WEIGHTS),
            values["precision"],
            VectorStorage.from_dict(values["vectors"]),
        )
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelFolderError(
            f"{path} holds no recommendation model that can be read: {first_line(error)}. Save the chain again."
        ) from error
