"""The step that cuts documents into passages which are documents themselves, for preparation and Beam."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document, Passage
from tfchain.data.documents.pages import find_page
from tfchain.data.documents.passages import SplitMethod, split_all
from tfchain.data.documents.text_units import CountTokens
from tfchain.data.documents.word_tokens import MOST_WORDS, WordTokens
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class SplitPassages(Step):
    """Cuts each document into passages that fit a model, each a document of its own.

    A passage of document `guide` has the id `guide#0`, `guide#1`, …, its part of the text, and the document's title
    with the path of headings (`Guide > Install > Linux`), where there is one. Its metadata is the document's, and

    - `document`: the document's id,
    - `start`, `end`: offsets in the document's text, to highlight a hit there,
    - `headings`: the path of headings, where there is one,
    - `page`: the number of the page that it begins on, from 1, where the document's metadata has `page_starts`.

    A document that fits is one passage. A chain needs no such step: it splits by itself, and finds
    the document rather than the passage.

    Args:
        max_tokens: The maximum number of tokens in a passage, with its title, without special tokens. Default: 254.
        overlap_tokens: The maximum number of tokens that neighbours share. Default: a tenth of `max_tokens`.
        method: `tokens`, `sentences` or `structure`; see `split_all`. Default: `structure`.
        tokenizer: A `tokenizer.json`, or a model's folder that has one, which counts the tokens. Default: none.
        count_tokens: Counts the tokens of each string in the tokenizer's place, such as
            `chain.text_encoder.tokenizer.count_tokens`. Default: the tokenizer.

    Raises:
        InputError: if a value is out of range, or, when it runs, nothing counts tokens.
    """

    name: ClassVar[str] = "split_passages"
    needs: ClassVar[tuple[str, ...]] = ("count_tokens",)

    max_tokens: int = 254
    overlap_tokens: int | None = None
    method: SplitMethod = "structure"
    tokenizer: str = ""
    count_tokens: CountTokens | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole_number("max_tokens", self.max_tokens, advice="Use the model's maximum length less its marks.")
        if self.overlap_tokens is not None:
            check_whole_number("overlap_tokens", self.overlap_tokens, least=0)
        if self.method not in get_args(SplitMethod):
            raise InputError(
                f"`method` must be one of {', '.join(map(repr, get_args(SplitMethod)))}. "
                f"Received: method={self.method!r}."
            )

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {
            "max_tokens": self.max_tokens,
            "overlap_tokens": self.overlap_tokens,
            "method": self.method,
            "tokenizer": str(self.tokenizer),
        }

    def missing(self) -> list[str]:
        """Returns what is missing: nothing, if there is a tokenizer."""
        return [] if self.tokenizer else super().missing()

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Cuts a block of documents.

        Raises:
            InputError: if a record is a row, not a document.
        """
        for record in records:
            if not isinstance(record, Document):
                raise InputError(
                    f"split_passages needs documents. Received: a row with the columns {', '.join(record)[:80]}. "
                    "Leave the step out for training rows, or give documents `id` and `text`."
                )
        documents = cast(Sequence[Document], records)
        overlap = self.max_tokens // 10 if self.overlap_tokens is None else self.overlap_tokens
        count_tokens = self.counter()
        cuts = split_all(
            documents,
            count_tokens=count_tokens,
            max_tokens=self.max_tokens,
            overlap_tokens=overlap,
            method=self.method,
            counted=None if self.count_tokens is not None else counted_words(str(self.tokenizer)),
            adds_up=isinstance(getattr(count_tokens, "__self__", None), WordTokens),
        )
        made: list[Record] = []
        for document, passages in zip(documents, cuts, strict=True):
            parts = [make_document(document, passage, number) for number, passage in enumerate(passages)]
            if len(parts) > 1:
                for part in parts:
                    log.add(part, "passage")
            made += parts
        return made

    def counter(self) -> CountTokens:
        """Returns what counts tokens."""
        if self.count_tokens is not None:
            return self.count_tokens
        if not self.tokenizer:
            raise InputError(
                "split_passages needs something that counts tokens. Received: neither `tokenizer` nor `count_tokens`. "
                "Name a model's folder, as in SplitPassages(tokenizer='models/minilm')."
            )
        return load_counter(str(self.tokenizer))


@lru_cache(maxsize=4)
def counts_of(path: str) -> dict[str, int]:
    """Returns the numbers of tokens of words that this process has counted with a tokenizer, to be added to."""
    return {}


def counted_words(path: str) -> dict[str, int]:
    """Returns `counts_of` a tokenizer, emptied when there are many."""
    counted = counts_of(path)
    if len(counted) > MOST_WORDS:
        counted.clear()
    return counted


@lru_cache(maxsize=4)
def load_counter(path: str) -> CountTokens:
    """Returns a function that counts tokens with a `tokenizer.json`.

    Raises:
        InputError: if there is none.
    """
    from tokenizers import Tokenizer

    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError(f"`tokenizer` must be a tokenizer.json or a folder with one. Received: {path!r}.")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    words = WordTokens.make(tokenizer)
    if words is not None:
        return words.count

    def count(texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    return cast(Callable[[Sequence[str]], Sequence[int]], count)


def make_document(document: Document, passage: Passage, number: int) -> Document:
    """Makes a document of a passage."""
    metadata = {name: value for name, value in document.metadata.items() if name != "page_starts"}
    metadata |= {"document": document.id, "start": passage.start, "end": passage.end}
    if passage.headings:
        metadata["headings"] = list(passage.headings)
    page = find_page(document, passage.start)
    if page is not None:
        metadata["page"] = page
    body = document.text[passage.start : passage.end]
    head = passage.text[: len(passage.text) - len(body.strip())].strip()
    return Document(f"{document.id}#{number}", body, head, metadata)
