"""Unicode's normal forms (NFC, NFD, NFKC, NFKD) as tables, read off the installed `tokenizers`.

A form maps each character to its decomposition, sorts neighbouring marks by their classes, and, for NFC and NFKC,
composes pairs again (https://unicode.org/reports/tr15). Servers differ in the version of Unicode that their ICU has,
and so does the Rust package that Hugging Face's normalizers use; so nothing here comes from ICU.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from tfchain.models.tokenizers.character_probe import chunks, list_probed, probe_all, with_separators

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
_SEPARATOR = "\n"  # no character becomes it


@dataclass(frozen=True, slots=True)
class UnicodeForm:
    """The tables of a normal form.

    Args:
        decompositions: `{code point: text}`, decomposed in full, for the code points that decompose.
        ranks: `{code point: rank}` for the marks that are sorted: 1 for the lowest combining class, and so on. All
            other characters have rank 0 and end a run of marks.
        compositions: `{(first, second): code point}`; empty for NFD and NFKD.
        changed: The code points that change where they stand alone.
    """

    decompositions: Mapping[int, str]
    ranks: Mapping[int, int]
    compositions: Mapping[tuple[int, int], int]
    changed: frozenset[int]

    @property
    def affected(self) -> frozenset[int]:
        """The code points without which a text is in this form already."""
        return self.changed.union(self.ranks, (second for _, second in self.compositions))


@functools.cache
def probe_form(name: str) -> UnicodeForm:
    """Reads a form off the installed `tokenizers`; takes a few tenths of a second, so the result is cached.

    Args:
        name: One of `FORMS`.
    """
    from tokenizers import normalizers

    canonical = _probe_canonical()
    decompositions = canonical.decompositions
    if "K" in name:
        decompositions = probe_all(normalizers.NFKD().normalize_str, _SEPARATOR)
    if not name.endswith("C"):
        return UnicodeForm(decompositions, canonical.ranks, {}, frozenset(decompositions))
    composed = canonical.compositions.values()
    same = {code for code in composed if decompositions[code] == canonical.decompositions[code]}
    return UnicodeForm(decompositions, canonical.ranks, canonical.compositions, frozenset(decompositions) - same)


@functools.cache
def _probe_canonical() -> UnicodeForm:
    from tokenizers import normalizers

    decompose = normalizers.NFD().normalize_str
    decompositions = probe_all(decompose, _SEPARATOR)
    changed_by_nfc = probe_all(normalizers.NFC().normalize_str, _SEPARATOR)
    compose = normalizers.NFC().normalize_str
    composed = [code for code in decompositions if code not in changed_by_nfc]
    # A composite is made of what all but its last character compose to, and that character.
    texts = _SEPARATOR.join(decompositions[code][:-1] for code in composed)
    firsts = compose(texts).split(_SEPARATOR)
    compositions = {
        (ord(first), ord(decompositions[code][-1])): code for first, code in zip(firsts, composed, strict=True)
    }
    return UnicodeForm(decompositions, _probe_ranks(), compositions, frozenset(changed_by_nfc))


def _probe_ranks() -> dict[int, int]:
    """Returns the rank of each mark that NFD sorts and does not decompose."""
    from tokenizers import normalizers

    decompose = normalizers.NFD().normalize_str
    # Sorting is stable. Of all marks in rising order and then in falling order, it makes such a pair for each class.
    marks = sorted(_find_marks())
    both = map(chr, (*marks, *reversed(marks)))
    ordered = decompose(_SEPARATOR + "".join(both))[1:]
    ranks: dict[int, int] = {}
    at, rank = 0, 0
    while at < len(ordered):
        end = ordered.rindex(ordered[at])
        rank += 1
        ranks.update(dict.fromkeys(map(ord, ordered[at : end + 1]), rank))
        at = end + 1
    return ranks


def _find_marks() -> set[int]:
    """Returns the code points that NFD sorts."""
    from tokenizers import normalizers

    decompose = normalizers.NFD().normalize_str
    lowest, highest = "\u0334", "\u0345"  # of the classes 1 and 240
    marks = {ord(lowest), ord(highest)}
    for characters in chunks(list_probed(), _SEPARATOR):
        for pairs in ([highest + c for c in characters], [c + lowest for c in characters]):
            parts = decompose(with_separators(pairs, _SEPARATOR)).split(_SEPARATOR)[1:-1]
            marks.update(
                ord(c) for c, pair, part in zip(characters, pairs, parts, strict=True) if part == pair[::-1] != pair
            )
    return marks
