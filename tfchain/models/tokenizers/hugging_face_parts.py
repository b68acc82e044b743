"""Reads the parts of a Hugging Face tokenizer that all graph tokenizers share; refuses what no graph can do."""

import json
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError


def read_parts(tokenizer: Any) -> dict[str, Any]:
    """Reads a tokenizer as tokenizer.json describes it.

    Args:
        tokenizer: A transformers tokenizer that is based on the `tokenizers` package.

    Raises:
        InputError: if it is not based on that package.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "to_str"):
        raise make_part_error("type", "a tokenizer with a `backend_tokenizer`", type(tokenizer).__name__)
    parts: dict[str, Any] = json.loads(backend.to_str())
    return parts


def read_post_processor(processor: Mapping[str, Any] | None) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Returns the tokens before and after a single text, each with its id.

    Args:
        processor: tokenizer.json's `post_processor`.

    Raises:
        InputError: if it does something else than putting tokens around the text.
    """
    if processor is None:
        return [], []
    check_type(
        *("post-processor", processor, "TemplateProcessing", "BertProcessing", "RobertaProcessing"),
        *("ByteLevel", "Sequence"),
    )
    kind = processor["type"]
    if kind == "ByteLevel":  # it changes offsets, not ids
        return [], []
    if kind == "Sequence":
        inner = [read_post_processor(step) for step in processor["processors"]]
        around = [pairs for pairs in inner if any(pairs)]
        if len(around) > 1:
            raise make_part_error("post-processor", "one template", json.dumps(processor))
        return around[0] if around else ([], [])
    if kind != "TemplateProcessing":
        prefix, suffix = ([(str(token), int(token_id))] for token, token_id in (processor["cls"], processor["sep"]))
        return prefix, suffix
    groups: list[list[tuple[str, int]]] = [[]]
    for step in processor["single"]:
        if "Sequence" in step:
            groups.append([])
        else:
            token = processor["special_tokens"][step["SpecialToken"]["id"]]
            groups[-1].extend(zip(token["tokens"], token["ids"], strict=True))
    if len(groups) != 2:
        raise make_part_error("post-processor", "the text once", json.dumps(processor))
    return groups[0], groups[1]


def check_type(part: str, value: Mapping[str, Any] | None, *expected: str) -> Mapping[str, Any]:
    """Returns a part of a tokenizer; raises if it is not of an expected type."""
    received = None if value is None else value["type"]
    if value is None or received not in expected:
        raise make_part_error(part, " or ".join(expected), str(received))
    return value


def make_part_error(part: str, expected: str, received: str) -> InputError:
    """Makes the error for a part that a graph cannot express."""
    return InputError(
        f"The tokenizer's {part} cannot be put into a graph. Expected: {expected}. Received: {received}. "
        "Tokenize with the Hugging Face tokenizer on the host, and serve token ids."
    )
