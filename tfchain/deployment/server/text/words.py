"""The words of a query, and where they occur in a document: in any case, with or without accents, and inflected."""

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_HAN_AND_KANA = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ACCENTS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670"  # written apart from their letters
_HAN_RUN = re.compile(f"[{_HAN_AND_KANA}]+")
_WORD = re.compile(rf"(?:[^\W_{_HAN_AND_KANA}]|[{_ACCENTS}])+")
_MIN_STEM = 4
_MAX_WORD = 200  # longer ones are no words, and no passage could show them
_MAX_QUERY = 2000  # characters whose words are looked for; a model reads no more of a query
_DOUBLED = re.compile(r"([bdfgmnprt])\1$")
_COMMON_TEXT = """
a about all am an and any are as at be been but by can could did do does for from had has have he her his how i if
in into is it its me my no not of on or our she should so such than that the their them then there these they
this those to us was we were what when where which who whom whose why will with would you your
d ll m re s t ve
"""
_COMMON = frozenset(_COMMON_TEXT.split())
_COMMON_HAN = re.compile("为什么|什么|怎么样?|怎样|如何|哪[里个些]|多少|是否|请问|有没有|[的了吗呢吧啊呀谁]")
_COMMON_CHARACTERS = frozenset("是在和与或也都我你您他她它们这那有不一")


@dataclass(frozen=True, slots=True)
class Match:
    """A word of the query in a document.

    Args:
        start: The place of its first character, in Unicode code points.
        end: The place after its last character.
        term: The word, as it is compared.
    """

    start: int
    end: int
    term: str


def find_matches(query: str, document: str) -> list[Match]:
    """Finds the words of a query in a document, in their order, in time linear in the document's length.

    Words are compared without case, accents and full-width forms, and English ones without the endings of plurals and
    verbs (`merge`, `merges`, `merging`). Words that are common in questions ("how", "the") are left out, unless the
    query has no others. Chinese and Japanese, which have no spaces, are compared by pairs of characters, whose matches
    may overlap, and by a single character where the query has one alone.

    Args:
        query: The query.
        document: The document.
    """
    terms = _read_query(query[:_MAX_QUERY])
    found = [
        *_find_words(terms.words, document),
        *_find_characters(terms.pairs, document),
        *_find_characters(terms.characters, document),
    ]
    return sorted(found, key=lambda match: match.start)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What to look for: stems, and pairs of Chinese characters or characters that stand alone."""

    words: frozenset[str]
    pairs: frozenset[str]
    characters: frozenset[str]


@functools.lru_cache(maxsize=64)
def _read_query(query: str) -> _Terms:
    words: set[str] = set()
    common: set[str] = set()
    pairs: set[str] = set()
    characters: set[str] = set()
    for token in _WORD.finditer(query):
        if len(token[0]) <= _MAX_WORD:
            folded = _fold(token[0])
            (common if folded in _COMMON else words).add(_stem(folded))
    for token in _HAN_RUN.finditer(query):
        for part in _COMMON_HAN.sub(" ", token[0]).split() or [token[0]]:
            if len(part) == 1 and (part == token[0] or part not in _COMMON_CHARACTERS):
                characters.add(part)
            pairs.update(part[place : place + 2] for place in range(len(part) - 1))
    return _Terms(
        frozenset(words or (set() if pairs or characters else common)), frozenset(pairs), frozenset(characters)
    )


def _find_words(terms: frozenset[str], document: str) -> Iterator[Match]:
    if not terms:
        return
    stems: dict[str, str] = {}
    for token in _WORD.finditer(document):
        text = token[0]
        stem = stems.get(text)
        if stem is None:
            stem = stems[text] = _stem(_fold(text)) if len(text) <= _MAX_WORD else ""
        if stem in terms:
            yield Match(token.start(), token.end(), stem)


def _find_characters(terms: frozenset[str], document: str) -> Iterator[Match]:
    """Finds characters, or pairs of characters, which may overlap."""
    if not terms:
        return
    size = len(next(iter(terms)))
    classes = ("[" + "".join(sorted({term[place] for term in terms})) + "]" for place in range(size))
    for found in re.finditer(f"(?={''.join(classes)})", document):
        term = document[found.start() : found.start() + size]
        if term in terms:
            yield Match(found.start(), found.start() + size, term)


def _fold(word: str) -> str:
    """Returns a word without case, accents and full-width forms."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word)
    return "".join(character for character in parts if not unicodedata.combining(character)).casefold()


def _stem(word: str) -> str:
    """Returns an English word without the endings of plurals and verbs: so much that these forms are the same.

    A tiny rule on purpose: what it misses is not marked, and no document is found or lost by it.
    """
    if len(word) < _MIN_STEM or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith(("ies", "ied")) and len(word) > _MIN_STEM:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            word = _DOUBLED.sub(r"\1", word[: -len(ending)])
            break
    return word[:-1] if word.endswith("e") and len(word) > _MIN_STEM else word
