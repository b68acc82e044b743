"""Turns what a user passes as a dataset into training sets with their losses."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.progress import show_progress
from tfchain.data.pairs.reading import Pairs, read_pairs
from tfchain.data.pairs.token_store import Tokenize, TokenStore
from tfchain.data.shards.pair_shards import PairShards
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.layout import TrainingSet
from tfchain.training.losses import PairLoss, default_loss, get_loss

logger = logging.getLogger(__name__)

QUERY = 2**30  # added to the ids of queries that have an encoder of their own: it shows whose a text is
NO_TOKEN = 2**31 - 1  # the id of such a query without tokens

LossChoice = str | PairLoss | Mapping[str, Any] | None


@dataclass(frozen=True)
class NamedPairs:
    """A dataset, the name it goes by in logs, the loss it is trained with, and what it was read from."""

    name: str
    pairs: Pairs
    loss: PairLoss
    source: Any = None


def read_datasets(dataset: Any, loss: LossChoice = None, *, split: str = "train", mined: int = 0) -> list[NamedPairs]:
    """Reads one or several datasets and chooses a loss for each.

    Args:
        dataset: Anything that `read_pairs` accepts, or a dict of datasets by name.
        loss: A loss, its name, or a dict of `name` and its arguments; with several datasets also a dict from their
            names to any of these. Default: chosen by the columns, and logged.
        split: The split of a BEIR folder. Default: `train`.
        mined: Negatives that will be added to each row that can have them. Default: 0.

    Raises:
        InputError: if a dataset cannot be read, or its columns or labels do not suit the loss.
    """
    # A Hugging Face `DatasetDict` is also a dict, but of splits: `read_pairs` picks the split.
    several = isinstance(dataset, Mapping) and not hasattr(dataset, "column_names")
    if several and not dataset:
        raise InputError("`dataset` must hold at least one dataset. Received: an empty dict.")
    datasets = dict(dataset) if several else {"dataset": dataset}
    losses = _losses_by_name(list(datasets), loss)
    read = []
    for name, source in datasets.items():
        if isinstance(source, PairShards):
            raise InputError(f"PairShards must be the only dataset. Received: the dataset {name!r} beside others.")
        pairs = read_pairs(source, split=split)
        check_pairs(name, pairs)
        num_columns = pairs.num_columns + (mined if can_be_mined(pairs) else 0)
        chosen = get_loss(losses[name]) if losses[name] is not None else default_loss(num_columns, pairs.labels)
        if losses[name] is None:
            log_default_loss(name, pairs, chosen)
        chosen.check(num_columns, pairs.labels)
        read.append(NamedPairs(name, pairs, chosen, source))
    return read


def log_default_loss(name: str, pairs: Pairs, loss: PairLoss) -> None:
    """Logs which loss was chosen for which columns."""
    labels = "" if pairs.labels is None else " and labels"
    logger.info("%s has %d columns%s: the loss is %s.", name, pairs.num_columns, labels, loss.name)


def check_pairs(name: str, pairs: Pairs) -> None:
    """Raises if `Pairs` made by hand are inconsistent; those that the readers make never are."""
    sizes = [len(column) for column in pairs.columns]
    if not sizes or len(set(sizes)) > 1 or not sizes[0]:
        raise InputError(
            f"`Pairs` must have columns of equal length, with a row or more. Received: {name}, {sizes} rows."
        )
    labels = pairs.labels
    if labels is not None and (np.ndim(labels) != 2 or len(labels) != sizes[0]):
        raise InputError(
            f"The labels of `Pairs` must be an array of shape ({sizes[0]}, k). Received: {name}, {np.shape(labels)}."
        )
    if labels is not None and not np.isfinite(labels).all():
        raise InputError(f"The labels of `Pairs` must be finite. Received: {name}, with NaN or infinity among them.")
    if pairs.relevant is not None and len(pairs.relevant) != sizes[0]:
        raise InputError(
            f"`relevant` of `Pairs` must have an entry for each of {sizes[0]} rows. Received: {name}, "
            f"{len(pairs.relevant)}."
        )


def can_be_mined(pairs: Pairs) -> bool:
    """Whether negatives can be added to rows."""
    return pairs.num_columns >= 2 and pairs.labels is None


def make_training_set(
    named: NamedPairs, text_encoder: TextEncoder, *, guide: TextEncoder | None = None, progress: bool | None = None
) -> TrainingSet:
    """Tokenizes a dataset.

    Args:
        named: The dataset and its loss.
        text_encoder: Supplies the tokenizer and the prompts; those of queries may be another's (`query_route`).
        guide: The model whose vectors a guided loss needs. Default: none.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Raises:
        InputError: if the loss needs a guide and there is none.
    """
    pairs = named.pairs
    named.loss.check_vectors(text_encoder.embedding_dim, None if guide is None else guide.embedding_dim)
    # SimCSE: a text with itself, each under its own dropout.
    columns = pairs.columns * 2 if named.loss.needs_copies else pairs.columns
    prompts = [""] * len(columns)
    tokenizers: list[Tokenize] = [text_encoder.tokenizer] * len(columns)
    sides = [text_encoder] * len(columns)
    if not pairs.symmetric:
        route = text_encoder.query_route
        sides[0] = queries = text_encoder if route is None else route
        asked: Tokenize = (
            queries.query_tokenizer if route is None else functools.partial(_mark_query, queries.query_tokenizer)
        )
        tokenizers = [asked] + [text_encoder.document_tokenizer] * (len(columns) - 1)
        prompts = [queries.query_prompt] + [text_encoder.document_prompt] * (len(columns) - 1)
    with show_progress(len(columns) * len(pairs), "tokenizing", shown=progress) as advance:
        store = TokenStore.build(columns, tokenizers, prompts=prompts, progress=advance)
    keys = pairs.keys()
    return TrainingSet(
        store,
        keys if len(columns) == keys.shape[1] else np.repeat(keys, 2, axis=1),
        make_judged(pairs),
        labels=pairs.labels,
        guide=_encode_guide(guide, named, store, progress) if named.loss.needs_guide and guide else None,
        skipped=tuple(side.skipped_tokens(prompt) for side, prompt in zip(sides, prompts, strict=True)),
    )


def _mark_query(tokenize: Tokenize, texts: list[str]) -> list[list[int]]:
    """Tokenizes queries that have an encoder of their own; `fit.routed.RoutedEncoder` takes the marks off again."""
    return [[QUERY + token for token in ids] or [NO_TOKEN] for ids in tokenize(texts)]


def make_judged(pairs: Pairs) -> np.ndarray:
    """The keys of the documents judged relevant for each row's query, int64 `(rows, most)`, padded with 0."""
    if pairs.relevant is None:
        return np.zeros((len(pairs), 1), dtype="int64")
    judged = np.zeros((len(pairs), max(1, *(len(keys) for keys in pairs.relevant))), dtype="int64")
    for row, keys in zip(judged, pairs.relevant, strict=True):
        row[: len(keys)] = sorted(keys)
    return judged


def describe_datasets(datasets: Sequence[NamedPairs]) -> str:
    """A fingerprint of all texts, labels and losses, in order."""
    values = {named.name: [named.loss.name, named.loss.get_config(), named.pairs.symmetric] for named in datasets}
    arrays = [(f"{named.name}/keys", named.pairs.keys()) for named in datasets]
    arrays += [(f"{named.name}/labels", named.pairs.labels) for named in datasets if named.pairs.labels is not None]
    arrays += [
        (f"{named.name}/judged", make_judged(named.pairs)) for named in datasets if named.pairs.relevant is not None
    ]
    return make_fingerprint(_to_plain(values), arrays)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _to_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _losses_by_name(names: list[str], loss: Any) -> dict[str, Any]:
    if isinstance(loss, Mapping) and "name" not in loss and "class_name" not in loss:
        unknown = [name for name in loss if name not in names]
        if unknown:
            raise InputError(
                f"`loss` names the dataset {unknown[0]!r}, which is not there. The datasets: {', '.join(names)}."
            )
        return {name: loss.get(name) for name in names}
    return dict.fromkeys(names, loss)


def _encode_guide(guide: TextEncoder, named: NamedPairs, store: TokenStore, progress: bool | None) -> np.ndarray:
    """The guide's vector of each text of the store, 0 for texts that the loss does not need."""
    pairs = named.pairs
    vectors = np.zeros((len(store), guide.embedding_dim), dtype="float32")
    for number, column in enumerate(pairs.columns[: named.loss.guide_columns]):
        encode = guide.encode if pairs.symmetric else guide.encode_query if number == 0 else guide.encode_document
        rows, first = np.unique(store.rows[:, number], return_index=True)
        vectors[rows] = encode([column[row] for row in first], progress=progress)
    return vectors
