"""Rerankers that score by the probability of a token: a decoder and sentence-transformers' LogitScore."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.weights.chat_template import read_chat_prompt
from tfchain.models.weights.folder import ModelFolder, find_place, to_transformer_config
from tfchain.models.weights.json_file import read_json

LOGITS = "causal_logits"
# Arguments of the tokenizer that change no score, and of the chat template that change how a prompt is truncated.
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "padding": (True, "longest"), "truncation": (True, "longest_first"), "padding_side": ("left",),
    "return_tensors": ("pt",), "logits_to_keep": (1,),
}  # fmt: skip
TRUNCATION = ("max_length", "truncation", "restore_suffix", "chat_template", "continue_final_message")


def read_logit_scorer(
    path: Path, modules: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], max_length: int | None
) -> ModelFolder:
    """Reads a CrossEncoder's folder of a decoder and LogitScore, as Qwen3-Reranker is.

    The score is the logit of a token ("yes") minus that of another ("no") after a prompt with both texts: a Dense layer
    of one output on the last token's vector, whose kernel is the difference of two rows of the output embedding.

    Args:
        path: The folder.
        modules: The content of modules.json.
        settings: The content of config_sentence_transformers.json.
        max_length: The maximum that the folder sets.

    Raises:
        ModelFolderError: if a part of it is missing, or one that tfchain does not support.
    """
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if kinds != ["Transformer", "LogitScore"]:
        raise ModelFolderError(
            f"modules.json of {path} must list a Transformer and a LogitScore. Received: {', '.join(kinds)}. Use "
            "another model."
        )
    place = find_place(path, str(modules[0].get("path", "")))
    options = read_json(place / "sentence_bert_config.json", needed=False)
    message = (options.get("modality_config") or {}).get("message")
    if message is None:
        raise ModelFolderError(
            f"{place / 'sentence_bert_config.json'} must have `message` in modality_config: of rerankers by a token's "
            "probability tfchain reads those whose chat template takes the pairs. Use another model."
        )
    calls = options.get("processing_kwargs") or {}
    unknown = [name for name in TRUNCATION if name in (calls.get("chat_template") or {})]
    call = {**(calls.get("text") or {}), **(calls.get("common") or {})}
    max_length = call.pop("max_length", None) or max_length
    unknown += [f"{name}={value!r}" for name, value in call.items() if value not in HARMLESS.get(name, (value,))]
    unknown += sorted(set(call) - set(HARMLESS))
    unknown += [f"format={message['format']!r}"] if message.get("format", "flat") not in ("flat", "auto") else []
    if unknown:
        raise ModelFolderError(
            f"{place / 'sentence_bert_config.json'} has settings of the prompt that tfchain does not support: "
            f"{', '.join(unknown)}. Use another model."
        )
    transformer = to_transformer_config(read_json(place / "config.json"), place)
    tokens = _read_tokens(find_place(path, str(modules[1].get("path", ""))), transformer.vocabulary_size)
    name = settings.get("default_prompt_name")
    instruction = None if name is None else (settings.get("prompts") or {}).get(name)
    prompt = read_chat_prompt(place, instruction or None)  # an empty one is none, as in sentence-transformers
    transformer = dataclasses.replace(
        transformer, pairs="prompted", pair_prompt=(prompt.before, prompt.between, prompt.after)
    )
    encoder = EncoderConfig(
        transformer=transformer,
        pooling=PoolingConfig(modes=("lasttoken",)),
        head=DenseConfig(in_dim=transformer.hidden_dim, out_dim=1, use_bias=False, activation="linear"),
    )
    max_length = None if max_length is None else min(max_length, transformer.max_length)
    return ModelFolder(encoder=encoder, transformer_path=place, max_length=max_length, score_tokens=tokens)


def _read_tokens(place: Path, vocabulary_size: int) -> tuple[int, ...]:
    """Returns the ids of the token that the score is the logit of, and of that which is taken off, if there is one."""
    values = read_json(place / "config.json")
    if values.get("module_input_name", LOGITS) != LOGITS:
        raise ModelFolderError(
            f"{place / 'config.json'} must have module_input_name={LOGITS!r}. "
            f"Received: {values['module_input_name']!r:.50}. Use another model."
        )
    named = [values.get(name) for name in ("true_token_id", "false_token_id")]
    tokens = named[:1] if named[1] is None else named
    if not all(type(token) is int and 0 <= token < vocabulary_size for token in tokens):
        raise ModelFolderError(
            f"{place / 'config.json'} must name tokens of the vocabulary, true_token_id and false_token_id. "
            f"Received: {named}. Get the folder again."
        )
    return tuple(tokens)
