"""A tokenizer's file as what `token_batches` takes on the host."""

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.texts import replace_surrogates
from tfchain.data.documents.word_tokens import WordTokens


def load_tokenize(path: Path | str, *, max_length: int) -> Callable[[Sequence[str]], Sequence[Sequence[int]]]:
    """Loads a tokenizer for texts in great number.

    A BERT tokenizer runs once for each distinct word: on one core, about four times as fast as the tokenizer itself, in
    languages with spaces between words. Others run as they are, on all cores.

    Args:
        path: A `tokenizer.json`, or a model's folder that has one.
        max_length: The maximum number of tokens in a text, special tokens included; longer texts lose their end.

    Returns:
        A function from texts to their token ids, special tokens included: an `array` of 32-bit integers for each text
        with a BERT tokenizer, a list with another one.

    Raises:
        InputError: if there is no such file, or `max_length` leaves no room.
    """
    from tokenizers import Tokenizer

    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"`path` must be a tokenizer.json or a folder with one. Received: {path}.", argument="path")
    whole = Tokenizer.from_file(str(file))
    whole.no_truncation()
    whole.no_padding()
    num_special = whole.num_special_tokens_to_add(False)
    check_whole_number("max_length", max_length, least=num_special + 1)
    words = WordTokens.make(whole)
    around = None if words is None else find_special_ids(whole)
    if words is not None and around is not None:
        before, after = (array("i", ids) for ids in around)
        room = max_length - num_special

        def tokenize_words(texts: Sequence[str]) -> "list[array[int]]":
            return [before + ids[:room] + after for ids in words(texts)]

        return tokenize_words
    whole.enable_truncation(max_length)

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in whole.encode_batch_fast([replace_surrogates(text) for text in texts])]

    return tokenize


def find_special_ids(whole: Any) -> tuple[list[int], list[int]] | None:
    """Returns the ids before and after a text's own; `None` if they are not around it."""
    plain = whole.encode("a b c", add_special_tokens=False).ids
    full = whole.encode("a b c").ids
    starts = [start for start in range(len(full)) if full[start : start + len(plain)] == plain]
    if not plain or len(starts) != 1:
        return None
    return full[: starts[0]], full[starts[0] + len(plain) :]
