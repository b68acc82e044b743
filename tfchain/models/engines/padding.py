"""Lists of token ids as rectangles."""

from collections.abc import Sequence

import numpy as np


def pad(token_ids: Sequence[Sequence[int]], pad_token_id: int, *, skipped: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of several texts as one rectangle.

    Args:
        token_ids: Each text's ids.
        pad_token_id: Fills shorter texts up.
        skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.

    Returns:
        `token_ids` and `padding_mask`, int32 `(texts, longest)`: the mask is 1 for a token, 2 for one that is skipped,
        0 for padding.
    """
    longest = max((len(ids) for ids in token_ids), default=0) or 1
    rectangle = np.full((len(token_ids), longest), pad_token_id, dtype="int32")
    mask = np.zeros((len(token_ids), longest), dtype="int32")
    for row, ids in enumerate(token_ids):
        rectangle[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        mask[row, : min(skipped, len(ids))] = 2
    return rectangle, mask
