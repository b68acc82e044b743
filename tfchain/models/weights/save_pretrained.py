"""Writes encoders as sentence-transformers folders, which sentence-transformers and tfchain read."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import LAYER_NORM, list_dense, list_modules
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.weights.architectures import FAMILIES
from tfchain.models.weights.folder import OLD_POOLING_KEYS, to_transformer_config
from tfchain.models.weights.folder_contents import INT8_WEIGHTS, WEIGHTS
from tfchain.models.weights.layer_pooling import LAYER_POOLING, SWITCH, describe_layer_pooling, has_own_code
from tfchain.models.weights.static_folder import write_max_length
from tfchain.models.weights.stored_weights import WeightType, quantize_tensors
from tfchain.models.weights.tensor_files import write_tensors
from tfchain.models.weights.weight_maps import to_tensors

KINDS = {"dense": "Dense", "normalize": "Normalize", "layer_norm": "LayerNorm"}  # sentence-transformers' modules


def save_encoder(
    encoder: Encoder,
    path: Path,
    *,
    save_tokenizer: Callable[[Path], Any],
    max_length: int,
    query_length: int | None = None,
    document_length: int | None = None,
    do_lower_case: bool = False,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    similarity: str = "cosine",
    matryoshka_dims: Sequence[int] = (),
    precision: str = "float32",
    vector_storage: Mapping[str, Any] | None = None,
    portable: bool = True,
    weight_type: WeightType = "float32",
) -> None:
    """Writes an encoder as a sentence-transformers folder.

    Args:
        encoder: The encoder.
        path: An empty folder.
        save_tokenizer: Writes the tokenizer's files into a folder.
        max_length: The maximum number of tokens in a text.
        query_length: That of a query. Default: `max_length`.
        document_length: That of a document. Default: `max_length`.
        do_lower_case: Whether texts are lower-cased before tokenizing. Default: False.
        prompts: Prompt name → text put before each text. Default: none.
        default_prompt_name: The prompt that `encode` uses if none is named. Default: none.
        similarity: `cosine` or `dot`. Default: `cosine`.
        matryoshka_dims: Shorter lengths to which vectors may be cut; written as `matryoshka_dimensions` into
            config.json, as vLLM reads them. Default: none.
        precision: The precision of the computation; written unless it is `float32`. Default: `float32`.
        vector_storage: How an index keeps vectors, as plain values. Default: in float32, which is not written.
        portable: Whether sentence-transformers must be able to load the folder. False also writes shapes that only
            tfchain reads (layers of different widths, a factorised embedding). Default: True.
        weight_type: `int8` stores rounded matrices in a quarter of the space, for tfchain only. Default: `float32`.

    Raises:
        InputError: if `portable` is True, and the shape cannot be expressed or the weights are not float32.
    """
    if weight_type not in get_args(WeightType) or (portable and weight_type != "float32"):
        known = "float32" if portable else " or ".join(get_args(WeightType))
        raise InputError(f"`weight_type` must be {known}. Received: weight_type={weight_type!r}, portable={portable}.")
    config = encoder.config
    store, file = (quantize_tensors, INT8_WEIGHTS) if weight_type == "int8" else (dict, WEIGHTS)
    write_tensors(path / file, store(transformer_tensors(encoder)))
    values = to_hugging_face(config)
    if is_portable(config, has_modules=True):
        values.pop("tfchain")
    elif portable:
        raise InputError(
            "Only a transformer with the same heads and widths in all layers can be saved for sentence-transformers, "
            "and a mean over layers only with transformers' own code. "
            f"Received: {config.transformer}. "
            "Use the chain's save, which tfchain itself reads."
        )
    if config.transformer.layer_weights:
        values |= {SWITCH: True}
    if matryoshka_dims:
        values |= {"is_matryoshka": True, "matryoshka_dimensions": list(matryoshka_dims)}
    write(path / "config.json", values)
    lengths = {"query_length": query_length, "document_length": document_length}
    lengths = {name: length for name, length in lengths.items() if length is not None}
    if lengths or not config.transformer.is_static:
        own = {"max_seq_length": max_length, "do_lower_case": do_lower_case, **lengths}
        write(path / "sentence_bert_config.json", own)
    settings: dict[str, Any] = {"prompts": dict(prompts or {}), "default_prompt_name": default_prompt_name}
    settings |= {"similarity_fn_name": similarity}
    settings |= {"precision": precision} if precision != "float32" else {}
    settings |= {"vector_storage": dict(vector_storage)} if vector_storage is not None else {}
    settings |= {"tokens": dataclasses.asdict(config.tokens)} if config.tokens is not None else {}
    settings |= {"head": True} if config.head is not None else {}  # without Normalize, a head looks like `dense`
    write(path / "config_sentence_transformers.json", settings)
    save_tokenizer(path)
    if config.transformer.is_static and max_length < config.transformer.max_length:
        write_max_length(path, max_length)

    _write_modules(encoder, path, file, store)


def _write_modules(encoder: Encoder, path: Path, file: str, store: Callable[[Any], Any]) -> None:
    """Writes `modules.json`, and a folder for each module after the transformer."""
    config = encoder.config
    averages = [LAYER_POOLING] * bool(config.transformer.layer_weights)
    first = ["StaticEmbedding"] if config.transformer.is_static else ["Transformer", *averages, "Pooling"]
    modules = [*first, *(KINDS[kind] for kind in config.module_order)]
    modules += ["Dense"] * (config.head is not None)
    dense_modules = iter(list_dense(config))
    norms = (name for name in list_modules(config) if name.startswith(LAYER_NORM))
    listed = []
    weights = {weight.path: np.asarray(weight) for weight in encoder.weights}
    for number, kind in enumerate(modules):
        place = "" if number == 0 else f"{number}_{kind}"
        listed.append(
            {"idx": number, "name": str(number), "path": place, "type": f"sentence_transformers.models.{kind}"}
        )
        if number:
            (path / place).mkdir()
        if kind == LAYER_POOLING:
            shape = config.transformer
            pooling_values, parts = describe_layer_pooling(shape.layer_weights, shape.hidden_dim)
            write(path / place / "config.json", pooling_values)
            write_tensors(path / place / file, parts)
        if kind == "Pooling":
            write(path / place / "config.json", _pooling_values(config))
        if kind == "Dense":
            name, dense = next(dense_modules)
            write(path / place / "config.json", dense_values(dense))
            parts = {"linear.weight": weights[f"{name}/kernel"].T}
            if dense.use_bias:
                parts["linear.bias"] = weights[f"{name}/bias"]
            write_tensors(path / place / file, store(parts))
        if kind == "LayerNorm":
            name = next(norms)
            parts = {f"norm.{part}": weights[f"{name}/{own}"] for part, own in (("weight", "gamma"), ("bias", "beta"))}
            write(path / place / "config.json", {"dimension": len(parts["norm.bias"])})
            write_tensors(path / place / file, parts)
    write(path / "modules.json", listed)


def transformer_tensors(encoder: Encoder) -> dict[str, np.ndarray]:
    """Returns the transformer's weights by their Hugging Face names."""
    weights = {weight.path: np.asarray(weight) for weight in encoder.weights}
    return to_tensors(encoder.config.transformer, weights)


def is_portable(config: EncoderConfig, *, has_modules: bool = False) -> bool:
    """Returns whether transformers can express this shape.

    Args:
        config: The encoder's shape.
        has_modules: Whether sentence-transformers' modules are written beside, of which one averages layers. Default:
            False.
    """
    shape = config.transformer
    if shape.is_static:
        return config.pooling == PoolingConfig()
    uniform = len(set(shape.layer_heads)) == 1 and len(set(shape.layer_intermediate_dims)) == 1
    is_narrow = shape.token_embedding_dim not in (None, shape.hidden_dim)
    if shape.pairs != "none" or shape.has_token_flags or not uniform or is_narrow != (shape.widened == "sum"):
        return False
    if shape.layer_weights and (not has_modules or has_own_code(to_hugging_face(config))):
        return False
    if shape.layer is None:
        return shape.layer_heads[0] * shape.layer_head_dim(0) == shape.hidden_dim
    written = to_hugging_face(config)
    del written["tfchain"]
    return to_transformer_config(written, Path("config")) == dataclasses.replace(shape, layer_weights=())


def to_hugging_face(config: EncoderConfig) -> dict[str, Any]:
    """Returns the content of config.json: transformers' keys, and tfchain's own shape under `tfchain`."""
    shape = config.transformer
    family = FAMILIES[shape.architecture]
    return {
        "model_type": shape.architecture,
        "architectures": [family.model_class],
        "vocab_size": shape.vocabulary_size,
        "max_position_embeddings": shape.max_positions,
        "pad_token_id": shape.pad_token_id,
        "dtype": "float32",
        "tfchain": shape.to_dict(),
        **family.write(shape),
    }


def _pooling_values(config: EncoderConfig) -> dict[str, Any]:
    modes = config.pooling.modes
    values: dict[str, Any] = {
        "word_embedding_dimension": config.transformer.hidden_dim,
        "include_prompt": config.pooling.include_prompt,
    }
    canonical = tuple(mode for mode in OLD_POOLING_KEYS.values() if mode in modes)
    if canonical == modes:  # keys that sentence-transformers reads since 2.0
        return {**values, **{key: mode in modes for key, mode in OLD_POOLING_KEYS.items()}}
    return {**values, "pooling_mode": list(modes)}


def dense_values(dense: DenseConfig) -> dict[str, Any]:
    """Returns the content of a Dense module's config.json; a rate of dropout is tfchain's own key."""
    places = {"tanh": "activation.Tanh", "linear": "linear.Identity", "relu": "activation.ReLU",
              "gelu": "activation.GELU", "sigmoid": "activation.Sigmoid"}  # fmt: skip
    return {
        "in_features": dense.in_dim,
        "out_features": dense.out_dim,
        "bias": dense.use_bias,
        "activation_function": f"torch.nn.modules.{places[dense.activation]}",
        **({"dropout": dense.dropout} if dense.dropout else {}),
    }


def write(path: Path, values: Any) -> None:
    """Writes a JSON file into a folder that is not published yet."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
