"""What is checked: the sets as columns of numbers, and the pool that holds each distinct text once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tfchain.data.checks.answers import AnswerFault
from tfchain.data.pairs.reading import text_key

ROLES = ("queries", "documents", "texts")


class TextPool:
    """Holds texts, each once: those that differ only in case, or in white space at the ends, are the same text.

    Memory grows with the number and length of distinct texts, which it holds whole. Texts are compared by a hash of 63
    bits.

    Attributes:
        texts: The distinct texts, as first seen.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[int, int] = {}

    def add(self, text: str) -> int:
        """Returns the text's number, which equal texts share."""
        number = self._numbers.setdefault(text_key(text.casefold()), len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number

    def __len__(self) -> int:
        return len(self.texts)


@dataclass
class Texts:
    """The texts of one role in a set.

    Attributes:
        ids: The id of each, or its place, such as `train.csv:17`.
        numbers: The number of each in the pool.
    """

    ids: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def add(self, id: str, number: int) -> int:
        """Adds a text, and returns its position."""
        self.ids.append(id)
        self.numbers.append(number)
        return len(self.ids) - 1

    def __len__(self) -> int:
        return len(self.ids)


class Judgment(NamedTuple):
    """Whether a document answers a query.

    Args:
        query: The query's number in the pool.
        document: The document's number in the pool.
        relevant: Whether it does.
        mined: Whether it is a negative that a row brings, and not a judgment of its own.
        id: The place or the id of the row or judgment.
    """

    query: int
    document: int
    relevant: bool
    mined: bool
    id: str


@dataclass
class CheckedSet:
    """One of the sets that are checked, without its texts.

    Attributes:
        name: `train`, `corpus` or `evaluation`.
        texts: The texts of each role: `queries`, `documents` (of the corpus, or of rows and judgments), and `texts`
            that are neither, with labels or without.
        labels: The label of each of `texts`; `None` where there is none.
        judgments: Which documents answer which queries.
        num_rows: The rows, judgments or documents read.
        repeated_rows: The place of a row that repeats an earlier one, and that one's place.
        missing: The ids of judged documents that the corpus lacks.
        num_judged: How many documents are judged by id.
        answers: The answers that do not stand where they should.
        num_answers: How many answers there are.
    """

    name: str
    texts: dict[str, Texts] = field(default_factory=lambda: {role: Texts() for role in ROLES})
    labels: list[str | None] = field(default_factory=list)
    judgments: list[Judgment] = field(default_factory=list)
    num_rows: int = 0
    repeated_rows: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    num_judged: int = 0
    answers: list[AnswerFault] = field(default_factory=list)
    num_answers: int = 0

    @property
    def queries(self) -> Texts:
        """The queries."""
        return self.texts["queries"]

    @property
    def documents(self) -> Texts:
        """The documents."""
        return self.texts["documents"]

    def ids_of(self, role: str) -> dict[int, str]:
        """Returns the id of the first text of each number in the pool."""
        texts = self.texts[role]
        return dict(zip(reversed(texts.numbers), reversed(texts.ids), strict=True))

    def relevant(self) -> dict[int, set[int]]:
        """Returns the relevant documents of each query, as numbers in the pool."""
        found: dict[int, set[int]] = {}
        for judgment in self.judgments:
            if judgment.relevant:
                found.setdefault(judgment.query, set()).add(judgment.document)
        return found


@dataclass
class Material:
    """The sets to check, and the pool of their texts."""

    pool: TextPool = field(default_factory=TextPool)
    sets: dict[str, CheckedSet] = field(default_factory=dict)

    def get(self, name: str) -> CheckedSet | None:
        """Returns a set; `None` if it was not given."""
        return self.sets.get(name)

    def text(self, number: int) -> str:
        """Returns a text of the pool."""
        return self.pool.texts[number]

    def columns(self) -> Iterator[tuple[CheckedSet, str, Texts]]:
        """Yields each set's roles that have texts; documents that are the corpus's own only with the corpus."""
        for checked in self.sets.values():
            for role, texts in checked.texts.items():
                of_corpus = role == "documents" and checked.num_judged > 0
                if len(texts) and not of_corpus:
                    yield checked, role, texts


def spread(number_of_items: int, wanted: int) -> Iterable[int]:
    """Returns the positions of an evenly spaced sample of at most `wanted` items."""
    if number_of_items <= wanted:
        return range(number_of_items)
    return (position * number_of_items // wanted for position in range(wanted))
