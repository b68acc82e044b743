"""Folders of sparse encoders: sentence-transformers' SparseEncoder with SPLADE's pooling, and a table for queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folder import find_place
from tfchain.models.weights.folder_kind import SPARSE, find_other_kind
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.router import has_router, read_routes
from tfchain.models.weights.tensor_files import TensorFiles
from tfchain.models.weights.transformer_settings import FILES as TRANSFORMER_SETTINGS

SparsePooling = Literal["max", "sum"]
SparseActivation = Literal["relu", "log1p_relu"]
TRANSFORMERS = ("Transformer", "MLMTransformer")
SETTINGS = "config_sentence_transformers.json"
WEIGHT = "weight"  # the tensor of SparseStaticEmbedding


@dataclass(frozen=True)
class MaskedHead:
    """The names of a masked language model's head, beside the transformer's tensors.

    Args:
        dense: The Dense layer on each token.
        norm: The normalisation after it.
        bias: What is added for each word of the vocabulary.
        decoder: The matrix to the vocabulary; where a folder has none, it is the token embedding.
    """

    dense: str
    norm: str
    bias: str
    decoder: str


LM_HEAD = MaskedHead("lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder.weight")
MASKED_HEADS: Mapping[str, MaskedHead] = {
    "bert": MaskedHead(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
        "cls.predictions.decoder.weight",
    ),
    "distilbert": MaskedHead("vocab_transform", "vocab_layer_norm", "vocab_projector.bias", "vocab_projector.weight"),
    "roberta": LM_HEAD,
    "xlm-roberta": LM_HEAD,
    "camembert": LM_HEAD,
}


@dataclass(frozen=True)
class SparseRoute:
    """How one kind of text becomes a sparse vector.

    Args:
        transformer: The folder of a masked language model; None for a table.
        table: The folder of a table with a weight for each token, and its tokenizer; None for a model.
        max_length: The most tokens of a text for the model; None for the tokenizer's.
        pooling: Whether a word's weight is the largest over a text's tokens, or their sum.
        activation: `relu` for log(1 + relu(x)), `log1p_relu` for the logarithm of one more than that.
    """

    transformer: Path | None = None
    table: Path | None = None
    max_length: int | None = None
    pooling: SparsePooling = "max"
    activation: SparseActivation = "relu"


def read_sparse_folder(path: Path) -> tuple[SparseRoute, SparseRoute]:
    """Returns the routes of documents and of queries.

    Args:
        path: A SparseEncoder's folder of sentence-transformers, with a Router or without.

    Raises:
        ModelFolderError: if the folder holds another kind of model, or modules that tfchain does not have.
    """
    modules = read_json(path / "modules.json", needed=False)
    settings: dict[str, Any] = read_json(path / SETTINGS, needed=False)
    if not modules or find_other_kind(settings, modules) != SPARSE:
        raise ModelFolderError(
            f"{path} must hold a SparseEncoder of sentence-transformers. Received: "
            f"{', '.join(str(module.get('type')) for module in modules) or 'a folder without modules.json'}. Save the "
            "model with sentence-transformers' SparseEncoder, which reads a plain folder of SPLADE."
        )
    try:
        if not has_router(modules):
            route = _read_route(path, modules)
            return route, route
        documents, queries = read_routes(path, modules)
        return _read_route(path, documents), _read_route(path, queries)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} has a configuration that cannot be read: {type(error).__name__}: {error}. Get the folder again."
        ) from error


def read_table(place: Path, size: int) -> np.ndarray:
    """Returns the weight of each token in a table for queries, float32 `(vocabulary,)`.

    Args:
        place: The module's folder.
        size: The number of tokens in its tokenizer.

    Raises:
        ModelFolderError: if there is no such table, or it has another size.
    """
    tensors = TensorFiles(place)
    shape = tensors.shape(WEIGHT) if WEIGHT in set(tensors) else ()
    if len(shape) != 1 or shape[0] < size:
        raise ModelFolderError(
            f"{place} must hold a weight for each of {size} tokens. Received: "
            f"{shape or 'no tensor named ' + WEIGHT}. Get the folder again."
        )
    return np.asarray(tensors[WEIGHT], dtype="float32")


def _read_route(path: Path, modules: Sequence[Mapping[str, Any]]) -> SparseRoute:
    listed = [(str(module["type"]).rsplit(".", 1)[-1], find_place(path, str(module["path"]))) for module in modules]
    kinds = [kind for kind, _ in listed]
    if kinds == ["SparseStaticEmbedding"]:
        return SparseRoute(table=listed[0][1])
    if len(kinds) != 2 or kinds[0] not in TRANSFORMERS or kinds[1] != "SpladePooling":
        raise ModelFolderError(
            f"{path} must list a masked language model and SpladePooling, or SparseStaticEmbedding. Received: "
            f"{', '.join(kinds)}. Use another model."
        )
    place = listed[0][1]
    pooling: dict[str, Any] = read_json(listed[1][1] / "config.json")
    found = {
        "pooling": pooling.get("pooling_strategy", "max"),
        "activation": pooling.get("activation_function", "relu"),
    }
    for (name, value), known in zip(found.items(), (SparsePooling, SparseActivation), strict=True):
        if value not in get_args(known):
            raise ModelFolderError(
                f"{listed[1][1] / 'config.json'} must have a {name} of {', '.join(get_args(known))}. "
                f"Received: {value!r}. Use another model."
            )
    file = next((name for name in TRANSFORMER_SETTINGS if (place / name).is_file()), TRANSFORMER_SETTINGS[0])
    length = read_json(place / file, needed=False).get("max_seq_length")
    return SparseRoute(transformer=place, max_length=length, **found)
