"""Training rows of documents by cutting: the inverse cloze task, and two spans of one text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.augmentation.word_noise import WORD
from tfchain.data.documents.sentences import find_sentences
from tfchain.data.lexical.terms import IS_UNSPACED
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import RecordStep, random_of
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class InverseCloze(RecordStep):
    """Makes rows of a random sentence and the text that it was taken out of (Lee et al. 2019, arXiv 1906.00300).

    `SynthesizeQueries` chooses telling sentences instead, which are closer to queries. The rows have the columns
    `query`, `positive`, `id`, `kind` and `source`.

    Args:
        sentences: The most sentences of a document. Default: 1.
        keep: The share of sentences that stay in the text, so that words are matched, too. Default: 0.1.
        least_words: Shorter sentences are left out; in scripts without spaces, two characters count as a word.
            Default: 5.
        seed: The seed of the choices. Default: 0.
    """

    name: ClassVar[str] = "inverse_cloze"

    sentences: int = 1
    keep: float = 0.1
    least_words: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_number("sentences", self.sentences)
        check_whole_number("least_words", self.least_words)
        if not 0 <= self.keep <= 1:
            raise InputError(f"`keep` must be in [0, 1]. Received: keep={self.keep!r}.")

    def expand(self, record: Record, log: StepLog) -> Iterator[Record]:
        """Yields the rows of a document."""
        document = check_document(self.name, record)
        text = document.text
        spans = [span for span in find_sentences(text) if count_words(text[span[0] : span[1]]) >= self.least_words]
        if len(find_sentences(text)) < 2 or not spans:
            log.drop(record, "too few sentences")
            return
        random = random_of(self.seed, self.name, record)
        for number, (start, end) in enumerate(random.sample(spans, min(self.sentences, len(spans)))):
            rest = text if random.random() < self.keep else f"{text[:start].rstrip()} {text[end:].lstrip()}"
            row = make_row(document, "cloze", number, text[start:end], f"{document.title} {rest}".strip())
            log.add(row, "cloze")
            yield row


@dataclass(frozen=True)
class CropSpans(RecordStep):
    """Makes rows of two random spans of one text (independent cropping of Contriever, Izacard et al. 2022).

    Use it to adapt a model to a corpus where even sentences are hard to find. The two may overlap. The rows have the
    columns `query`, `positive`, `id`, `kind` and `source`.

    Args:
        spans: The rows of a document. Default: 1.
        least: The shortest span, as a share of the text's words, above 0. Default: 0.1.
        most: The longest span, at least `least`. Default: 0.5.
        seed: The seed of the choices. Default: 0.
    """

    name: ClassVar[str] = "crop_spans"

    spans: int = 1
    least: float = 0.1
    most: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_number("spans", self.spans)
        if not 0 < self.least <= self.most <= 1:
            raise InputError(
                f"`least` and `most` must be in (0, 1], `least` first. Received: least={self.least}, most={self.most}."
            )

    def expand(self, record: Record, log: StepLog) -> Iterator[Record]:
        """Yields the rows of a document."""
        document = check_document(self.name, record)
        text = document.full_text
        words = list(WORD.finditer(text))
        if len(words) < 4:
            log.drop(record, "too short")
            return
        random = random_of(self.seed, self.name, record)

        def crop() -> str:
            length = max(2, round(len(words) * random.uniform(self.least, self.most)))
            first = random.randrange(len(words) - length + 1)
            return text[words[first].start() : words[first + length - 1].end()]

        for number in range(self.spans):
            row = make_row(document, "spans", number, crop(), crop())
            log.add(row, "spans")
            yield row


def check_document(step: str, record: Record) -> Document:
    """Returns a record that is a document.

    Raises:
        InputError: if it is a row.
    """
    if isinstance(record, Document):
        return record
    raise InputError(f"{step} needs documents. Received: a row with the columns {', '.join(record)[:80]}.")


def make_row(document: Document, kind: str, number: int, query: str, positive: str) -> dict[str, str]:
    """Makes a training row of a document; `source` is the document's id."""
    return {
        "id": f"{document.id}/{kind}{number}",
        "query": query,
        "positive": positive,
        "kind": kind,
        "source": document.id,
    }


def count_words(text: str) -> int:
    """Returns the number of words; in scripts without spaces, two characters count as one."""
    words = WORD.findall(text)
    unspaced = sum(1 for word in words if IS_UNSPACED.match(word))
    return len(words) - unspaced + unspaced // 2
