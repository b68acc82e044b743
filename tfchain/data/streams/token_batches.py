"""Batches of token ids from texts, in an order that can be continued at any batch."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.pairs.token_store import TokenStore
from tfchain.data.streams.batch_plan import WINDOW_BATCHES, BatchPlan
from tfchain.data.streams.texts import Texts, open_texts
from tfchain.data.streams.token_cache import CachedTokens, cached_tokens
from tfchain.data.streams.window_stores import Stored, store_windows, store_windows_apart

Where = Literal["host", "graph"]
Position = dict[str, Any]


class TokenBatches:
    """Batches of token ids. Iterate over it for NumPy arrays, or give `to_dataset()` to Keras.

    A position is a few plain values, for a checkpoint: after `resume(position)` come the same batches in the same
    order as if the stream had never stopped. A second loop over the stream goes on where the first one ended.

    Attributes:
        position: The batch that comes next.
    """

    def __init__(
        self,
        texts: Texts | CachedTokens,
        tokenize: Any,
        plan: BatchPlan,
        *,
        where: Where,
        pad_id: int,
        epochs: int | None,
        num_workers: int = 1,
    ) -> None:
        self.texts = texts
        self.plan = plan
        self.where = where
        self.pad_id = pad_id
        self.epochs = epochs
        self.num_workers = num_workers
        self._tokenize = tokenize
        self._epoch = self._batch = 0
        values = [asdict(plan), texts.fingerprint]
        self._order = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    @property
    def position(self) -> Position:
        return {"epoch": self._epoch, "batch": self._batch, "order": self._order}

    def resume(self, position: Mapping[str, Any]) -> "TokenBatches":
        """Continues at a position of a stream of the same texts and settings.

        Returns:
            The stream.

        Raises:
            InputError: if the position is that of another stream.
        """
        if not isinstance(position, Mapping) or position.get("order") != self._order:
            raise InputError(
                "`position` must come from a stream of the same texts, batch size, buckets and seed. Received: "
                f"{position!r:.100}. Make the stream as it was, or begin anew."
            )
        self._epoch = check_whole_number("epoch", position.get("epoch"), least=0)
        self._batch = check_whole_number("batch", position.get("batch"), least=0)
        return self

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields `token_ids` and `padding_mask`, int32 `(batch, width)`, from the position on."""
        if self.where == "graph":
            for batch in self.to_dataset(with_position=True).as_numpy_iterator():
                self._epoch, self._batch = batch["position"].tolist()
                yield batch["token_ids"], batch["padding_mask"]
            return
        for epoch, number, batch in self._host_batches():
            self._epoch, self._batch = epoch, number + 1
            yield batch

    def to_dataset(self, *, with_position: bool = False) -> Any:
        """Returns a `tf.data.Dataset` of dicts with `token_ids` and `padding_mask`, from the position on.

        Args:
            with_position: Whether each batch has a third entry, `position`: epoch and number of the batch after it,
                int64 `(2,)`, for `resume` (a dataset reads ahead, so that the stream's own position runs before what
                was trained on). Default: False.

        Raises:
            InputError: if workers tokenize, which cannot be forked beside TensorFlow.
        """
        if self.num_workers > 1:
            raise InputError(
                "A `tf.data.Dataset` runs in TensorFlow's threads, beside which workers cannot be forked. Received: "
                f"num_workers={self.num_workers}. Use num_workers=1 and `cache`, or iterate over the batches.",
                argument="num_workers",
            )
        import tensorflow as tf

        if self.where == "graph":
            from tfchain.data.streams.graph_batches import make_graph_dataset

            dataset = make_graph_dataset(self._windows, self._tokenize, self.plan, self.pad_id)
        else:
            matrix = tf.TensorSpec([None, None], tf.int32)
            spec = {"token_ids": matrix, "padding_mask": matrix, "position": tf.TensorSpec([2], tf.int64)}

            def produce() -> Iterator[dict[str, Any]]:
                for epoch, number, (token_ids, padding_mask) in self._host_batches():
                    yield {"token_ids": token_ids, "padding_mask": padding_mask, "position": [epoch, number + 1]}

            dataset = tf.data.Dataset.from_generator(produce, output_signature=spec)
        if not with_position:
            dataset = dataset.map(lambda batch: {name: batch[name] for name in ("token_ids", "padding_mask")})
        return dataset.prefetch(tf.data.AUTOTUNE)

    def position_of(self, values: Sequence[int]) -> Position:
        """Returns the position that a batch of `to_dataset(with_position=True)` has."""
        epoch, number = (int(value) for value in values)
        return {"epoch": epoch, "batch": number, "order": self._order}

    def _windows(self) -> Iterator[tuple[int, int, list[Any], int]]:
        """Yields epoch, window, its texts, and how many of its first batches are left out."""
        epoch, batch = self._epoch, self._batch
        while self.epochs is None or epoch < self.epochs:
            first, skipped = divmod(batch, self.plan.window_batches)
            found = False
            windows: Iterator[list[Any]] = self.texts.windows(
                self.plan.window_texts, self.plan.shuffle_seed, epoch, first
            )
            for number, texts in enumerate(windows, first):
                found = True
                yield epoch, number, texts, skipped
                skipped = 0
            if not found and not batch:
                raise InputError("The source must have at least one text. Received: none.")
            epoch, batch = epoch + 1, 0

    def _host_batches(self) -> Iterator[tuple[int, int, tuple[np.ndarray, np.ndarray]]]:
        """Yields epoch, number and arrays of each batch; tokenizes windows while the ones before are used."""
        with contextlib.closing(self._stores()) as stores:
            for epoch, number, store, skipped in stores:
                rows = store.rows[:, 0]
                batches = self.plan.deal(store.lengths(rows))
                order = self.plan.order_of_batches(len(rows), epoch, number)
                for place in range(skipped, len(order)):
                    indices = rows[batches[order[place]]]
                    width = self.plan.width_of(int(store.lengths(indices).max(initial=0)))
                    arrays = store.pad(indices, pad_id=self.pad_id, length=width)
                    yield epoch, number * self.plan.window_batches + place, arrays

    def _stores(self) -> Generator[Stored]:
        """Yields windows with their token ids."""
        if isinstance(self.texts, CachedTokens):
            return store_windows(self._windows(), self.texts.store)
        if self.num_workers > 1:
            return store_windows_apart(self._windows(), self._tokenize, self.num_workers)
        return store_windows(self._windows(), lambda texts: TokenStore.build([texts], self._tokenize))


def token_batches(
    source: Any,
    tokenize: Callable[..., Any],
    *,
    batch_size: int = 32,
    buckets: Sequence[int] = (),
    shuffle_seed: int | None = None,
    epochs: int | None = 1,
    where: Where = "host",
    cache: Path | str | None = None,
    tokenizer_fingerprint: str = "",
    column: str = "text",
    verify: bool = False,
    pad_id: int = 0,
    window_batches: int = WINDOW_BATCHES,
    num_workers: int = 1,
) -> TokenBatches:
    """Makes batches of token ids of texts of any number.

    Texts are read in windows of some thousand, tokenized, grouped by length and padded, so that memory does not grow
    with the source. Use `fit` to train on pairs; use this for a loop of your own, or to encode a corpus.

    Args:
        source: A sequence of texts, `Document`s or rows, or a path: see `open_texts`.
        tokenize: On the host: takes texts, returns the token ids of each, with special tokens, cut to the model's
            maximum, such as `text_encoder.tokenizer`. In a graph: takes a string tensor `(batch,)`, returns `token_ids`
            and `padding_mask`, such as `lambda texts: wordpiece(texts, 128)` with a `WordPieceTokenizer`.
        batch_size: Texts in a batch. Default: 32.
        buckets: The widths of batches, in tokens, ascending, so that a compiled model sees few shapes. Default: a
            batch is as wide as its longest text.
        shuffle_seed: The seed of the order, another one in each epoch. A list is shuffled as a whole; of files the
            order, and the texts within each window. Default: not shuffled.
        epochs: How often the source is read; `None` for ever. Default: 1.
        where: Whether `tokenize` runs on the `host` or in a `graph` of `tf.data`. Default: `host`.
        cache: A folder in which token ids are kept, so that each text is tokenized once for all epochs and runs, and
            files are shuffled as a whole; for the host. Default: none.
        tokenizer_fingerprint: What identifies the tokenizer in the cache, such as `make_fingerprint(
            tokenizer.describe(), [])`. Needed with `cache`.
        column: The column of rows that holds the texts. Default: `text`.
        verify: Whether the files of a prepared set are compared with their hashes first. Default: False.
        pad_id: The token id that fills up shorter texts. Default: 0.
        window_batches: Batches in a window. Default: 64.
        num_workers: The number of processes that tokenize, for the host without `cache`, in a process in which
            TensorFlow has not started; the batches are the same with any number. Default: 1, this process alone.

    Returns:
        The batches.

    Raises:
        InputError: if an argument is of the wrong type or out of range, a file of the set was changed, or a text is
            longer than the last bucket.

    Example:
        >>> letters = lambda texts: [[ord(letter) - 96 for letter in text] for text in texts]
        >>> for token_ids, padding_mask in token_batches(["ab", "c"], letters, batch_size=2):
        ...     print(token_ids.tolist(), padding_mask.tolist())
        [[3, 0], [1, 2]] [[1, 0], [1, 1]]
    """
    if where not in get_args(Where):
        raise InputError(f"`where` must be 'host' or 'graph'. Received: where={where!r}.", argument="where")
    if epochs is not None:
        check_whole_number("epochs", epochs)
    if check_whole_number("num_workers", num_workers) > 1 and (where != "host" or cache is not None):
        raise InputError(
            "`num_workers` is for texts that are tokenized on the host each time they are read. Received: "
            f"num_workers={num_workers}, where={where!r}, cache={cache!r:.80}. Leave one of them out.",
            argument="num_workers",
        )
    plan = BatchPlan(batch_size, tuple(buckets), shuffle_seed, window_batches)
    texts = open_texts(source, column=column, verify=verify)
    options: dict[str, Any] = {"where": where, "pad_id": pad_id, "epochs": epochs, "num_workers": num_workers}
    if cache is None:
        return TokenBatches(texts, tokenize, plan, **options)
    if where != "host" or not tokenizer_fingerprint:
        raise InputError(
            "`cache` keeps the token ids of a tokenizer on the host, known by its fingerprint. Received: "
            f"where={where!r}, tokenizer_fingerprint={tokenizer_fingerprint!r:.40}. Use where='host', and give "
            "`tokenizer_fingerprint`.",
            argument="cache",
        )
    stored = cached_tokens(texts, tokenize, Path(cache), tokenizer_fingerprint)
    return TokenBatches(stored, tokenize, plan, **options)
