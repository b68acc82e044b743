"""Which rows are in which batch: deterministic plans of an epoch, and the order in which datasets take turns."""

from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.pairs.distinct_batches import fill_distinct

Batches = Literal["random", "no_duplicates", "length", "no_duplicates_by_length"]
Mixing = Literal["round_robin", "proportional"]

POOL_BATCHES = 50  # as many batches are sorted by length at once: of like length, and still not the same each epoch


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
    """Deals rows to batches. The same arguments give the same plan on every machine.

    Args:
        num_rows: How many rows there are.
        batch_size: Rows in a batch.
        batches: `random`: every row equally likely to meet any other. `no_duplicates`: no text twice in a batch, so
            that no negative of the in-batch softmax is the query's own document; a row that collides waits for a later
            batch. `length`: rows of like length together, so that little is padded. `no_duplicates_by_length`: both.
        seed: Of the whole training.
        epoch: From 0; each has its own plan.
        keys: The `text_key` of every text, int64 `(n, columns)`, for `no_duplicates…` (`Pairs.keys()`).
        lengths: The number of tokens of each row (its longest text, say), `(n,)`, for `…length`.
        drop_remainder: Whether batches that are not full are left out.

    Returns:
        Row numbers of each batch, int64. Every row comes once, but for those that `drop_remainder` leaves out. Full
        batches come first; `random` and `length` have at most one that is not full, `no_duplicates…` has more only
        where a text stands in more rows than there are batches (or many texts stand in each other's way).

    Raises:
        InputError: if an argument is of the wrong type or shape, or no batch is left.
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
    """Sorts rows by length within pools of some batches; rows that fill no batch stay at the end, of any length."""
    order = order.copy()
    end = len(order) - len(order) % batch_size
    pool = POOL_BATCHES * batch_size
    for start in range(0, end, pool):
        part = order[start : min(start + pool, end)]
        part[:] = part[np.argsort(lengths[part], kind="stable")]
    return order


def mix_plans(sizes: list[int], *, mixing: Mixing = "round_robin", seed: int = 0, epoch: int = 0) -> list[int]:
    """The order in which several datasets give their batches.

    Args:
        sizes: How many batches each dataset has in this epoch.
        mixing: `round_robin`: one of each in turn until the shortest has no more. `proportional`: all batches of all,
            in random order.
        seed: Of the whole training.
        epoch: From 0.

    Returns:
        The number of the dataset that gives the next batch, for each step. `round_robin` has
        `len(sizes) * min(sizes)` steps, `proportional` `sum(sizes)`.

    Raises:
        InputError: if a dataset has no batch, or `mixing` is neither word.
    """
    if mixing not in get_args(Mixing):
        raise InputError(f"`mixing` must be one of {', '.join(get_args(Mixing))}. Received: mixing={mixing!r}.")
    check_whole_number("seed", seed, least=0)
    check_whole_number("epoch", epoch, least=0)
    if not sizes or min(sizes) < 1:
        raise InputError(f"Every dataset must have at least one batch. Received: sizes={sizes!r}. Use a smaller batch.")
    if mixing == "round_robin":
        return list(range(len(sizes))) * min(sizes)
    # A third number, so that this order is not the one in which a dataset of this size is shuffled.
    order: list[int] = (
        np.random.default_rng([seed, epoch, 1]).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()
    )
    return order


def check_array(name: str, values: Any, shape: tuple[int | None, ...], batches: str) -> np.ndarray:
    """Raises where an array of whole numbers is missing or has another shape."""
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
