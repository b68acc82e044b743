"""The folders of static encoders: sentence-transformers' StaticEmbedding module, and model2vec's own layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.blocks.static import make_static_shape
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.weights.architectures.static import TABLE, fold_rows
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.router import list_modules
from tfchain.models.weights.tensor_files import TensorFiles

MODEL2VEC = "model2vec"  # `model_type` of its config.json
TOKENIZER = "tokenizer.json"
MODEL2VEC_LENGTH = 512  # tokens: model2vec's `encode` truncates longer texts


def read_static_shape(path: Path, *, normalize: bool) -> EncoderConfig:
    """Returns the shape of the static encoder whose table a folder holds.

    Args:
        path: The folder with the weights and tokenizer.json.
        normalize: Whether a Normalize module follows.

    Raises:
        ModelFolderError: if there is no table.
    """
    tensors = fold_rows(TensorFiles(path))
    if TABLE not in set(tensors):
        raise ModelFolderError(
            f"{path} must hold the table of a static encoder, {TABLE} or embeddings. "
            f"Received: {', '.join(sorted(tensors)) or 'no tensors'}."
        )
    rows, dim = tensors.shape(TABLE)
    return make_static_shape(rows, dim, normalize=normalize)


def is_model2vec(values: Mapping[str, Any]) -> bool:
    """Returns whether the content of a config.json is model2vec's."""
    return values.get("model_type") == MODEL2VEC


def find_static_places(path: Path) -> list[Path]:
    """Returns the folders in a model's folder that have the table of a static encoder.

    The table's shape is in no configuration.
    """
    modules = list_modules(path)
    if not modules:
        return [path] if is_model2vec(read_json(path / "config.json", needed=False)) else []
    return [place for kind, place in modules if kind == "StaticEmbedding"]


def find_unknown_id(path: Path) -> int | None:
    """Returns the id of the unknown token in a folder's tokenizer.json, or None."""
    model = read_json(path / TOKENIZER).get("model", {})
    if model.get("unk_id") is not None:  # Unigram
        return int(model["unk_id"])
    found = model.get("vocab", {}).get(model.get("unk_token"))
    return None if found is None else int(found)


def write_max_length(path: Path, max_length: int) -> None:
    """Writes a maximum number of tokens into a folder's tokenizer.json, where sentence-transformers reads it, too.

    Args:
        path: The folder.
        max_length: The maximum.
    """
    values = read_json(path / TOKENIZER)
    values["truncation"] = {"direction": "Right", "max_length": max_length, "strategy": "LongestFirst", "stride": 0}
    (path / TOKENIZER).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
