"""The settings of a sentence-transformers Transformer module: lengths, lower-casing, and what goes to its tokenizer."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError

logger = logging.getLogger(__name__)

# The files in which sentence-transformers has kept a Transformer module's settings.
FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
# Settings that tfchain does not support. Missing or with these values, they change nothing.
PLAIN_SETTINGS: Mapping[str, Sequence[Any]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "query_expansion": (None,),
}
PLAIN_MODALITY = {"method": "forward", "method_output_name": "last_hidden_state"}
# What sentence-transformers hands on, by its new and its old name: to the tokenizer, the model and the configuration.
TOKENIZER_OPTIONS = ("processor_kwargs", "tokenizer_args")
MODEL_OPTIONS = ("model_kwargs", "model_args")
CONFIG_OPTIONS = ("config_kwargs", "config_args")
# Options that change no vector here: of loading, of padding, or of the type that PyTorch computes in.
HARMLESS = {
    "tokenizer": ("trust_remote_code", "use_fast", "clean_up_tokenization_spaces", "padding_side"),
    "model": (
        *("trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "add_pooling_layer", "device_map"),
        *("low_cpu_mem_usage", "use_safetensors", "use_cache"),
    ),
    "config": ("trust_remote_code", "use_cache"),
    "call": (
        *("padding", "pad_to_multiple_of", "padding_side", "return_tensors", "return_token_type_ids", "verbose"),
        *("return_length", "return_special_tokens_mask", "logits_to_keep"),
    ),
}
# Options of the tokenizer that transformers applies when it reads the folder's.
READ_BY_TOKENIZER = (
    *("truncation_side", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space"),
    *("add_bos_token", "add_eos_token"),
)
TRUNCATES = (True, "longest_first", "only_first")
DOES_NOT_TRUNCATE = (False, "do_not_truncate")


@dataclass(frozen=True, kw_only=True)
class TransformerSettings:
    """The settings of a Transformer module.

    Args:
        max_length: The maximum number of tokens in a text; None if the folder does not set it.
        query_length: That of a query; None for `max_length`.
        document_length: That of a document; None for `max_length`.
        do_lower_case: Whether texts are lower-cased before tokenizing.
        tokenizer_options: Arguments with which transformers reads the tokenizer, such as `truncation_side`.
    """

    max_length: int | None = None
    query_length: int | None = None
    document_length: int | None = None
    do_lower_case: bool = False
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)


def apply_config_options(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of config.json with what a Transformer module's settings change in it.

    Args:
        config: The content of config.json.
        values: The content of sentence_bert_config.json.
    """
    changes = _read_options(values, CONFIG_OPTIONS)
    return {**config, **{name: value for name, value in changes.items() if name not in HARMLESS["config"]}}


def to_transformer_settings(values: Mapping[str, Any], positions: int, path: Path) -> TransformerSettings:
    """Reads a Transformer module's settings.

    Args:
        values: The content of sentence_bert_config.json.
        positions: How many tokens the model has positions for.
        path: The module's folder, for error messages.

    Raises:
        ModelFolderError: if a setting changes the vectors in a way that tfchain does not support; the message names it.
    """
    for name, plain in PLAIN_SETTINGS.items():
        if values.get(name) not in plain:
            raise _make_error(path, f"{name}={values[name]!r}", f"no such setting, or {plain[-1]!r}")
    text = (values.get("modality_config") or {}).get("text", PLAIN_MODALITY)
    if text != PLAIN_MODALITY:
        raise _make_error(path, f"modality_config of text={text!r}", repr(PLAIN_MODALITY))
    for name, option in _read_options(values, MODEL_OPTIONS).items():
        if name not in HARMLESS["model"]:
            raise _make_error(path, f"{name}={option!r} for the model", "such settings in config.json")
    options = _read_options(values, TOKENIZER_OPTIONS)
    tokenizer_options = {name: option for name, option in options.items() if name in READ_BY_TOKENIZER}
    unknown = options.keys() - {*READ_BY_TOKENIZER, *HARMLESS["tokenizer"], "model_max_length"}
    if unknown:
        given = ", ".join(f"{name}={options[name]!r}" for name in sorted(unknown))
        raise _make_error(path, f"{given} for the tokenizer", "such settings in tokenizer_config.json")
    lengths = {
        "max_length": options.get("model_max_length", values.get("max_seq_length")),
        "query_length": values.get("query_length"),
        "document_length": values.get("document_length"),
        **_read_call(values.get("processing_kwargs") or {}, positions, path),
    }
    lengths = {name: _limit(name, length, positions, path) for name, length in lengths.items()}
    for name in ("query_length", "document_length"):
        if lengths[name] == (lengths["max_length"] or positions):
            lengths[name] = None
    lower = bool(values.get("do_lower_case", False))
    return TransformerSettings(do_lower_case=lower, tokenizer_options=tokenizer_options, **lengths)


def _read_options(values: Mapping[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    new, old = names
    return dict(values.get(old, values.get(new)) or {})


def _read_call(values: Mapping[str, Any], positions: int, path: Path) -> dict[str, int | None]:
    """Reads the arguments with which the tokenizer is called for texts: their maximum, if they set one."""
    call = {**(values.get("text") or {}), **(values.get("common") or {})}
    length, truncates = call.pop("max_length", None), call.pop("truncation", True)
    specials = call.pop("add_special_tokens", True)
    unknown = {name: value for name, value in call.items() if name not in HARMLESS["call"]}
    if specials is not True:
        unknown["add_special_tokens"] = specials
    if truncates not in (*TRUNCATES, *DOES_NOT_TRUNCATE):
        unknown["truncation"] = truncates
    if unknown:
        given = ", ".join(f"{name}={value!r}" for name, value in unknown.items())
        raise _make_error(path, f"processing_kwargs of texts with {given}", "`max_length`, `truncation` and padding")
    if truncates in DOES_NOT_TRUNCATE:
        length = positions
    return {} if length is None else {"max_length": length, "query_length": None, "document_length": None}


def _limit(name: str, length: Any, positions: int, path: Path) -> int | None:
    """Returns a maximum, at most the positions: old folders include RoBERTa's two unused positions."""
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise _make_error(path, f"{name}={length!r}", "a whole number of tokens of at least 1")
    if length is None or length <= positions:
        return length
    logger.warning(
        "%s sets a maximum of %s tokens%s; the model has positions for %d.",
        *(path, length, "" if name == "max_length" else f" ({name})", positions),
    )
    return positions


def _make_error(path: Path, received: str, expected: str) -> ModelFolderError:
    return ModelFolderError(
        f"The settings of the Transformer in {path} (sentence_bert_config.json) have {received}, which tfchain does "
        f"not support: its vectors would differ. Expected: {expected}. Use another model, or remove the setting if "
        "the model was trained without it."
    )
