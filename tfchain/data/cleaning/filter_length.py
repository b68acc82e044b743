"""The step that leaves out texts that are too short or too long."""

from dataclasses import dataclass
from typing import ClassVar

from tfchain.core.errors import InputError
from tfchain.data.cleaning.judged_texts import check_columns, judged_texts
from tfchain.data.cleaning.setting_checks import check_count, check_word
from tfchain.data.documents.words import cut_words
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import FilterStep

UNITS = ("characters", "words")


@dataclass(frozen=True)
class FilterLength(FilterStep):
    """Keeps records whose texts are neither too short nor too long.

    Args:
        least: The least length. Default: 1.
        most: The greatest length. Default: `None`, any.
        unit: `characters`, without white space at either end, or `words`, of which each character of a script without
            spaces, such as Chinese, is one. Default: `characters`.
        columns: Columns of rows to judge, such as `["positive"]`. Default: all texts.

    Raises:
        InputError: if a setting is out of range.
    """

    name: ClassVar[str] = "filter_length"
    least: int = 1
    most: int | None = None
    unit: str = "characters"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_count("least", self.least, optional=False)
        check_count("most", self.most)
        check_word("unit", self.unit, UNITS)
        check_columns(self.columns)
        if self.most is not None and self.most < self.least:
            raise InputError(
                f"`most` must not be less than `least`. Received: least={self.least}, most={self.most}.",
                argument="most",
            )

    def reason(self, record: Record) -> str | None:
        """Returns whether a text is too short or too long."""
        for text in judged_texts(record, self.columns):
            length = len(cut_words(text)) if self.unit == "words" else len(text.strip())
            if length < self.least:
                return "too short"
            if self.most is not None and length > self.most:
                return "too long"
        return None
