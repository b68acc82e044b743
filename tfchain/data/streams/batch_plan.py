"""Which texts of a window go into which batch, and how wide each batch is: the same on the host and in a graph."""

from dataclasses import dataclass

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

WINDOW_BATCHES = 64


@dataclass(frozen=True)
class BatchPlan:
    """How texts become batches.

    The texts of a window are grouped by the bucket of their length and cut into batches, which come in random order
    if texts are shuffled. Only the last window has a batch that is not full.

    Args:
        batch_size: Texts in a batch.
        buckets: The widths of batches, in tokens, ascending: a batch has the first that its longest text fits into.
            Default: none, a batch is as wide as its longest text.
        shuffle_seed: The seed of the order; `None` keeps the order of the source (within a window, by bucket).
        window_batches: Batches in a window. More make texts in a batch more alike in length, and take more memory.
    """

    batch_size: int
    buckets: tuple[int, ...] = ()
    shuffle_seed: int | None = None
    window_batches: int = WINDOW_BATCHES

    def __post_init__(self) -> None:
        check_whole_number("batch_size", self.batch_size)
        check_whole_number("window_batches", self.window_batches)
        if self.shuffle_seed is not None:
            check_whole_number("shuffle_seed", self.shuffle_seed, least=0)
        if any(width < 1 for width in self.buckets) or list(self.buckets) != sorted(set(self.buckets)):
            raise InputError(
                f"`buckets` must be ascending widths in tokens, such as (32, 64, 128). Received: {self.buckets!r:.60}.",
                argument="buckets",
            )

    @property
    def window_texts(self) -> int:
        """The number of texts in a window."""
        return self.batch_size * self.window_batches

    def order_of_batches(self, num_texts: int, epoch: int, window: int) -> np.ndarray:
        """Returns the numbers of a window's batches in the order in which they come."""
        number = -(-num_texts // self.batch_size)
        if self.shuffle_seed is None:
            return np.arange(number)
        return np.random.default_rng([self.shuffle_seed, epoch, window + 1, 1]).permutation(number)

    def deal(self, lengths: np.ndarray) -> list[np.ndarray]:
        """Deals a window's texts to batches.

        Args:
            lengths: Tokens of each text, `(texts,)`.

        Returns:
            The numbers of each batch's texts.
        """
        widths = self.buckets or (0,)
        order = np.argsort(np.searchsorted(widths, lengths) if self.buckets else lengths, kind="stable")
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def width_of(self, longest: int) -> int:
        """Returns the width of a batch.

        Raises:
            InputError: if no bucket is wide enough.
        """
        if not self.buckets:
            return max(1, longest)
        found = next((width for width in self.buckets if longest <= width), None)
        if found is None:
            raise InputError(
                f"The last of `buckets` must hold the longest text, {longest} tokens. Received: {self.buckets}. Add a "
                "wider one, or have the tokenizer cut texts."
            )
        return found
