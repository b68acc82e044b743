"""Makes the tokenizer of a static encoder from another encoder's: fewer special parts, and more words if wanted."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.static import StaticTokenizer
from tfchain.models.tokenizers.stored import TOKENIZER

UNUSED = re.compile(r"\[unused\d+\]")  # BERT's places for words that were never learned


def make_static_tokenizer(
    tokenizer: HostTokenizer, words: Sequence[str] = ()
) -> tuple[StaticTokenizer, list[int | str]]:
    """Makes the tokenizer of a static encoder.

    It gives a text's tokens without special tokens around them. Of a WordPiece vocabulary, BERT's unused places are
    left out, and words can be added: each then is one token, with a vector of its own.

    Args:
        tokenizer: The other encoder's.
        words: Words to add; those that the tokenizer splits at spaces or punctuation, or has already, are skipped.
            Default: none.

    Returns:
        The tokenizer, and for each of its ids the other tokenizer's id, or the added word.

    Raises:
        InputError: if the tokenizer is not one of the package `tokenizers`, or has no words to which others could be
            added.
    """
    backend = tokenizer.whole
    if backend is None:
        raise InputError(
            "A static encoder needs a tokenizer of the package `tokenizers`. "
            f"Received: a {type(tokenizer.source).__name__}, which is in Python."
        )
    values: dict[str, Any] = json.loads(backend.to_str())
    origin: list[int | str]
    if values["model"]["type"] == "WordPiece":
        origin = _change_vocabulary(values, backend, check_texts(words))
    elif words:
        raise InputError(
            "Words can be added to a WordPiece vocabulary only. "
            f"Received: a {values['model']['type']} tokenizer, and {len(words)} words. Leave `vocabulary` out."
        )
    else:
        origin = list(range(backend.get_vocab_size()))
    with tempfile.TemporaryDirectory(prefix="tfchain-tokenizer-") as folder:
        (Path(folder) / TOKENIZER).write_text(json.dumps(values), encoding="utf-8")
        return StaticTokenizer(Path(folder)), origin


def _change_vocabulary(values: dict[str, Any], backend: Any, words: Sequence[str]) -> list[int | str]:
    """Changes the vocabulary of a WordPiece tokenizer's values; returns where each id comes from."""
    before = {token: number for token, number in backend.get_vocab().items() if not UNUSED.fullmatch(token)}
    tokens: dict[str, int | str] = dict(sorted(before.items(), key=lambda item: item[1]))
    for word in words:
        pieces = backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(word))
        if len(pieces) == 1:
            tokens.setdefault(pieces[0][0], word)
    numbers = {token: number for number, token in enumerate(tokens)}
    added = [token for token in values["added_tokens"] if not UNUSED.fullmatch(token["content"])]
    values["added_tokens"] = [{**token, "id": numbers[token["content"]]} for token in added]
    values["model"]["vocab"] = numbers
    values["post_processor"] = None  # its ids are no longer right, and a static encoder needs none
    return list(tokens.values())
