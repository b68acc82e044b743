"""What recipes learn from: plain texts, or texts with their translations."""

import dataclasses
from collections.abc import Sequence

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts
from tfchain.data.pairs.reading import Pairs, read_pairs

LearningTexts = Sequence[str] | Sequence[Sequence[str]] | Pairs


def read_learning_texts(texts: LearningTexts) -> Pairs:
    """Texts as rows without roles, so that no prompt is put before them.

    Args:
        texts: Texts; or rows of a text and its translations, as many in each row; or `Pairs`, such as `read_pairs`
            gives of a file.

    Returns:
        One column, or one more than there are translations. The labels and judgments of `Pairs` are left out.

    Raises:
        InputError: if something is no text, or rows differ in their number of texts.
    """
    if isinstance(texts, Pairs):
        return dataclasses.replace(texts, labels=None, relevant=None, symmetric=True)
    if isinstance(texts, str):
        raise InputError(f"`texts` must be a list of texts. Received: {texts!r:.100}. Write [text].")
    rows = list(texts)
    if rows and isinstance(rows[0], list | tuple):
        return dataclasses.replace(read_pairs(rows), symmetric=True)
    return Pairs((check_texts(rows),), symmetric=True)  # which the check finds out


def to_plain_texts(texts: LearningTexts | None) -> list[str] | None:
    """All texts in one list, translations behind the texts that they are of; None where there are none."""
    if texts is None:
        return None
    return [text for column in read_learning_texts(texts).columns for text in column]
