"""Which rows go into which batch: deterministic plans of an epoch, and the order in which datasets take turns."""

from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.pairs.distinct_batches import fill_distinct

Batches = Literal["random", "no_duplicates", "length", "no_duplicates_by_length"]
Mixing = Literal["round_robin", "proportional"]

POOL_BATCHES = 50  # batches sorted by length together: lengths are similar, yet batches differ from epoch to epoch


def plan_epoch(
    num_rows: int,
    batch_size: int,
    *,
    batches: Batches = "random",
    seed: int = 0,
    epoch: int = 0,
    keys: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    drop_remainder: bool = False,
) -> list[np.ndarray]:
    """Distributes rows over batches. The same arguments give the same plan on every machine.

    Args:
        num_rows: The number of rows.
        batch_size: Rows per batch.
        batches: `random`: every row is equally likely to meet any other. `no_duplicates`: no text twice in a batch, so
            that no negative of the in-batch softmax is the query's own document; a row that collides waits for a later
            batch. `length`: rows of similar length together, which saves padding. `no_duplicates_by_length`: both.
            Default: `random`.
        seed: The seed of the whole training. Default: 0.
        epoch: The epoch, from 0; each epoch has its own plan. Default: 0.
        keys: The `text_key` of every text, int64 `(n, columns)` (`Pairs.keys()`). Needed by `no_duplicates…` only.
        lengths: The number of tokens of each row (such as of its longest text), `(n,)`. Needed by `…length` only.
        drop_remainder: Whether batches that are not full are left out. Default: False.

    Returns:
        The row numbers of each batch, int64. Every row appears once, except those that `drop_remainder` leaves out.
        Full batches come first. `random` and `length` have at most one batch that is not full; `no_duplicates…` has
        more only if a text is in more rows than there are batches (or many texts collide with each other).

    Raises:
        InputError: if an argument has the wrong type or shape, or no batch is left.
    """
    for name, value, least in (
        *(("num_rows", num_rows, 1), ("batch_size", batch_size, 1)),
        *(("seed", seed, 0), ("epoch", epoch, 0)),
    ):
        check_whole_number(name, value, least=least)
    if batches not in get_args(Batches):
        raise InputError(f"`batches` must be one of {', '.join(get_args(Batches))}. Received: batches={batches!r}.")
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(num_rows)
    by_length = batches.endswith("length")
    if by_length:
        order = sort_pools(order, check_array("lengths", lengths, (num_rows,), batches), batch_size)
    if batches.startswith("no_duplicates"):
        plan = fill_distinct(order, check_array("keys", keys, (num_rows, None), batches), batch_size)
    else:
        plan = [order[start : start + batch_size] for start in range(0, num_rows, batch_size)]
    full = [batch for batch in plan if len(batch) == batch_size]
    if by_length:
        full = [full[number] for number in rng.permutation(len(full))]
    if not drop_remainder:
        full += sorted((batch for batch in plan if len(batch) < batch_size), key=len, reverse=True)
    if not full:
        raise InputError(
            f"No batch is full, and `drop_remainder` leaves out all others. Received: {num_rows} rows, "
            f"batch_size={batch_size}, batches={batches!r}. Use a smaller batch_size, or drop_remainder=False."
        )
    return full


def sort_pools(order: np.ndarray, lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Sorts rows by length within pools of `POOL_BATCHES` batches; the rows after the last full batch stay unsorted."""
    order = order.copy()
    end = len(order) - len(order) % batch_size
    pool = POOL_BATCHES * batch_size
    for start in range(0, end, pool):
        part = order[start : min(start + pool, end)]
        part[:] = part[np.argsort(lengths[part], kind="stable")]
    return order


def mix_plans(sizes: list[int], *, mixing: Mixing = "round_robin", seed: int = 0, epoch: int = 0) -> list[int]:
    """Plans the order in which several datasets provide their batches.

    Args:
        sizes: The number of batches of each dataset in this epoch.
        mixing: `round_robin`: one batch of each in turn until the shortest dataset ends. `proportional`: all batches of
            all datasets, in random order. Default: `round_robin`.
        seed: The seed of the whole training. Default: 0.
        epoch: The epoch, from 0. Default: 0.

    Returns:
        For each step, the number of the dataset that provides the batch. `round_robin` has `len(sizes) * min(sizes)`
        steps, `proportional` `sum(sizes)`.

    Raises:
        InputError: if a dataset has no batch, or `mixing` is neither of these.
    """
    if mixing not in get_args(Mixing):
        raise InputError(f"`mixing` must be one of {', '.join(get_args(Mixing))}. Received: mixing={mixing!r}.")
    check_whole_number("seed", seed, least=0)
    check_whole_number("epoch", epoch, least=0)
    if not sizes or min(sizes) < 1:
        raise InputError(f"Every dataset must have at least one batch. Received: sizes={sizes!r}. Use a smaller batch.")
    if mixing == "round_robin":
        return list(range(len(sizes))) * min(sizes)
    # The third number keeps this order different from the shuffle of a dataset of the same size.
    order: list[int] = (
        np.random.default_rng([seed, epoch, 1]).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()
    )
    return order


def check_array(name: str, values: Any, shape: tuple[int | None, ...], batches: str) -> np.ndarray:
    """Returns an array of whole numbers; raises an InputError if it is missing or has another type or shape."""
    array = None if values is None else np.asarray(values)
    if (
        array is None
        or array.dtype.kind not in "iu"
        or array.ndim != len(shape)
        or any(size not in (None, found) for size, found in zip(shape, array.shape, strict=True))
    ):
        received = "None" if array is None else f"{array.dtype} {array.shape}"
        wanted = ", ".join("columns" if size is None else str(size) for size in shape)
        raise InputError(
            f"batches={batches!r} needs `{name}`, whole numbers of shape ({wanted}). Received: {name}={received}."
        )
    return array
