"""The answer to a question, as a chain and a client return it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, cut out of a document.

    Args:
        text: The answer; empty if there is none.
        score: Its probability among all starts and ends in the passages that were read, from 0 to 1.
        id: The document's id; empty if there is none, or if a text was read that is no document's.
        start: Where the answer starts in the document's text, in characters; -1 if there is no answer.
        end: Where it ends; -1 if there is no answer.
        passage: The passage of the document that it was found in.
        others: The next best answers, which do not overlap this one or each other. Default: none were asked for.
    """

    text: str
    score: float
    id: str = ""
    start: int = -1
    end: int = -1
    passage: str = ""
    others: tuple["Answer", ...] = ()

    def __bool__(self) -> bool:
        """Returns whether there is an answer."""
        return bool(self.text)

    def __str__(self) -> str:
        return self.text
