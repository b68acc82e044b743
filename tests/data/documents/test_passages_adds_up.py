"""Splitting by the sum over words: the same passages as if each had been counted."""

import random
from pathlib import Path

import pytest

from tfchain.core.types import Document
from tfchain.data.documents.passages import SplitMethod, split_all
from tfchain.data.documents.split_passages import load_counter

SPACES = (" ", " ", "  ", "\n", "\t", "\r\n", ". ", "")
WORDS = (
    *("the", "Cat", "unbelievable", "supercalifragilistic" * 3, "3.14", "e-mail", "naïve", "[SEP]", "(so)"),
    *("你好。我们", "再见！」", "\u0301x", "a\x0bb", "\x85", "\u3000", "\u2028", "x" * 130, "-" * 60, "\U0001f600"),
)


@pytest.mark.parametrize("method", ["tokens", "sentences", "structure"])
def test_passages_are_those_of_counting_each(minilm_path: Path, method: SplitMethod) -> None:
    count = load_counter(str(minilm_path))
    draw = random.Random(7)
    documents = []
    for number in range(50):
        text, title = (
            "".join(draw.choice(WORDS) + draw.choice(SPACES) for _ in range(many))
            for many in (draw.randrange(300), draw.choice((0, 2, 40)))
        )
        documents.append(Document(str(number), text or "text", title))
    for max_tokens, overlap in ((30, 0), (40, 12), (8, 3)):
        found, expected = (
            split_all(
                documents,
                count_tokens=count,
                max_tokens=max_tokens,
                overlap_tokens=overlap,
                method=method,
                adds_up=adds_up,
            )
            for adds_up in (True, False)
        )
        assert found == expected
        assert sum(map(len, found)) > 2 * len(documents)
