"""Pads lists of token ids to rectangles."""

from collections.abc import Sequence

import numpy as np


def pad(token_ids: Sequence[Sequence[int]], pad_token_id: int, *, skipped: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pads the token ids of several texts to one rectangle.

    Args:
        token_ids: The ids of each text.
        pad_token_id: The id that pads shorter texts.
        skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.

    Returns:
        `token_ids` and `padding_mask`, int32 `(texts, longest)`: the mask is 1 for a token, 2 for a skipped token, 0
        for padding.
    """
    longest = max((len(ids) for ids in token_ids), default=0) or 1
    rectangle = np.full((len(token_ids), longest), pad_token_id, dtype="int32")
    mask = np.zeros((len(token_ids), longest), dtype="int32")
    for row, ids in enumerate(token_ids):
        rectangle[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        mask[row, : min(skipped, len(ids))] = 2
    return rectangle, mask
