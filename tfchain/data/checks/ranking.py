"""Positives that a search ranks badly, by words or by the model's vectors: they may be no positives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.leaks import Encode, unit_vectors
from tfchain.data.checks.material import CheckedSet, Material, spread
from tfchain.data.lexical.bm25 import Bm25

PRODUCTS_AT_ONCE = 256
METHODS = {"bm25": "BM25", "model": "the model", "both": "both BM25 and the model"}
MOST_PART = 50  # a positive below the best fiftieth of the documents is ranked badly in any corpus


@dataclass(frozen=True)
class Ranks:
    """Where the positives of one set rank.

    Args:
        set: The set's name.
        method: `bm25`, `model`, or `both`: the better of the two, so that a bad rank is bad by either.
        ranks: The rank of each ranked pair's document, from 1.
        num_documents: Among how many documents.
    """

    set: str
    method: str
    ranks: tuple[int, ...]
    num_documents: int


def find_badly_ranked(
    material: Material, encode: Encode | None, cutoff: int, most: int, findings: Findings
) -> Iterator[tuple[Finding, Ranks]]:
    """Ranks the positives of each set among the corpus, or among the sets' own documents if there is no corpus.

    Args:
        material: The sets.
        encode: Returns a vector for each text, to rank by the model, too; the whole corpus is encoded. `None` ranks by
            words alone.
        cutoff: A positive below this rank is ranked badly; in a small corpus, one below the best fiftieth of the
            documents.
        most: The most pairs of each set that are ranked.
        findings: Makes the findings.

    Yields:
        For each set and way of ranking the finding, and all ranks.
    """
    sets = [checked for checked in material.sets.values() if any(judgment.relevant for judgment in checked.judgments)]
    if not sets:
        return
    searched = list(dict.fromkeys(number for number in searched_documents(material) if material.text(number).strip()))
    place_of = {number: place for place, number in enumerate(searched)}
    texts = [material.text(number) for number in searched]
    bm25 = Bm25(texts)
    vectors = None if encode is None else unit_vectors(encode, texts)
    limit = min(cutoff, max(1, len(searched) // MOST_PART))
    for checked in sets:
        pairs = choose_pairs(checked, material, place_of, most)
        if not pairs:
            continue
        queries = [material.text(query) for query, _, _ in pairs]
        places = [place_of[document] for _, document, _ in pairs]
        found = {"bm25": list(bm25.rank(queries, places))}
        if encode is not None and vectors is not None:
            found["model"] = rank_by_vectors(unit_vectors(encode, queries), vectors, places)
            found["both"] = [min(ranks) for ranks in zip(found["bm25"], found["model"], strict=True)]
        for method, ranks in found.items():
            yield rank_set(material, checked, method, pairs, ranks, limit, searched, findings)


def searched_documents(material: Material) -> Iterator[int]:
    """Yields the documents to rank among, by their numbers."""
    corpus = material.get("corpus")
    for checked in material.sets.values() if corpus is None else [corpus]:
        yield from checked.documents.numbers
    for checked in material.sets.values():  # documents of rows that the corpus lacks
        yield from (judgment.document for judgment in checked.judgments if judgment.relevant)


def choose_pairs(
    checked: CheckedSet, material: Material, place_of: dict[int, int], most: int
) -> list[tuple[int, int, str]]:
    """Returns an evenly spaced sample of the set's relevant pairs, each once, with the id."""
    pairs: dict[tuple[int, int], str] = {}
    for judgment in checked.judgments:
        if judgment.relevant and judgment.document in place_of and material.text(judgment.query).strip():
            pairs.setdefault((judgment.query, judgment.document), judgment.id)
    listed = [(query, document, id) for (query, document), id in pairs.items()]
    return [listed[place] for place in spread(len(listed), most)]


def rank_by_vectors(queries: np.ndarray, documents: np.ndarray, places: Sequence[int]) -> list[int]:
    """Returns the rank of one document for each query by cosine, from 1; equal cosines share the best rank."""
    ranks: list[int] = []
    for start in range(0, len(queries), PRODUCTS_AT_ONCE):
        scores = queries[start : start + PRODUCTS_AT_ONCE] @ documents.T  # (block, documents)
        own = scores[np.arange(len(scores)), places[start : start + PRODUCTS_AT_ONCE]]
        ranks += ((scores > own[:, None] + 1e-6).sum(axis=1) + 1).tolist()
    return ranks


def rank_set(
    material: Material,
    checked: CheckedSet,
    method: str,
    pairs: list[tuple[int, int, str]],
    ranks: list[int],
    limit: int,
    searched: list[int],
    findings: Findings,
) -> tuple[Finding, Ranks]:
    """Makes the finding for a set's ranks, the worst first."""
    bad = sorted((place for place, rank in enumerate(ranks) if rank > limit), key=lambda place: -ranks[place])
    finding = findings.make(
        *("badly_ranked_positive", [checked.name], "pairs"),
        count=len(bad),
        total=len(pairs),
        examples=(
            example(
                [pairs[place][2]],
                [material.text(pairs[place][0]), material.text(pairs[place][1])],
                f"rank {ranks[place]:,} of {len(searched):,}",
            )
            for place in bad
        ),
        note=f"By {METHODS[method]}: below rank {limit:,} of {len(searched):,}.",
        values={"cutoff": limit, "median_rank": float(np.median(ranks))},
    )
    return finding, Ranks(checked.name, method, tuple(ranks), len(searched))
