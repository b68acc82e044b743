"""The step that leaves out texts of low quality by the rules of Gopher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfchain.core.errors import InputError
from tfchain.data.cleaning.judged_texts import check_columns, judged_texts
from tfchain.data.cleaning.setting_checks import check_count, check_share
from tfchain.data.documents.words import cut_words, share_unspaced
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import FilterStep

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
CHINESE_STOP_WORDS = ("的", "是", "在", "了", "和", "有", "不", "为", "与", "于", "一", "这", "他", "我")
BULLETS = ("•", "‣", "▪", "●", "○", "■", "-", "*", "·")
ELLIPSES = ("...", "…", "。。。")


@dataclass(frozen=True)
class FilterGopher(FilterStep):
    """Keeps records whose texts read like prose, by the quality rules of Gopher.

    The rules and thresholds are those of Rae et al. 2021 (https://arxiv.org/abs/2112.11446, section A1.1), made for
    whole web pages in English; a passage or a question does not pass, so switch off `min_words` for such. In a text
    mostly of a script without spaces, such as Chinese, each character is a word, the rules on the length of words do
    not apply, and the stop words are Chinese ones: these are ours, not the paper's.

    Args:
        min_words: The fewest words. Default: 50. `None` switches a rule off, here and below.
        max_words: The most words. Default: 100,000.
        min_mean_length: The least mean length of words, in characters. Default: 3.
        max_mean_length: The greatest. Default: 10.
        max_symbols: The most hash signs, or ellipses, per word. Default: 0.1.
        max_bullet_lines: The greatest share of lines that begin with a bullet. Default: 0.9.
        max_ellipsis_lines: The greatest share of lines that end with an ellipsis. Default: 0.3.
        min_alphabetic: The least share of words with a letter. Default: 0.8.
        min_stop_words: How many different stop words there must be. Default: 2. Set it to `None` for languages other
            than English and Chinese, or give `stop_words`.
        stop_words: The stop words. Default: the paper's eight, `the be to of and that have with`; for Chinese fourteen
            frequent characters.
        columns: Columns of rows to judge. Default: all texts.

    Raises:
        InputError: if a setting is out of range.
    """

    name: ClassVar[str] = "filter_gopher"
    min_words: int | None = 50
    max_words: int | None = 100_000
    min_mean_length: float | None = 3
    max_mean_length: float | None = 10
    max_symbols: float | None = 0.1
    max_bullet_lines: float | None = 0.9
    max_ellipsis_lines: float | None = 0.3
    min_alphabetic: float | None = 0.8
    min_stop_words: int | None = 2
    stop_words: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_words", "max_words", "min_stop_words"):
            check_count(name, getattr(self, name))
        for name in ("max_symbols", "max_bullet_lines", "max_ellipsis_lines", "min_alphabetic"):
            check_share(name, getattr(self, name))
        check_columns(self.columns)
        for name in ("min_mean_length", "max_mean_length"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise InputError(f"`{name}` must be greater than 0. Received: {name}={value!r}.", argument=name)
        if not isinstance(self.stop_words, list | tuple):
            raise InputError(
                f"`stop_words` must be a list of words. Received: stop_words={self.stop_words!r}.",
                argument="stop_words",
            )

    def reason(self, record: Record) -> str | None:
        """Returns the rule that a text breaks."""
        for text in judged_texts(record, self.columns):
            unspaced = share_unspaced(text) > 0.5
            words = cut_words(text) if unspaced else text.split()
            found = self.judge_words(words, unspaced) or self.judge_marks(text, len(words))
            if found:
                return f"gopher: {found}"
        return None

    def judge_words(self, words: Sequence[str], unspaced: bool) -> str | None:
        """Returns the rule on words that is broken."""
        count = len(words)
        if self.min_words is not None and count < self.min_words:
            return "too few words"
        if self.max_words is not None and count > self.max_words:
            return "too many words"
        if not unspaced and count:
            mean = sum(map(len, words)) / count
            if self.min_mean_length is not None and mean < self.min_mean_length:
                return "words too short"
            if self.max_mean_length is not None and mean > self.max_mean_length:
                return "words too long"
        if self.min_alphabetic is not None and sum(map(has_letter, words)) < self.min_alphabetic * count:
            return "too few words with letters"
        if self.min_stop_words is not None:
            known = frozenset(self.stop_words or (CHINESE_STOP_WORDS if unspaced else STOP_WORDS))
            if len(known.intersection(words if unspaced else map(bare, words))) < self.min_stop_words:
                return "too few stop words"
        return None

    def judge_marks(self, text: str, count: int) -> str | None:
        """Returns the rule on symbols and lines that is broken."""
        if self.max_symbols is not None:
            ellipses = text.count("...") + text.count("…")
            if text.count("#") > self.max_symbols * count or ellipses > self.max_symbols * count:
                return "too many symbols"
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        bullets = sum(line.startswith(BULLETS) for line in lines)
        if self.max_bullet_lines is not None and bullets > self.max_bullet_lines * len(lines):
            return "too many bullets"
        ellipsis_lines = sum(line.endswith(ELLIPSES) for line in lines)
        if self.max_ellipsis_lines is not None and ellipsis_lines > self.max_ellipsis_lines * len(lines):
            return "too many ellipses"
        return None


def has_letter(word: str) -> bool:
    """Returns whether a word has a letter."""
    return word.isalpha() or any(map(str.isalpha, word))


def bare(word: str) -> str:
    """Returns a word without case and the punctuation around it."""
    return word.lower().strip(".,;:!?\"'()[]“”‘’")
