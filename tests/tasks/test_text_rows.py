"""Rows of texts and pairs of texts."""

from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.text_rows import TextRows, find_separator


def model(separator: str | None) -> Any:
    return SimpleNamespace(tokenizer=SimpleNamespace(tokenizer=SimpleNamespace(sep_token=separator)))


def test_the_separator_stands_alone_so_that_a_tokenizer_reads_it_as_one_token() -> None:
    assert find_separator(model("[SEP]")) == " [SEP] "
    with pytest.raises(InputError, match="Received: a tokenizer without `sep_token`. Set it, or join the texts"):
        find_separator(model(None))


def test_both_texts_of_a_pair_are_joined_in_their_order() -> None:
    pairs = TextRows(["a", "b"], [1, 2], ["c", "d"])
    assert (len(pairs), pairs.join("+")) == (2, ["a+c", "b+d"])
    assert TextRows(["a", "b"], [1, 2]).join("+") == ["a", "b"]
