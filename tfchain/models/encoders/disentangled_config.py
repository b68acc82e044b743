"""How DeBERTa's attention sees positions: plain, frozen values, and the rows of its table by distance."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tfchain.core.errors import InputError

Term = Literal["c2p", "p2c"]


@dataclass(frozen=True, kw_only=True)
class DisentangledConfig:
    """DeBERTa's disentangled attention (He et al. 2021, https://arxiv.org/abs/2006.03654).

    Args:
        span: Half the rows of the table of relative positions: one for each distance, or each bucket of distances, in
            either direction.
        max_distance: Longer distances count as this one; it bounds the last bucket.
        has_buckets: Whether long distances share rows on a logarithmic scale. Default: True.
        terms: What is added to the scores of content by content: `c2p`, of content by position, and `p2c`, of position
            by content. Default: both.
        shares_products: Whether positions go through the content's products of query and key. Default: True.
        has_norm: Whether the table is normalised. Default: True.

    Raises:
        InputError: if a value is out of range.
    """

    span: int
    max_distance: int
    has_buckets: bool = True
    terms: tuple[Term, ...] = ("c2p", "p2c")
    shares_products: bool = True
    has_norm: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        if not self.terms or set(self.terms) - set(get_args(Term)):
            raise InputError(f"`terms` must be 'c2p', 'p2c' or both. Received: terms={self.terms!r}.")
        if self.span < 1 or self.max_distance < 1:
            raise InputError(
                "`span` and `max_distance` must be at least 1. "
                f"Received: span={self.span}, max_distance={self.max_distance}."
            )

    @property
    def num_terms(self) -> int:
        """Terms of a score, that of content by content included."""
        return 1 + len(self.terms)


def find_relative_rows(config: DisentangledConfig, max_length: int) -> np.ndarray:
    """Returns the table's row for each distance from `1 - max_length` to `max_length - 1`, int32.

    Args:
        config: Buckets and span.
        max_length: The maximum number of tokens in a text.
    """
    distances = np.arange(1 - max_length, max_length)
    if config.has_buckets:
        distances = make_log_buckets(distances, config.span, config.max_distance)
    return np.clip(distances + config.span, 0, 2 * config.span - 1).astype("int32")


def make_log_buckets(distances: np.ndarray, num_buckets: int, max_distance: int) -> np.ndarray:
    """Returns the buckets of distances: short ones have one each, long ones share them on a logarithmic scale.

    As in PyTorch, logarithms are in float32 (`make_log_bucket_position` of transformers).

    Args:
        distances: Whole numbers, negative where the key follows the query.
        num_buckets: Buckets of either direction.
        max_distance: The first distance beyond the last bucket.
    """
    middle = num_buckets // 2
    size = np.where(np.abs(distances) < middle, middle - 1, np.abs(distances)).astype("float32")
    logarithms = np.log(size / np.float32(middle)) / np.log(np.float32((max_distance - 1) / middle))
    buckets = np.ceil(logarithms * np.float32(middle - 1)) + middle
    found: np.ndarray = np.where(size <= middle, distances, buckets * np.sign(distances))
    return found.astype("int64")
