"""Sentences: where they end, in scripts with and without spaces."""

import re

# Marks that end a sentence wherever they stand: Chinese, Japanese, Devanagari, Urdu, Ethiopic, Khmer, Burmese.
FULL_STOPS = "。！？｡।॥۔؟።។။"
CLOSERS = "\"')\\]”’」』）】》»"
SENTENCE_MARK = re.compile(rf"[.!?…{FULL_STOPS}]+[{CLOSERS}]*")
# Thai has no full stop: a space between two Thai letters ends a sentence or a clause.
THAI_END = re.compile(r"[\u0e01-\u0e5b](?=[ \t]+[\u0e01-\u0e5b])")
LINE_BREAK = re.compile(r"\s+")
WORD_BEFORE = re.compile(r"[^\s(\[\"'“‘]+\Z")
ABBREVIATIONS = frozenset(
    {
        *("al", "approx", "assoc", "ca", "cf", "co", "corp", "dept", "dr", "e.g", "ed", "eds", "eq", "eqs", "etc"),
        *("fig", "figs", "gen", "i.e", "inc", "jr", "lt", "ltd", "mr", "mrs", "ms", "no", "nos", "pp", "prof", "ref"),
        *("refs", "resp", "sec", "sr", "st", "subsp", "tab", "viz", "vol", "vs", "bzw", "d.h", "u.a", "z.b"),
    }
)
LONGEST_WORD = 24  # characters looked at before a full stop


def find_sentence_ends(text: str) -> list[int]:
    """Returns the offsets after each sentence, ascending; the text's own end is left out unless a mark stands there.

    A full stop ends a sentence before white space, unless an abbreviation, an initial or a number of a list stands
    before it, or a lower-case letter follows. Chinese and Japanese marks (`。！？`) need no space. A blank line ends a
    sentence, and so does a line, unless the next begins with a lower-case letter, as in text that is wrapped.

    Args:
        text: The text.

    Example:
        >>> find_sentence_ends("Dr. Who came. He left.")
        [13, 22]
    """
    ends = {match.end() for match in SENTENCE_MARK.finditer(text) if is_end(text, match)}
    ends.update(match.end() for match in THAI_END.finditer(text))
    for match in LINE_BREAK.finditer(text):
        lines = match.group().count("\n")
        following = text[match.end() : match.end() + 1]
        if lines > 1 or (lines == 1 and not following.islower()):
            ends.add(match.start())
    ends.discard(0)
    return sorted(ends)


def find_sentences(text: str) -> list[tuple[int, int]]:
    """Returns the sentences' offsets `(start, end)` without the white space around them, in order.

    Example:
        >>> [text[start:end] for text in ["你好。再见！"] for start, end in find_sentences(text)]
        ['你好。', '再见！']
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for end in [*find_sentence_ends(text), len(text)]:
        part = text[start:end]
        stripped = part.strip()
        if stripped:
            first = start + len(part) - len(part.lstrip())
            spans.append((first, first + len(stripped)))
        start = end
    return spans


def is_end(text: str, match: re.Match[str]) -> bool:
    """Returns whether a mark ends a sentence."""
    marks = match.group()
    if any(mark in FULL_STOPS for mark in marks):
        return True
    following = text[match.end() : match.end() + 1]
    if following and not following.isspace():
        return False  # as in 3.14, example.org and ?x=1
    if marks[0] == ".":
        next_character = text[match.end() : match.end() + 8].lstrip()[:1]
        if next_character.islower() and "\n\n" not in text[match.end() : match.end() + 8]:
            return False
        if marks.startswith("..") or marks[1:]:
            return True
        before = WORD_BEFORE.search(text[max(0, match.start() - LONGEST_WORD) : match.start()])
        word = before.group() if before else ""
        if word.lower() in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word.isupper()):
            return False
        line = text[max(0, match.start() - LONGEST_WORD) : match.start()].rpartition("\n")[2]
        if word.isdecimal() and len(word) <= 3 and line.strip() == word:
            return False  # the number of a list's item
    return True
