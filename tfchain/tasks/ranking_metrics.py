"""Ranking metrics (nDCG, MRR, MAP, recall, precision), as trec_eval computes them."""

import math
import re
from collections.abc import Mapping, Sequence

from tfchain.core.errors import InputError

Ranking = Sequence[tuple[str, float]] | Mapping[str, float]

DEFAULT_METRICS = ("ndcg@10", "mrr@10", "recall@100", "map@100")
# The names in ir-measures: with a cutoff, and for the whole ranking.
MEASURES = {
    "ndcg": ("nDCG@{}", "nDCG"),
    "mrr": ("RR@{}", "RR"),
    "map": ("AP@{}", "AP"),
    "recall": ("R@{}", "SetR"),
    "precision": ("P@{}", "SetP"),
}
METRIC_NAME = re.compile(r"(ndcg|mrr|map|recall|precision)(?:@([1-9][0-9]*))?")


def ranking_metrics(
    run: Mapping[str, Ranking],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> dict[str, float]:
    """Scores rankings against judgements: means over all judged queries, as BEIR and `trec_eval -c` report them.

    A document counts as relevant from grade 1; nDCG takes the grade itself as gain (linear, not `2^grade - 1`).
    `recall@k` and `map@k` divide by the number of all relevant documents, even if that is more than k
    (sentence-transformers' `map@k` then divides by k). Queries that are missing from the run score 0.

    Args:
        run: The rankings by query id: `(document id, score)` pairs in ranked order, which is kept for equal scores, or
            a dict from document ids to scores, ranked by score and, for equal scores, by descending id.
        qrels: Query id → document id → grade. Queries without any judgement are left out.
        metrics: Names: `ndcg`, `mrr`, `map`, `recall`, `precision`, each with `@k`, or without for the whole ranking.

    Returns:
        The mean of each metric, by the given names.

    Raises:
        InputError: if a name is unknown or there is none, a ranking repeats a document or has a score that is not a
            number, no query is judged, or no judged query is in the run.

    Example:
        >>> ranking_metrics({"q": [("a", 0.9), ("b", 0.8)]}, {"q": {"b": 1}}, ["mrr@10", "precision@2"])
        {'mrr@10': 0.5, 'precision@2': 0.5}
    """
    values = ranking_values(run, qrels, metrics)
    return {name: sum(found.values()) / len(found) for name, found in values.items()}


def ranking_values(
    run: Mapping[str, Ranking],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> dict[str, dict[str, float]]:
    """Scores the ranking of each query; see `ranking_metrics` for the arguments and errors.

    Returns:
        Metric → query id → value, of all judged queries in the order of `qrels`.
    """
    import ir_measures

    measures = {name: ir_measures.parse_measure(to_measure_name(name)) for name in check_metrics(metrics)}
    judged = {query: {id: int(grade) for id, grade in grades.items()} for query, grades in qrels.items() if grades}
    if not judged:
        raise InputError("`qrels` must judge at least one query. Received: none with a judgement.")
    rankings = {query: to_ranks(query, run[query]) for query in judged if query in run}
    if not rankings:
        raise InputError(
            f"`run` and `qrels` must have queries in common. Received: {len(run)} in the run, such as "
            f"{next(iter(run), None)!r}, and {len(judged)} judged, such as {next(iter(judged))!r}. Compare their ids."
        )
    # The library does not accept empty rankings; a query without results scores 0.
    found = {query: ranks for query, ranks in rankings.items() if ranks}
    values = {measure: dict.fromkeys(judged, 0.0) for measure in measures.values()}
    for result in ir_measures.iter_calc(list(values), judged, found) if found else ():
        values[result.measure][result.query_id] = result.value
    return {name: values[measure] for name, measure in measures.items()}


def largest_cutoff(metrics: Sequence[str] = DEFAULT_METRICS) -> int | None:
    """Returns how many documents a ranking needs for these metrics.

    Returns:
        The largest `k`, or None if a metric is over the whole ranking.

    Raises:
        InputError: if a name is unknown, or there are no names.
    """
    cutoffs = [cutoff for _, cutoff in map(parse_metric, check_metrics(metrics))]
    return max((int(cutoff) for cutoff in cutoffs if cutoff), default=None) if all(cutoffs) else None


def check_metrics(metrics: Sequence[str]) -> Sequence[str]:
    """Raises if the names are not a list of at least one name."""
    if isinstance(metrics, str) or not metrics:
        raise InputError(f"`metrics` must be a list of names. Received: metrics={metrics!r}. Write ['ndcg@10'].")
    return metrics


def to_measure_name(name: str) -> str:
    """Translates a metric's name into the library's."""
    kind, cutoff = parse_metric(name)
    at_cutoff, whole = MEASURES[kind]
    return at_cutoff.format(cutoff) if cutoff else whole


def parse_metric(name: str) -> tuple[str, str | None]:
    """Splits a name into the metric and its cutoff."""
    match = METRIC_NAME.fullmatch(name)
    if match is None:
        raise InputError(
            f"A metric must be one of {', '.join(MEASURES)}, with `@k` or without. Received: {name!r}. Write `ndcg@10`."
        )
    return match[1], match[2]


def to_ranks(query: str, ranking: Ranking) -> dict[str, float]:
    """Returns descending scores by rank, so that the library, which sorts equal scores by id, keeps the order."""
    pairs = list(ranking.items()) if isinstance(ranking, Mapping) else list(ranking)
    for id, value in pairs:
        if math.isnan(value):
            raise InputError(f"Scores must be numbers. Received: NaN for document {id!r} of query {query!r}.")
    if isinstance(ranking, Mapping):
        pairs.sort(key=lambda pair: (pair[1], pair[0]), reverse=True)
    ranks = {id: float(-place) for place, (id, _) in enumerate(pairs)}
    if len(ranks) < len(pairs):
        ids = [id for id, _ in pairs]
        repeated = next(id for id in ids if ids.count(id) > 1)
        raise InputError(f"A ranking must have each document once. Received: {repeated!r} twice for query {query!r}.")
    return ranks
