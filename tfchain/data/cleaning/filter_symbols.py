"""The step that leaves out texts of symbols and digits rather than words."""

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar

from tfchain.data.cleaning.judged_texts import check_columns, judged_texts
from tfchain.data.cleaning.setting_checks import check_count, check_share
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import FilterStep

SYMBOL = re.compile(r"[^\w\s]|_")
DIGIT = re.compile(r"\d")
SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class FilterSymbols(FilterStep):
    """Keeps records whose texts consist of words: neither mostly symbols and digits, nor long runs of one character.

    Filters like these stand in every published pipeline, such as that of ROOTS (Laurençon et al. 2022, section 3.2.2:
    the ratio of special characters); thresholds differ by corpus. These are set so that no paragraph of SQuAD, no
    article of CMRC and, of 5,000 abstracts of SciFact, only two tables of contents go.

    Args:
        max_symbols: The greatest share of characters, white space aside, that are neither letters, digits nor marks
            upon letters: punctuation counts. `None`: off. Default: 0.4.
        max_digits: The greatest share of digits. `None`: off. Default: 0.5.
        max_run: The longest run of the same character that is no letter, digit or space, lines such as `-----` aside.
            `None`: off. Default: 20.
        columns: Columns of rows to judge. Default: all texts.

    Raises:
        InputError: if a setting is out of range.
    """

    name: ClassVar[str] = "filter_symbols"
    max_symbols: float | None = 0.4
    max_digits: float | None = 0.5
    max_run: int | None = 20
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_share("max_symbols", self.max_symbols)
        check_share("max_digits", self.max_digits)
        check_count("max_run", self.max_run, least=1)
        check_columns(self.columns)

    def reason(self, record: Record) -> str | None:
        """Returns what a text has too much of."""
        for text in judged_texts(record, self.columns):
            length = len(text) - len(SPACE.findall(text))
            if not length:
                continue
            if self.max_symbols is not None and self.share_symbols(text, length) > self.max_symbols:
                return "too many symbols"
            if self.max_digits is not None and len(DIGIT.findall(text)) > self.max_digits * length:
                return "too many digits"
            if self.max_run is not None and has_run(text, self.max_run):
                return "one symbol repeated"
        return None

    def share_symbols(self, text: str, length: int) -> float:
        """Returns the share of symbols; vowel signs, which the pattern takes for symbols, count only if needed."""
        symbols = SYMBOL.findall(text)
        if self.max_symbols is not None and len(symbols) > self.max_symbols * length and not text.isascii():
            symbols = [symbol for symbol in symbols if not unicodedata.category(symbol).startswith("M")]
        return len(symbols) / length


def has_run(text: str, most: int) -> bool:
    """Returns whether a symbol stands more than `most` times in a row, other than as a whole line."""
    if not re.search(rf"([^\w\s])\1{{{most}}}", text):
        return False
    lines = (line.strip() for line in text.split("\n"))
    return any(len(set(line)) > 1 and re.search(rf"([^\w\s])\1{{{most}}}", line) for line in lines)
