"""ERNIE's folders: BERT with an embedding for the task, of which an encoder of texts uses the first row."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, read_bert, write_bert
from tfchain.models.weights.architectures.family import Family
from tfchain.models.weights.folded_tensors import Folded, FoldedTensors, Tensors

TASKS, TYPES = "embeddings.task_type_embeddings.weight", "embeddings.token_type_embeddings.weight"


def fold_tasks(tensors: Tensors) -> Tensors:
    """Adds the task embedding's first row, which each token gets, to the token types, and leaves the table out."""
    names = set(tensors)
    prefix = next((prefix for prefix in ("", "ernie.") if prefix + TASKS in names), None)
    if prefix is None:
        return tensors

    def add(types: np.ndarray, tasks: np.ndarray) -> np.ndarray:
        total: np.ndarray = types.astype("float32") + tasks[:1].astype("float32")
        return total

    types, tasks = prefix + TYPES, prefix + TASKS
    return FoldedTensors(tensors, {types: Folded((types, tasks), add)}, hidden=(tasks,))


def read_ernie(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of ERNIE."""
    return read_bert(values)


def write_ernie(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_ernie` reads; the task's embedding is part of the token types by now."""
    return {**write_bert(shape), "use_task_id": False}


ERNIE = Family(
    model_class="ErnieModel",
    weights=dataclasses.replace(BERT_WEIGHTS, prefix="ernie."),
    read=read_ernie,
    write=write_ernie,
    fold=fold_tasks,
)
