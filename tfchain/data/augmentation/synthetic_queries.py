"""Synthetic queries without a model: titles, headings, questions, sentences and key phrases that ask for their text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal, cast, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.augmentation.claims import to_claim
from tfchain.data.augmentation.key_phrases import find_key_phrases, rank_sentences
from tfchain.data.documents.sentences import find_sentences
from tfchain.data.documents.structure import find_sections, walk_sections
from tfchain.data.lexical.terms import WordStatistics
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import RecordStep, random_of
from tfchain.data.steps.step_log import StepLog

QueryKind = Literal["title", "heading", "question", "sentence", "phrases"]


@dataclass(frozen=True)
class SynthesizeQueries(RecordStep):
    """Makes training rows of documents without any model: queries that a document's own words suggest.

    Use it where there are documents and no queries, before `chain.fit`. The rows have the columns `query` and
    `positive`, an `id`, the `kind`, and the document's id in `source`. Kinds:

    - `title`: the title asks for the text.
    - `heading`: a heading of Markdown or HTML, with the title, asks for its section.
    - `question`: a question in the text asks for the rest of it.
    - `sentence`: a telling sentence asks for the text without it (the inverse cloze task of Lee et al. 2019,
      arXiv 1906.00300, with sentences chosen by their words rather than at random). Labels, connectives and reports
      ("These results suggest that …") are taken off its beginning.
    - `phrases`: three key phrases, as people type into a search box, ask for the text.

    Args:
        kinds: Which queries to make. Default: all.
        sentences: The most sentences of a document. Default: 2.
        keep: The share of sentences and questions that stay in their text, so that the model also learns to match
            words. Default: 0.1, as in the paper.
        statistics: A file that `WordStatistics.save` wrote, by which sentences and phrases are chosen. Default: words
            count alike, stop words not at all.
        seed: The seed of what is kept. Default: 0.
        words: The statistics themselves, in place of the file. Default: the file's.

    Raises:
        InputError: if a kind is unknown or a number is out of range.
    """

    name: ClassVar[str] = "synthesize_queries"

    kinds: tuple[QueryKind, ...] = get_args(QueryKind)
    sentences: int = 2
    keep: float = 0.1
    statistics: str = ""
    seed: int = 0
    words: WordStatistics | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in get_args(QueryKind)]
        if unknown or isinstance(cast(Any, self.kinds), str) or not self.kinds:
            raise InputError(
                f"`kinds` must be some of {', '.join(get_args(QueryKind))}. Received: kinds={self.kinds!r}."
            )
        check_whole_number("sentences", self.sentences)
        if not 0 <= self.keep <= 1:
            raise InputError(f"`keep` must be in [0, 1]. Received: keep={self.keep!r}.")

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {
            "kinds": list(self.kinds),
            "sentences": self.sentences,
            "keep": self.keep,
            "statistics": str(self.statistics),
            "seed": self.seed,
        }

    def expand(self, record: Record, log: StepLog) -> Iterator[Record]:
        """Yields the rows of a document.

        Raises:
            InputError: if the record is a row.
        """
        if not isinstance(record, Document):
            raise InputError(f"{self.name} needs documents. Received: a row with the columns {', '.join(record)[:80]}.")
        made = 0
        for kind in self.kinds:
            for number, (query, positive) in enumerate(self.make(kind, record)):
                if not query.strip() or not positive.strip():
                    continue
                row = {
                    "id": f"{record.id}/{kind}{number}",
                    "query": query.strip(),
                    "positive": positive.strip(),
                    "kind": kind,
                    "source": record.id,
                }
                log.add(row, kind)
                made += 1
                yield row
        if not made:
            log.drop(record, "no query found")

    def make(self, kind: QueryKind, document: Document) -> Iterable[tuple[str, str]]:
        """Yields the queries of a kind, each with the text that it asks for."""
        if kind == "title":
            return [(document.title, document.text)]
        if kind == "heading":
            return self.make_headings(document)
        if kind == "phrases":
            phrases = find_key_phrases(document.full_text, 3, self.load_words())
            return [(" ".join(phrases), document.full_text)] if len(phrases) == 3 else []
        if kind == "question":
            text = document.text
            spans = [span for span in find_sentences(text) if text[span[1] - 1] in "?？"]
        else:
            spans = rank_sentences(document.text, self.load_words())
            spans = [span for span in spans if document.text[span[1] - 1] not in "?？"]
        return self.make_sentences(document, spans[: self.sentences], kind)

    def make_headings(self, document: Document) -> Iterator[tuple[str, str]]:
        """Yields each heading with the text of its section."""
        for section in walk_sections(find_sections(document.text)):
            text = document.text[section.content : section.end]
            if section.path and text.strip():
                path = section.path if section.path[0] == document.title else (document.title, *section.path)
                yield " ".join(part for part in path if part), text

    def make_sentences(
        self, document: Document, spans: list[tuple[int, int]], kind: QueryKind
    ) -> Iterator[tuple[str, str]]:
        """Yields sentences with the document's text, most of them taken out of it."""
        random = random_of(self.seed, f"{self.name}/{kind}", document)
        for start, end in spans:
            sentence = document.text[start:end]
            kept = random.random() < self.keep
            rest = document.text if kept else f"{document.text[:start].rstrip()} {document.text[end:].lstrip()}"
            if rest.strip():
                positive = f"{document.title} {rest}"
                yield (to_claim(sentence) if kind == "sentence" else sentence), positive

    def load_words(self) -> WordStatistics | None:
        """Returns the statistics, read once; None if there are none."""
        if self.words is not None or not self.statistics:
            return self.words
        return load_statistics(str(self.statistics))


@lru_cache(maxsize=4)
def load_statistics(path: str) -> WordStatistics:
    """Reads a file of statistics."""
    return WordStatistics.load(path)
