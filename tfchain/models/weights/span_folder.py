"""Folders of readers, a `…ForQuestionAnswering` of transformers: their configuration, and their head's tensors."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import LAYER_NORM, LAYER_NORM_EPSILON, list_dense, list_modules
from tfchain.models.encoders.config import EncoderConfig, PairMode, TransformerConfig
from tfchain.models.encoders.token_vectors import TokenVectorConfig
from tfchain.models.weights.folder import ModelFolder, to_transformer_config
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.reranker_folder import find_pair_mode
from tfchain.models.weights.span_heads import NUM_LOGITS, SpanHead, find_span_head
from tfchain.models.weights.tensor_files import TensorFiles


def read_span_folder(path: Path) -> ModelFolder:
    """Reads the configuration of a reader.

    Args:
        path: The folder of a `…ForQuestionAnswering`.

    Raises:
        ModelFolderError: if a file is missing or broken, the model is of another kind, or its architecture is not
            supported.
    """
    values: dict[str, Any] = read_json(path / "config.json")
    names = [str(name) for name in values.get("architectures") or ()]
    if not any(name.endswith("ForQuestionAnswering") for name in names):
        raise ModelFolderError(
            f"{path} must hold a model that finds answers (`architectures` ending in ForQuestionAnswering). "
            f"Received: {', '.join(names) or 'no `architectures`'}. To train a reader from an encoder, make one with "
            "tfchain.QuestionAnsweringChain(reader=...) and call `fit`."
        )
    transformer = to_transformer_config(values, path)
    head = find_span_head(transformer.architecture)
    if head.dropout_key in values:
        head = dataclasses.replace(head, dropout=values[head.dropout_key])
    shape = TensorFiles(path).shape(f"{head.outputs}.weight")
    if shape[0] != NUM_LOGITS:
        raise ModelFolderError(
            f"The head of {path} must have {NUM_LOGITS} outputs, for the start and the end of an answer. "
            f"Received: {shape[0]}. Use another model."
        )
    has_bias = bool(values.get("classifier_bias", False))
    if head.dense is not None and values.get("classifier_activation", "gelu") != "gelu":
        raise ModelFolderError(
            f"{path / 'config.json'} must have classifier_activation='gelu'. "
            f"Received: {values['classifier_activation']!r}. Use another model."
        )
    encoder = to_span_encoder(transformer, pairs=find_pair_mode(path, transformer), has_bias=has_bias, head=head)
    return ModelFolder(encoder=encoder, transformer_path=path, heads="any", dense_modules=head.modules)


def to_span_encoder(
    transformer: TransformerConfig,
    *,
    pairs: PairMode | None = None,
    has_bias: bool = False,
    head: SpanHead | None = None,
) -> EncoderConfig:
    """Returns the shape of a reader with the head that its architecture has in transformers.

    Args:
        transformer: The transformer's shape.
        pairs: Whether question and text have token types. Default: if the transformer has two.
        has_bias: Whether the layer before the outputs has a bias, where there is one. Default: False.
        head: The head. Default: that of the architecture.

    Raises:
        ModelFolderError: if the architecture has no such head, or another epsilon than its normalisation.
    """
    head = head or find_span_head(transformer.architecture)
    if head.norm is not None and transformer.norm_epsilon != LAYER_NORM_EPSILON:
        raise ModelFolderError(
            f"A {head.class_name} must have norm_eps={LAYER_NORM_EPSILON}, with which its head normalises. "
            f"Received: norm_eps={transformer.norm_epsilon}. Use another model."
        )
    if pairs is None:
        pairs = "typed" if transformer.num_token_types > 1 else "plain"
    return EncoderConfig(
        transformer=dataclasses.replace(transformer, pairs=pairs),
        dense=head.list_dense(transformer.hidden_dim, use_bias=has_bias),
        order=head.order,
        tokens=TokenVectorConfig(num_vectors=transformer.max_length),
    )


def to_span_tensors(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the head's tensors by their names in a folder.

    Args:
        config: The shape of a reader.
        weights: Path → array.
    """
    modules, tensors = find_span_head(config.transformer.architecture).modules, {}
    for name, dense in list_dense(config):
        tensors[f"{modules[name]}.weight"] = np.ascontiguousarray(weights[f"{name}/kernel"].T)
        if dense.use_bias:
            tensors[f"{modules[name]}.bias"] = np.asarray(weights[f"{name}/bias"])
    for name in list_modules(config):
        if not name.startswith(LAYER_NORM):
            continue
        beta, layer = np.asarray(weights[f"{name}/beta"]), config.transformer.layer
        tensors[f"{modules[name]}.weight"] = np.asarray(weights[f"{name}/gamma"])
        if layer is None or layer.norm_bias:
            tensors[f"{modules[name]}.bias"] = beta
        else:  # the outputs' bias takes it up: W(γx + β) + b = Wγx + (Wβ + b)
            outputs = f"dense_{len(config.dense) - 1}"
            tensors[f"{modules[outputs]}.bias"] = (
                tensors[f"{modules[outputs]}.bias"] + beta @ weights[f"{outputs}/kernel"]
            )
    return tensors
