"""The values that pass between rooms: documents, passages, hits, search results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfchain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """What a user adds to a chain.

    Args:
        id: The document's name, unique in an index. Not empty.
        text: The body. May be empty only where there is a title.
        title: What stands above the body; encoded before it, with a space between. Default `""`.
        metadata: Anything JSON can hold; returned with each hit, never encoded. Default `{}`.

    Raises:
        InputError: if `id`, `text` or `title` is not a string of valid Unicode, or if there is nothing to encode.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "text", "title"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise InputError(
                    f"A document's `{name}` must be a string. "
                    f"Received: {name}={value!r} of type {type(value).__name__}"
                    + (f" (document {self.id!r})" if name != "id" else "")
                    + ". Convert it to text, or leave the document out."
                )
            check_unicode(name, value)
        if not self.id:
            raise InputError("A document's `id` must not be empty. Received: id=''. Give it a name.")
        if not self.text.strip() and not self.title.strip():
            raise InputError(
                f"A document must have a text or a title. Received: document {self.id!r} with neither. "
                "Leave it out, or give it a text."
            )

    @property
    def full_text(self) -> str:
        """What is encoded: title, a space, text (the text alone where there is no title)."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


def check_unicode(name: str, value: str) -> None:
    """Raises where half a surrogate pair is in a string: no tokenizer and no file takes it.

    Broken JSON (`"\\ud83d"` without its other half) and file names of another encoding bring such strings.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"A document's `{name}` must be valid Unicode. Received: a lone surrogate {value[error.start]!r} "
            f"at character {error.start} of {value[:40]!r}. Mend it with `text.encode('utf-8', 'replace').decode()`."
        ) from None


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that is encoded as one vector.

    Args:
        document_id: The document it was cut from.
        text: What is encoded: the document's title, a space, and `document.text[start:end]`.
        start: Offset of the first character in the document's `text`.
        end: Offset behind the last one.
    """

    document_id: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that a search found.

    Args:
        id: The document's id.
        score: Cosine or dot product of the query's vector and the document's best passage.
        text: The document's text.
        title: Its title, `""` where it has none.
        metadata: What the user gave with it.
    """

    id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


class SearchResult(dict[str, str]):
    """What `search` returns for one text: a dict of exactly `text` and `answer`, with the hits beside it.

    Args:
        text: The text that was asked.
        answer: The text of the best hit; the text asked where no documents were added.
        hits: The documents found, best first.
    """

    hits: tuple[Hit, ...]

    def __init__(self, text: str, answer: str, hits: Sequence[Hit] = ()) -> None:
        super().__init__(text=text, answer=answer)
        self.hits = tuple(hits)
