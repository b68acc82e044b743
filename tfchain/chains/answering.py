"""`AnswersTexts`: the one method that a chain needs for `tfchain predict`."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class AnswersTexts(Protocol):
    """A chain that answers texts given on the command line."""

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers texts.

        Args:
            texts: The texts, at least one.
            top_k: How much to tell: the labels of a text, the documents of a ranking. Default: the chain's.

        Returns:
            The answers as values that JSON can hold, with the same keys in each: an answer for each text, or whatever
            the task makes of all of them, such as a ranking.

        Raises:
            InputError: if a text cannot be answered.
        """
