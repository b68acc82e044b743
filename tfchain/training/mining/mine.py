"""Hard negatives: documents that a model ranks high for a query although they do not answer it."""

import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.progress import show_progress
from tfchain.data.documents.beir import BeirDataset
from tfchain.data.documents.judged import is_judged_folder
from tfchain.data.pairs.reading import Pairs, read_pairs, text_keys
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.mining.negative_choice import choose_negatives, filter_candidates
from tfchain.training.mining.options import Mining
from tfchain.training.mining.pair_scores import CrossCheck, EncoderScorer, FunctionScorer, PairScorer, check_cross_check
from tfchain.training.mining.ranked_corpus import (
    Candidates,
    Corpus,
    Documents,
    KeyTable,
    Queries,
    Sample,
    changed_corpus,
)

__all__ = ["Mining", "mine_negatives"]

SAMPLE_SIZE = 1_024  # random documents kept ready for rows with too few candidates


def mine_negatives(
    text_encoder: TextEncoder,
    pairs: Any,
    mining: Mining | None = None,
    *,
    corpus: Any = None,
    cross_check: CrossCheck | None = None,
    split: str = "train",
    progress: bool | None = None,
) -> Pairs:
    """Adds to each row documents that the model mistakes for answers.

    A negative is never a text that is already in a row of the same query (its positives and negatives), a document
    judged relevant for the query, or the query's own text. Texts are compared by `text_key`. Rows of the same query
    have the same candidates.

    The corpus is read in blocks, and more than once: to rank its documents, for a cross-check, and for the texts of
    the chosen documents. Memory grows with the number of queries (their vectors, and `range_max` keys and scores
    each) and with the texts of the negatives, not with the corpus. A document longer than the model's maximum length
    is truncated, as in training.

    Args:
        text_encoder: The model whose mistakes become negatives.
        pairs: Anything that `read_pairs` accepts, without labels.
        mining: How many negatives, and which. Default: `Mining()`.
        corpus: The documents to mine from: anything that `read_documents` accepts and that can be read more than once,
            or a function that returns it. Default: `mining.corpus`; else, if `pairs` is a BEIR dataset, its corpus;
            else the documents of the pairs.
        cross_check: A better model that tells hard negatives from unmarked answers: a text encoder, or a function from
            queries and documents to scores. Candidates that it scores above the positive (minus the margin) are left
            out. Default: none.
        split: The split of a BEIR folder. Default: `train`.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        The rows, in order, with `num_negatives` more columns, the hardest negative first (random ones last).

    Raises:
        InputError: if the rows have labels or no documents, the corpus is empty or can be read only once, scores are
            not finite, or no row gets its negatives.

    Example:
        >>> pairs = mine_negatives(text_encoder, "scifact/", Mining(num_negatives=4, relative_margin=0.05))
        >>> pairs.num_columns
        6
    """
    mining = mining or Mining()
    if cross_check is not None:
        check_cross_check(cross_check)
    rows = check_rows(read_pairs(pairs, split=split))
    source = find_corpus(pairs, rows, mining.corpus if corpus is None else corpus)
    queries = Queries(rows)
    options: dict[str, Any] = {"symmetric": rows.symmetric, "batch_size": mining.batch_size, "progress": progress}
    own = EncoderScorer(text_encoder, queries.texts, **options)
    judge: PairScorer = own if cross_check is None else make_scorer(cross_check, queries.texts, options)
    candidates, sample = rank_corpus(source, queries, own, mining, progress)
    scores = candidates.scores
    if cross_check is not None:
        with show_progress(None, "checking", shown=progress) as advance:
            scores = check_candidates(candidates, source, judge, advance)
    positives = None
    if cross_check is not None or mining.absolute_margin is not None or mining.relative_margin is not None:
        positives = score_positives(rows, queries, judge)
    kept = filter_candidates(candidates.keys != 0, scores, positives, mining)
    numbers, negatives = choose_negatives(candidates.keys, kept, queries, sample, mining)
    found = source.fetch(negatives)
    return Pairs(
        (
            *([column[number] for number in numbers] for column in rows.columns),
            *([found[key] for key in column] for column in negatives.T.tolist()),
        ),
        relevant=None if rows.relevant is None else tuple(rows.relevant[number] for number in numbers),
        symmetric=rows.symmetric,
    )


def check_rows(pairs: Pairs) -> Pairs:
    """Raises if rows cannot have mined negatives."""
    if pairs.num_columns < 2:
        raise InputError(
            "`pairs` must have a query and a document in each row. Received: one text a row. Mining needs to know "
            "what is not a negative."
        )
    if pairs.labels is not None:
        raise InputError(
            f"`pairs` must have no labels. Received: {pairs.labels.shape[1]} a row. Mined negatives would have none; "
            "keep the rows whose document answers the query, and leave their labels out."
        )
    return pairs


def find_corpus(pairs: Any, rows: Pairs, corpus: Any) -> Corpus:
    """The documents to mine from."""
    corpus = corpus_of(pairs) if corpus is None else corpus
    return Documents(rows.columns[1:]) if corpus is None else Corpus(corpus)


def corpus_of(dataset: Any) -> Any:
    """The documents that come with a dataset; None if it has only rows."""
    if isinstance(dataset, BeirDataset):
        return dataset.corpus
    return dataset if isinstance(dataset, str | os.PathLike) and is_judged_folder(str(dataset)) else None


def make_scorer(cross_check: CrossCheck, queries: list[str], options: dict[str, Any]) -> PairScorer:
    """Makes the scorer of pairs for a cross-check."""
    if hasattr(cross_check, "encode_query"):
        return EncoderScorer(cast(TextEncoder, cross_check), queries, **options)
    return FunctionScorer(cast(Callable[..., np.ndarray], cross_check), queries)


def rank_corpus(
    corpus: Corpus, queries: Queries, scorer: EncoderScorer, mining: Mining, progress: bool | None
) -> tuple[Candidates, np.ndarray]:
    """Reads the corpus once: ranks its documents for each query, and draws some at random.

    Returns:
        The candidates, and the keys of random documents, int64.

    Raises:
        InputError: if the corpus is empty.
    """
    candidates = Candidates(scorer.queries, mining.range_max, queries.by_document)
    sample = Sample(max(SAMPLE_SIZE, 4 * mining.range_max), mining.seed)
    with show_progress(None, "mining", shown=progress) as advance:
        for keys, texts in corpus.blocks():
            candidates.add(keys, scorer.encode(texts))
            sample.add(keys)
            advance(len(texts))
    if not len(sample.keys):
        raise InputError("`corpus` must have at least one document. Received: none.")
    return candidates, sample.keys


def check_candidates(
    candidates: Candidates, corpus: Corpus, scorer: PairScorer, advance: Callable[[int], None]
) -> np.ndarray:
    """Scores the candidates while the corpus is read, so that their texts are not held in memory.

    Returns:
        float32 `(queries, size)`, -inf where a candidate is missing.
    """
    table = KeyTable(candidates.keys.ravel(), np.arange(candidates.keys.size))
    scores = np.full(candidates.keys.size, np.nan, dtype=np.float32)
    scores[candidates.keys.ravel() == 0] = -np.inf
    for keys, texts in corpus.blocks():
        places, documents = table.find(keys)
        new = np.isnan(scores[places])  # a text that an earlier block also had is already scored
        places, documents = places[new], documents[new]
        if len(places):
            asked, documents = np.unique(documents, return_inverse=True)
            scores[places] = scorer.score(places // candidates.size, documents, [texts[document] for document in asked])
        advance(len(texts))
    if np.isnan(scores).any():
        raise changed_corpus(int(np.isnan(scores).sum()))
    return scores.reshape(candidates.keys.shape)


def score_positives(pairs: Pairs, queries: Queries, scorer: PairScorer) -> np.ndarray:
    """The lowest score of each query's positives, float32 `(queries,)`."""
    lowest = np.full(len(queries.texts), np.inf, dtype=np.float32)
    positives = Documents([pairs.columns[1]])
    rows = KeyTable(text_keys(pairs.columns[1]), np.arange(len(pairs)))
    for keys, texts in positives.blocks():
        found, places = rows.find(keys)
        np.minimum.at(lowest, queries.of_row[found], scorer.score(queries.of_row[found], places, texts))
    return lowest
