"""BM25: a ranking by words, without a model, for round trips and hard negatives."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tfchain.data.augmentation.words import find_terms


class Bm25:
    """Ranks texts by the words that they share with a query (Robertson and Zaragoza 2009, in Lucene's form).

    The score of a text is the sum over the query's terms of `idf * tf / (tf + k1 * (1 - b + b * length / average))`.

    Args:
        texts: The texts.
        k1: How soon repeating a term stops to count. Default: 0.9, as in BEIR's figures.
        b: How much longer texts are marked down, in [0, 1]. Default: 0.4, as in BEIR's figures.
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 0.9, b: float = 0.4) -> None:
        postings: dict[str, list[tuple[int, int]]] = {}
        lengths = np.zeros(len(texts), dtype=np.float32)
        for number, text in enumerate(texts):
            terms = find_terms(text)
            lengths[number] = len(terms)
            for term, count in Counter(terms).items():
                postings.setdefault(term, []).append((number, count))
        norm = k1 * (1 - b + b * lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0))
        self.num_texts = len(texts)
        self._postings: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for term, entries in postings.items():
            numbers, counts = np.array(entries, dtype=np.int64).T
            rarity = np.log(1 + (len(texts) - len(numbers) + 0.5) / (len(numbers) + 0.5))
            self._postings[term] = numbers, (rarity * counts / (counts + norm[numbers])).astype(np.float32)

    def score(self, query: str) -> np.ndarray:
        """Returns the score of each text for a query, float32 `(texts,)`."""
        scores = np.zeros(self.num_texts, dtype=np.float32)
        for term, count in Counter(find_terms(query)).items():
            if term in self._postings:
                numbers, values = self._postings[term]
                scores[numbers] += count * values
        return scores

    def search(self, query: str, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numbers and scores of the best texts, best first; equal scores keep the texts' order."""
        scores = self.score(query)
        top_k = min(top_k, self.num_texts)
        best = np.argpartition(-scores, top_k - 1)[:top_k] if 0 < top_k < self.num_texts else np.arange(top_k)
        if 0 < top_k < self.num_texts:  # all that tie with the last, so that the order decides
            best = np.flatnonzero(scores >= scores[best].min())
        best = best[np.lexsort((best, -scores[best]))][:top_k]
        return best, scores[best]
