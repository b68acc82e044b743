"""What recipes learn from: plain texts, or texts with their translations."""

import dataclasses
from collections.abc import Sequence

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.data.pairs.reading import Pairs, read_pairs

LearningTexts = Sequence[str] | Sequence[Sequence[str]] | Pairs


def read_learning_texts(texts: LearningTexts) -> Pairs:
    """Reads texts as rows without roles, so that no prompt is put before them.

    Args:
        texts: Texts; or rows of a text and its translations, with the same number of texts in each row; or `Pairs`,
            such as `read_pairs` returns for a file.

    Returns:
        One column for plain texts, else one for each text of a row. The labels and judgments of `Pairs` are left out.

    Raises:
        InputError: if an item is not a text, or rows differ in their number of texts.
    """
    if isinstance(texts, Pairs):
        return dataclasses.replace(texts, labels=None, relevant=None, symmetric=True)
    if isinstance(texts, str):
        raise InputError(f"`texts` must be a list of texts. Received: {texts!r:.100}. Write [text].")
    rows = list(texts)
    if rows and isinstance(rows[0], list | tuple):
        return dataclasses.replace(read_pairs(rows), symmetric=True)
    return Pairs((check_texts(rows),), symmetric=True)


def to_plain_texts(texts: LearningTexts | None) -> list[str] | None:
    """All texts in one list, the translations after the texts they belong to; None if there are no texts."""
    if texts is None:
        return None
    return [text for column in read_learning_texts(texts).columns for text in column]
