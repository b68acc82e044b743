"""The values that pass between rooms: documents, passages, hits, search results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfchain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """A document that a user adds to a chain.

    Args:
        id: The document's name, unique in an index. Not empty.
        text: The body.
        title: The title; encoded before the body, separated by a space. Default: `""`.
        metadata: Anything JSON can hold; returned with each hit, never encoded. Default: `{}`.

    Raises:
        InputError: if `id`, `text` or `title` is not a string of valid Unicode, or `id` is empty.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("id", self.id), ("text", self.text), ("title", self.title)):
            if not isinstance(value, str):
                raise InputError(
                    f"A document's `{name}` must be a string. "
                    f"Received: {name}={value!r} of type {type(value).__name__}"
                    + (f" (document {self.id!r})" if name != "id" else "")
                    + ". Convert it to text, or leave the document out."
                )
            if not value.isascii():
                check_unicode(name, value)
        if not self.id:
            raise InputError("A document's `id` must not be empty. Received: id=''. Give it a name.")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to encode: neither text nor title. Readers leave such documents out."""
        return not (self.text and not self.text.isspace()) and not self.title.strip()

    @property
    def full_text(self) -> str:
        """The text to encode: title, a space, text (only the text if there is no title)."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


def check_unicode(name: str, value: str) -> None:
    """Raises an InputError if a string contains half a surrogate pair, which tokenizers and files reject.

    Such strings come from broken JSON (`"\\ud83d"` without its other half) and from file names in another encoding.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"A document's `{name}` must be valid Unicode. Received: a lone surrogate {value[error.start]!r} "
            f"at character {error.start} of {value[:40]!r}. Fix it with `text.encode('utf-8', 'replace').decode()`."
        ) from None


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that is encoded as one vector.

    Args:
        document_id: The document it was cut from.
        text: The text to encode: the document's title, a space, and `document.text[start:end]`; with headings, title
            and headings joined by ` > `, a space, and `document.text[start:end]`.
        start: Offset of the first character in the document's `text`.
        end: Offset after the last character.
        headings: The path of the headings that it stands under, outermost first. Default: `()`.
    """

    document_id: str
    text: str
    start: int
    end: int
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that a search found.

    Args:
        id: The document's id.
        score: Cosine or dot product of the query's vector and the document's best passage.
        text: The document's text.
        title: The document's title; `""` if it has none.
        metadata: The metadata that the user gave with it.
    """

    id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


class SearchResult(dict[str, str]):
    """The result of `search` for one text: a dict of exactly `text` and `answer`, with the hits as an attribute.

    Args:
        text: The query's text.
        answer: The text of the best hit; the query's text if there are no hits.
        hits: The documents found, best first.
    """

    hits: tuple[Hit, ...]

    def __init__(self, text: str, answer: str, hits: Sequence[Hit] = ()) -> None:
        super().__init__(text=text, answer=answer)
        self.hits = tuple(hits)
