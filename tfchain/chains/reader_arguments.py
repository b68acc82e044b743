"""Turns the arguments of a question answering chain into its reader and its retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfchain.chains.arguments import make_text_encoder
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.models.precision import EngineName
from tfchain.models.span_encoder import is_reader, load_span_encoder, make_span_encoder
from tfchain.models.text_encoder import TextEncoder


def make_reader(
    reader: Any, tokenizer: Any = None, *, max_length: int | None = None, engine: EngineName = "auto", seed: int = 0
) -> TextEncoder:
    """Makes a reader from what a user has.

    Args:
        reader: The folder or hub name of a `…ForQuestionAnswering` or of an encoder; a `TextEncoder`; or an encoder
            that `make_text_encoder` takes. None for the small English model that comes with tfchain.
        tokenizer: The tokenizer of an encoder without one. Default: the folder's.
        max_length: The most tokens of question and text. Default: 384, or as many as fit.
        engine: The engine that runs it. Default: `auto`.
        seed: The seed of a new head. Default: 0.

    Raises:
        InputError: if an argument is of the wrong type or out of range.
        ModelFolderError: if a folder cannot be read, or its architecture has no such head.
    """
    if tokenizer is not None and _has_tokenizer(reader):
        raise InputError(
            "`tokenizer` is for an encoder without one. Received: a tokenizer with a reader that has its own. Leave it "
            "out.",
            argument="tokenizer",
        )
    if isinstance(reader, TextEncoder):
        if not is_reader(reader):
            return make_span_encoder(reader, max_length=max_length, seed=seed)
        if max_length not in (None, reader.tokenizer.max_length):
            raise InputError(
                f"`max_length` is set when a reader is made. Received: max_length={max_length} for one of "
                f"{reader.tokenizer.max_length} tokens. Leave it out."
            )
        return reader
    if isinstance(reader, str | Path) and finds_answers(reader):
        return load_span_encoder(reader, engine=engine, max_length=max_length)
    encoder = make_text_encoder(tokenizer, reader, engine=engine)
    return make_span_encoder(encoder, max_length=max_length, seed=seed)


def _has_tokenizer(reader: Any) -> bool:
    return isinstance(reader, TextEncoder) or (isinstance(reader, str | Path) and finds_answers(reader))


def finds_answers(name_or_path: str | Path) -> bool:
    """Returns whether a folder, or one of the hub, holds a `…ForQuestionAnswering`."""
    from tfchain.models.weights.download import find_folder
    from tfchain.models.weights.json_file import read_json

    values: dict[str, Any] = read_json(find_folder(name_or_path) / "config.json", needed=False)
    return any(str(name).endswith("ForQuestionAnswering") for name in values.get("architectures") or ())


def make_retriever(retriever: Any, *, engine: EngineName = "auto") -> NeuralSearchChain:
    """Makes a retriever from what a user has.

    Args:
        retriever: A search chain, the folder of a saved one, or the folder or hub name of an encoder.
        engine: The engine that runs one that is read here. Default: `auto`.

    Raises:
        InputError: if it is something else, or has a reranker.
    """
    from tfchain.tasks.manifest import MANIFEST

    if isinstance(retriever, str | Path):
        is_saved = (Path(retriever).expanduser() / MANIFEST).is_file()
        made = NeuralSearchChain.load if is_saved else NeuralSearchChain.from_pretrained
        retriever = made(retriever, engine=engine)
    if not isinstance(retriever, NeuralSearchChain):
        raise InputError(
            "`retriever` must be a NeuralSearchChain, the folder of a saved one, or the folder or hub name of its "
            f"encoder. Received: {type(retriever).__name__}."
        )
    check_has_no_reranker(retriever)
    return retriever


def check_has_no_reranker(retriever: NeuralSearchChain) -> None:
    """Raises an `InputError` for a retriever with a reranker, which may have got it after the chain was made."""
    if retriever.second is not None:
        raise InputError(
            "`retriever` must have no reranker: the reader itself reads the passages that are found. Received: one "
            "with a reranker. Take it out with `use_reranker(None)`, and read more passages."
        )
