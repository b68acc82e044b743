"""Which texts of the pool are nearly the same as which others."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tfchain.core.texts import replace_surrogates


class NearTexts:
    """The near-duplicates among the texts of a pool, by their numbers.

    Texts of the same words are one group, so that a text is near to all members of a group as soon as it is near to
    one.

    Args:
        texts: The pool's texts.
        threshold: The least Jaccard similarity of the texts' shingles; see `find_near_duplicates`.
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        from tfchain.data.deduplication.near_pairs import find_near_duplicates

        filled = [number for number, text in enumerate(texts) if text.strip()]  # empty texts are another finding
        readable = [replace_surrogates(texts[number]) for number in filled]
        self.threshold = threshold
        self._near: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        self._first: dict[int, int] = {}  # of the members of groups but their first, the first
        self._members: defaultdict[int, list[int]] = defaultdict(list)
        for i, j, similarity in find_near_duplicates(readable, threshold=threshold):
            one, other = filled[i], filled[j]
            if similarity == 1.0:
                self._first[other] = one
                self._members[one].append(other)
            else:
                self._near[one].append((other, similarity))
                self._near[other].append((one, similarity))

    def of(self, number: int) -> Iterator[tuple[int, float]]:
        """Yields the texts that are near to a text, the most similar first, each with the similarity."""
        first = self._first.get(number, number)
        for member in (first, *self._members.get(first, ())):
            if member != number:
                yield member, 1.0
        for other, similarity in sorted(self._near.get(first, ()), key=lambda pair: -pair[1]):
            yield other, similarity
            for member in self._members.get(other, ()):
                yield member, similarity

    def has_any(self, number: int) -> bool:
        """Returns whether a text is near to any other."""
        return number in self._first or number in self._members or number in self._near
