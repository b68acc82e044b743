"""Words replaced by their neighbours among a model's vectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.augmentation.character_noise import like
from tfchain.data.augmentation.noise_step import NoiseStep
from tfchain.data.augmentation.query_filters import to_unit
from tfchain.data.augmentation.word_noise import WORD
from tfchain.data.lexical.terms import STOP_WORDS, WordStatistics

Encode = Callable[[Sequence[str]], np.ndarray]
MARKS = ".,;:!?()[]{}\"'“”‘’«»…"


@dataclass(frozen=True)
class ReplaceSynonyms(NoiseStep):
    """Replaces words by words of nearly the same meaning.

    Each word that has neighbours is replaced with the probability `rate`; punctuation around it and a capital stay.
    `find_synonyms` makes the table of a model and a vocabulary; a thesaurus of one's own does as well. The other
    arguments are those of `NoiseStep`.

    Args:
        synonyms: Word, in lower case → the words that may stand in its place.

    Raises:
        InputError: when it runs, if there is no table.
    """

    name: ClassVar[str] = "replace_synonyms"

    synonyms: Mapping[str, Sequence[str]] | None = field(default=None, repr=False, compare=False)

    def settings(self) -> dict[str, object]:
        """Returns the settings as plain values."""
        names = ("rate", "share", "columns", "copies", "seed")
        return {name: getattr(self, name) for name in names}

    def disturb(self, text: str, random: Random) -> str:
        if self.synonyms is None:
            raise InputError("replace_synonyms needs a table. Received: none. Hand one in: synonyms=find_synonyms(…).")
        parts, end = [], 0
        for match in WORD.finditer(text):
            written = match.group()
            word = written.strip(MARKS)
            others = self.synonyms.get(word.lower()) if word else None
            if others and random.random() < self.rate:
                chosen = random.choice(list(others))
                if word.isupper() and len(word) > 1:
                    chosen = chosen.upper()
                chosen = like(word[0], chosen[0]) + chosen[1:]
                before, _, after = written.partition(word)
                written = before + chosen + after
            parts += [text[end : match.start()], written]
            end = match.end()
        return "".join(parts) + text[end:]


def find_synonyms(
    words: Sequence[str], encode: Encode, *, top_k: int = 5, least: float = 0.7, block: int = 1024
) -> dict[str, tuple[str, ...]]:
    """Finds the neighbours of each word among a model's vectors.

    Spellings of the same word (`cell` and `cells`: one begins with the other, up to three letters) are left out, and
    so are stop words.

    Args:
        words: The vocabulary, such as `frequent_words(statistics)`.
        encode: Returns the vectors of texts `(n, dim)`, such as `chain.encode`.
        top_k: The most neighbours of a word. Default: 5.
        least: The least cosine. Antonyms are neighbours, too: models put `increase` beside `decrease`; look at the
            table before you use it where that matters. Default: 0.7.
        block: Words compared at once. Default: 1024.

    Returns:
        Word → neighbours, nearest first; words without neighbours are left out.

    Raises:
        InputError: if a number is out of range, or `encode` does not return a vector for each word.
    """
    check_whole_number("top_k", top_k)
    if not -1 <= least <= 1:
        raise InputError(f"`least` must be a cosine in [-1, 1]. Received: least={least!r}.")
    words = [word for word in dict.fromkeys(word.lower() for word in words) if word not in STOP_WORDS]
    if not words:
        return {}
    vectors = to_unit(encode(words), len(words))
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(words), block):
        cosines = vectors[start : start + block] @ vectors.T  # (block, words)
        for word, row in zip(words[start : start + block], cosines, strict=True):
            near = [words[place] for place in np.argsort(-row, kind="stable") if row[place] >= least]
            others = [other for other in near if not is_same_word(word, other)][:top_k]
            if others:
                found[word] = tuple(others)
    return found


def frequent_words(statistics: WordStatistics, count: int = 10_000) -> list[str]:
    """Returns the words of most documents that are letters alone, without stop words."""
    ranked = sorted(statistics.frequencies.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in ranked if word.isalpha() and len(word) > 2 and word not in STOP_WORDS][:count]


def is_same_word(one: str, other: str) -> bool:
    """Returns whether two words are spellings of one: equal, or one begins the other up to three letters."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) and len(longer) - len(shorter) <= 3
