"""Glossaries: how terms are to be translated, where they stand in a text, and how their translations are written."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tfchain.core.errors import InputError
from tfchain.tasks.translation.constrained import Spelling

Encode = Callable[[str], Sequence[int]]
Decode = Callable[[Sequence[int]], str]
# Scripts that put no spaces between words: CJK ideographs, kana, Thai, Lao, Khmer, Burmese.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Glossary:
    """Terms of the source language with their translations.

    A term is found as a whole word, longest first; its case is ignored, unless it has an upper-case letter itself. Each
    term that a sentence holds is in the sentence's translation at least once, letter by letter, as given here.

    Args:
        terms: Term → its translation.

    Raises:
        InputError: if a term or a translation is empty or no text.

    Example:
        >>> Glossary({"cat": "猫"}).find("A Cat, two cats.")
        {'cat': '猫'}
    """

    terms: Mapping[str, str]
    _order: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.terms, Mapping):
            raise InputError(
                f"`glossary` must be a dict from terms to translations. Received: {type(self.terms).__name__}.",
                argument="glossary",
            )
        for term, translation in self.terms.items():
            if not all(isinstance(text, str) and text.strip() for text in (term, translation)):
                raise InputError(
                    f"`glossary` must be a dict from terms to translations, texts that are not empty. Received: "
                    f"{term!r:.40}: {translation!r:.40}.",
                    argument="glossary",
                )
        # Of terms of one length, those whose case counts come first: "Apple" is not "apple".
        longest = tuple(sorted(self.terms, key=lambda term: (-len(term), not _counts_case(term))))
        parts = [f"(?P<t{number}>{_to_pattern(term)})" for number, term in enumerate(longest)]
        object.__setattr__(self, "_pattern", re.compile("|".join(parts) or r"(?!)"))
        object.__setattr__(self, "_order", longest)

    def find(self, text: str) -> dict[str, str]:
        """Returns the terms that a text holds, in its order, with their translations."""
        found = [self._order[int(match.lastgroup[1:])] for match in self._pattern.finditer(text) if match.lastgroup]
        return {term: self.terms[term] for term in dict.fromkeys(found)}

    def find_spans(self, text: str) -> list[tuple[int, int]]:
        """Returns the offsets `(start, end)` of terms of several words or with marks, which no sentence may cut."""
        spans = [match.span() for match in self._pattern.finditer(text)]
        return [(start, end) for start, end in spans if not text[start:end].isalnum()]


def _to_pattern(term: str) -> str:
    """Returns a pattern that finds a term as a whole word, with any white space between its words."""
    words = r"\s+".join(map(re.escape, term.split()))
    folded = words if _counts_case(term) else f"(?i:{words})"
    before = r"(?<!\w)" if _is_spaced(term.strip()[0]) else ""
    after = r"(?!\w)" if _is_spaced(term.strip()[-1]) else ""
    return f"{before}{folded}{after}"


def _counts_case(term: str) -> bool:
    return any(letter.isupper() for letter in term)


def _is_spaced(letter: str) -> bool:
    """Returns whether a letter is of a script with spaces between words."""
    return letter.isalnum() and not UNSPACED.match(letter)


def spell(phrase: str, *, encode: Encode, decode: Decode) -> list[Spelling]:
    """Returns how a phrase is written in tokens.

    Pieces know whether a space stands before them. A phrase of a script with spaces is written as at the beginning of a
    text, wherever it stands; of other scripts, after another token, without that space.

    Args:
        phrase: The phrase.
        encode: Turns a target's text into token ids, without its end.
        decode: Turns token ids into text.

    Raises:
        InputError: if the tokens do not give the phrase back, such as for a letter that the vocabulary lacks.
    """
    phrase = phrase.strip()
    first = tuple(map(int, encode(phrase)))
    if not first or decode(first).strip() != phrase:
        raise InputError(
            f"The model's vocabulary cannot write {phrase!r} of the glossary: its tokens read "
            f"{decode(first).strip()!r}. Choose a translation that it can write, or leave the term out.",
            argument="glossary",
        )
    if not UNSPACED.match(phrase):
        return [Spelling(first)]
    for anchor in "。的一,":
        before, joined = tuple(map(int, encode(anchor))), tuple(map(int, encode(anchor + phrase)))
        later = joined[len(before) :]
        if joined[: len(before)] == before and later and decode(joined).strip() == anchor + phrase:
            return [Spelling(first, "first"), Spelling(later, "later")]
    return [Spelling(first)]
