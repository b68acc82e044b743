"""Hard negatives by words: passages that BM25 takes for the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.augmentation.query_filters import check_row
from tfchain.data.lexical.bm25 import Bm25
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step, random_of
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class AddWordNegatives(Step):
    """Adds hard negatives to rows of query and positive: passages with the query's words that are not its own.

    They cost no model, and teach what in-batch negatives do not: to tell apart texts of one subject. A row's own
    passage, and with `source` its own document, are left out; the best of the rest are skipped, since some of them
    answer the query. `fit(mining=Mining())` finds negatives by the model itself.

    Args:
        num_negatives: Negatives of a row, in the columns `negative_1`, …. Default: 1.
        skip: How many of the best passages are never taken. Default: 2.
        depth: How many passages after these the negatives are drawn from. Default: 28.
        seed: The seed of the draws. Default: 0.
        passages: The passages, by the id of their document. Required to run.

    Raises:
        InputError: if a number is out of range; when it runs, if there are fewer passages than it draws from.
    """

    name: ClassVar[str] = "add_word_negatives"

    num_negatives: int = 1
    skip: int = 2
    depth: int = 28
    seed: int = 0
    passages: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole_number("num_negatives", self.num_negatives)
        check_whole_number("skip", self.skip, least=0)
        check_whole_number("depth", self.depth, least=self.num_negatives)

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {name: getattr(self, name) for name in ("num_negatives", "skip", "depth", "seed")}

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Adds negatives to a block of rows."""
        needed = self.skip + self.num_negatives + 1
        if len(self.passages) < needed:
            raise InputError(
                f"add_word_negatives needs {needed} passages or more. Received: {len(self.passages)}. Hand them in: "
                "passages=tuple((document.id, document.full_text) for document in documents)."
            )
        return [self.add(record) for record in records]

    def add(self, record: Record) -> Record:
        """Returns a row with its negatives."""
        row = check_row(self.name, record)
        best, _ = self.ranking.search(row["query"], self.skip + self.depth + 1)
        own = row.get("source")
        others = [
            self.passages[number][1]
            for number in best.tolist()
            if self.passages[number][0] != own and self.passages[number][1] != row["positive"]
        ]
        drawn = random_of(self.seed, self.name, row).sample(others[self.skip :][: self.depth], self.num_negatives)
        return {**row, **{f"negative_{place}": text for place, text in enumerate(drawn, start=1)}}

    @cached_property
    def ranking(self) -> Bm25:
        """The ranking of the passages, made once."""
        return Bm25([text for _, text in self.passages])
