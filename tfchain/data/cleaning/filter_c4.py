"""The step that keeps sentences and leaves out pages by the rules of C4."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.setting_checks import check_count
from tfchain.data.documents.words import cut_words
from tfchain.data.steps.pages import change_document_text
from tfchain.data.steps.record import Record, change_texts
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

TERMINAL = (".", "!", "?", '"', "”", "。", "！", "？", "」", "』", "…。")
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CITATION = re.compile(r"\[(?:\d{1,3}|edit|citation needed)\]", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?]+[\"”')\]]*(?=\s|$)|[。！？]+[”」』]*")
STRUCTURE = re.compile(r"\s*(?:#{1,6}\s|\||```|~~~|[-*+]\s|\d{1,3}[.)]\s|>)")
FENCE = re.compile(r"\s*(?:```|~~~)")


@dataclass(frozen=True)
class FilterC4(Step):
    """Keeps the sentences of web pages and leaves out pages that are none, by the rules of C4.

    The rules are those of Raffel et al. 2020 (https://jmlr.org/papers/v21/20-074.html, section 2.2), with Chinese marks
    at the ends of sentences added, and each Chinese character as a word. Not here: C4's language (`filter_language`),
    its repeated spans (`remove_repeated_lines`), and its list of bad words, unless you give one. Rules on lines change
    texts; rules on pages leave records out.

    Args:
        terminal_marks: Lines must end with a full stop, exclamation mark, question mark or quotation mark. Default: on.
        min_words_per_line: Lines must have so many words. Default: 5. `None`: off.
        javascript: Lines with the word `javascript` go. Default: on.
        policies: Lines with `terms of use`, `privacy policy`, `cookie policy`, `uses cookies`, `use of cookies` or `use
            cookies` go. Default: on.
        citations: Wikipedia's `[1]`, `[edit]` and `[citation needed]` go. Default: on.
        lorem_ipsum: Pages with `lorem ipsum` go. Default: on.
        curly_brackets: Pages with `{` go: they are code. Default: on.
        min_sentences: Pages must have so many sentences, after the rules on lines. Default: 3. `None`: off.
        bad_words: Pages with one of these words go; in scripts without spaces, with these characters. Default: none.
        keep_structure: Headings, lists, tables and code in Markdown stay whatever their ends, which C4, made for plain
            text, does not do. Default: yes.
        columns: Columns of rows that are such pages. Default: `["text"]`.

    Raises:
        InputError: if a setting is out of range.
    """

    name: ClassVar[str] = "filter_c4"
    terminal_marks: bool = True
    min_words_per_line: int | None = 5
    javascript: bool = True
    policies: bool = True
    citations: bool = True
    lorem_ipsum: bool = True
    curly_brackets: bool = True
    min_sentences: int | None = 3
    bad_words: tuple[str, ...] = ()
    keep_structure: bool = True
    columns: tuple[str, ...] = ("text",)

    def __post_init__(self) -> None:
        check_count("min_words_per_line", self.min_words_per_line)
        check_count("min_sentences", self.min_sentences)
        for name in ("bad_words", "columns"):
            if isinstance(getattr(self, name), str):
                raise InputError(f"`{name}` must be a list. Received: {name}={getattr(self, name)!r}.", argument=name)

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Cleans the lines of each page and keeps the pages that pass."""
        passed: list[Record] = []
        for record in records:
            found: Counter[str] = Counter()
            reason, changed = self.judge(record, found)
            if reason:
                log.drop(record, f"c4: {reason}")
                continue
            if changed is not record:
                for name in found:
                    log.change(record, changed, f"c4: {name}")
            passed.append(changed)
        return passed

    def judge(self, record: Record, found: Counter[str]) -> tuple[str | None, Record]:
        """Returns why a record goes, or the record with its lines cleaned."""
        if isinstance(record, Document):
            pages = [record.text]
        else:
            pages = [text for text in map(record.get, self.columns) if isinstance(text, str)]
        for text in pages:
            reason = self.judge_page(text)
            if reason:
                return reason, record
            sentences = len(SENTENCE_END.findall(self.clean(text, Counter())))
            if self.min_sentences is not None and sentences < self.min_sentences:
                return "too few sentences", record
        if not isinstance(record, Document):
            names = self.columns
            return None, change_texts(record, lambda name, text: self.clean(text, found) if name in names else text)
        if not record.title.strip() and not self.clean(record.text, Counter()).strip():
            return "no text left", record
        return None, change_document_text(record, lambda text: self.clean(text, found))

    def judge_page(self, text: str) -> str | None:
        """Returns the rule on pages that a text breaks, the number of sentences aside."""
        folded = text.lower()
        if self.curly_brackets and "{" in text:
            return "curly bracket"
        if self.lorem_ipsum and "lorem ipsum" in folded:
            return "lorem ipsum"
        if self.bad_words:
            words = f" {' '.join(cut_words(text))} "
            if any(f" {' '.join(cut_words(word))} " in words for word in self.bad_words):
                return "bad word"
        return None

    def clean(self, text: str, found: Counter[str]) -> str:
        """Returns a text without the lines that break a rule, and counts the rules."""
        if self.citations and "[" in text:
            before, text = text, CITATION.sub("", text)
            found["citations"] += text != before
        kept, fenced = [], False
        for line in text.split("\n"):
            if FENCE.match(line):
                fenced = not fenced
            is_structure = self.keep_structure and (fenced or STRUCTURE.match(line))
            reason = None if is_structure or not line.strip() else self.judge_line(line.strip())
            if reason:
                found[reason] += 1
            else:
                kept.append(line)
        for name in [name for name, count in found.items() if not count]:
            del found[name]
        return "\n".join(kept)

    def judge_line(self, line: str) -> str | None:
        """Returns the rule on lines that a line breaks."""
        if self.terminal_marks and not line.endswith(TERMINAL):
            return "no terminal mark"
        if self.min_words_per_line is not None and len(cut_words(line)) < self.min_words_per_line:
            return "too few words in a line"
        folded = line.lower()
        if self.javascript and "javascript" in folded:
            return "javascript"
        if self.policies and any(policy in folded for policy in POLICIES):
            return "policy"
        return None
