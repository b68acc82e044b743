"""The folders of static encoders: sentence-transformers' StaticEmbedding, and model2vec's own layout."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.family import Family, WeightMap
from tfchain.models.weights.folded_tensors import Folded, FoldedTensors, Tensors

TABLE = "embedding.weight"
# model2vec's: rows, the row of each token if several share one, and a weight for each token.
ROWS, PLACES, WEIGHTS = "embeddings", "mapping", "weights"


def fold_rows(tensors: Tensors) -> Tensors:
    """Makes one table of model2vec's tensors: the row of a token is `embeddings[mapping[token]] * weights[token]`."""
    names = set(tensors)
    if ROWS not in names:
        return tensors
    sources = [name for name in (ROWS, PLACES, WEIGHTS) if name in names]
    rows = tensors.shape(PLACES if PLACES in names else ROWS)[0]

    def fold(*arrays: np.ndarray) -> np.ndarray:
        found = dict(zip(sources, arrays, strict=True))
        table: np.ndarray = found[ROWS].astype("float32")
        if PLACES in found:
            table = table[found[PLACES].astype("int64")]
        return table * found[WEIGHTS].astype("float32")[:, None] if WEIGHTS in found else table

    made = Folded(sources, fold, (rows, tensors.shape(ROWS)[1]))
    return FoldedTensors(tensors, {TABLE: made}, hidden=sources)


def read_static(values: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses: the shape of a static encoder is that of its tensor; see `static_folder.py`."""
    raise InputError(
        "A static encoder must be read with its modules.json or as a folder of model2vec. "
        f"Received: only a config.json of the architecture {values.get('model_type')!r}."
    )


def write_static(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what model2vec reads."""
    return {"model_type": "model2vec", "hidden_dim": shape.hidden_dim, "seq_length": shape.max_positions}


STATIC = Family(
    model_class="StaticModel",
    weights=WeightMap(prefix="", embeddings={"embeddings": ("embedding",)}, layers="layer.{}.", parts={}),
    read=read_static,
    write=write_static,
    fold=fold_rows,
)
