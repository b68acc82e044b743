"""Writes a model of late interaction as a folder that sentence-transformers' MultiVectorEncoder reads."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import list_dense
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.tokenizers.late import LateTokenizer
from tfchain.models.weights.folder_contents import WEIGHTS
from tfchain.models.weights.late_folder import SCALES, SETTINGS, MaxSimScale
from tfchain.models.weights.save_pretrained import (
    dense_values,
    is_portable,
    to_hugging_face,
    transformer_tensors,
    write,
)
from tfchain.models.weights.tensor_files import write_tensors

MODULES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "MultiVectorMask": "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
OF_TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


def save_multi_vector_encoder(
    encoder: Encoder,
    path: Path,
    *,
    tokenizer: LateTokenizer,
    document_length: int,
    prompts: Mapping[str, str],
    scale: MaxSimScale,
) -> None:
    """Writes a model of late interaction.

    Args:
        encoder: The encoder.
        path: An empty folder.
        tokenizer: The tokenizer of queries.
        document_length: The maximum number of tokens in a document.
        prompts: The texts before queries and documents, their markers included.
        scale: Whether a score is the sum over a query's tokens, or their mean.

    Raises:
        InputError: if transformers cannot express the encoder's shape.
    """
    config = encoder.config
    plain = dataclasses.replace(config.transformer, has_token_flags=False)
    portable = dataclasses.replace(config, transformer=plain, tokens=None)
    if not is_portable(portable):
        raise InputError(
            "Only a transformer with the same heads and widths in all layers, and without a mean over layers, can be "
            "saved for sentence-transformers. "
            f"Received: {config.transformer}. Use `save`, which tfchain itself reads."
        )
    values = to_hugging_face(portable)
    values.pop("tfchain")
    write(path / "config.json", values)
    write_tensors(path / WEIGHTS, transformer_tensors(encoder))
    tokenizer.save(path)
    write(path / "sentence_bert_config.json", _list_settings(tokenizer, document_length))
    scale_name = next(name for name, known in SCALES.items() if known == scale)
    own = {"model_type": "MultiVectorEncoder", "prompts": dict(prompts), "default_prompt_name": None}
    write(path / SETTINGS, own | {"similarity_fn_name": scale_name})
    _write_modules(encoder, path, tokenizer)


def _list_settings(tokenizer: LateTokenizer, document_length: int) -> dict[str, Any]:
    tokens = tokenizer.tokens
    settings: dict[str, Any] = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
        "document_length": document_length,
        "do_lower_case": tokenizer.do_lower_case,
    }
    if not tokens.expanded_length or not tokens.truncates_expanded:
        settings["query_length"] = tokenizer.max_length
    if tokens.expanded_length:
        settings["query_expansion"] = {
            "strategy": "fixed" if tokens.truncates_expanded else "min",
            "attend": tokens.attends_to_expansion,
            "token": tokenizer.tokenizer.convert_ids_to_tokens(tokens.expansion_id),
            "length": tokens.expanded_length,
        }
    return settings


def _write_modules(encoder: Encoder, path: Path, tokenizer: LateTokenizer) -> None:
    config = encoder.config
    kinds = ["Transformer", *["Dense"] * len(config.dense), "MultiVectorMask", *["Normalize"] * config.normalize]
    dense_modules = iter(list_dense(config))
    weights = {weight.path: np.asarray(weight) for weight in encoder.weights}
    listed = []
    for number, kind in enumerate(kinds):
        place = f"{number}_{kind}" if number else ""
        listed.append({"idx": number, "name": str(number), "path": place, "type": MODULES[kind]})
        if not number:
            continue
        (path / place).mkdir()
        values: dict[str, Any] = dict(OF_TOKENS)
        if kind == "Dense":
            name, dense = next(dense_modules)
            values = dense_values(dense) | OF_TOKENS
            parts = {"linear.weight": np.ascontiguousarray(weights[f"{name}/kernel"].T)}
            if dense.use_bias:
                parts["linear.bias"] = weights[f"{name}/bias"]
            write_tensors(path / place / WEIGHTS, parts)
        elif kind == "MultiVectorMask":
            words = tokenizer.tokenizer.convert_ids_to_tokens(list(tokenizer.tokens.skipped_ids))
            values = {"skiplist_words": words, "skiplist_tasks": ["document"], "keep_only_token_ids": None}
        write(path / place / "config.json", values)
    write(path / "modules.json", listed)
