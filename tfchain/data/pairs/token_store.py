"""Token ids of many texts in flat arrays: tokenizes each text once, and pads batches from the arrays."""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError

BLOCK_TEXTS = 4096
Tokenize = Callable[[list[str]], list[list[int]]]


class TokenStore:
    """The token ids of a dataset's texts. Make one with `TokenStore.build`.

    Args:
        token_ids: The ids of all texts, one text after the other, int32.
        offsets: Where each text begins, and where the last text ends, int64 `(texts + 1,)`.
        rows: Which text each column of each row holds, int64 `(n, columns)`.
    """

    def __init__(self, token_ids: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> None:
        self.token_ids = token_ids
        self.offsets = offsets
        self.rows = rows

    @classmethod
    def build(
        cls,
        texts_columns: Sequence[Sequence[str]],
        tokenize: Tokenize | Sequence[Tokenize],
        *,
        prompts: Sequence[str] = (),
        progress: Callable[[int], Any] | None = None,
    ) -> "TokenStore":
        """Tokenizes the distinct texts of some columns, a few thousand at a time.

        Args:
            texts_columns: The columns of `Pairs`.
            tokenize: Takes texts; returns their token ids, with special tokens, cut to the model's maximum, not padded.
                A list has one for each column.
            prompts: The prompt put before the texts of each column. Default: no prompts.
            progress: Called with the number of texts (of `rows * columns` in total) done since the last call. Default:
                no call.

        Returns:
            The store. Texts with the same prompt that are exactly equal are stored once.

        Raises:
            InputError: if the columns differ in length, the number of prompts is not the number of columns, or
                `tokenize` does not return a list for each text.
        """
        prompts = tuple(prompts) or ("",) * len(texts_columns)
        sizes = [len(texts) for texts in texts_columns]
        if not sizes or len(set(sizes)) > 1 or len(prompts) != len(sizes):
            raise InputError(
                f"`texts_columns` must be columns of one length, with a prompt each (or none at all). Received: "
                f"columns of {sizes} texts and {len(prompts)} prompts."
            )
        token_ids, lengths = array("i"), array("q")
        rows = np.empty((sizes[0], len(sizes)), dtype=np.int64)
        functions = [tokenize] * len(sizes) if callable(tokenize) else list(tokenize)
        seen: dict[tuple[str, int], dict[str, int]] = {}  # prompt and function → text → its number in the store
        for column, (texts, prompt, function) in enumerate(zip(texts_columns, prompts, functions, strict=True)):
            numbers = seen.setdefault((prompt, id(function)), {})
            for start in range(0, len(texts), BLOCK_TEXTS):
                block = texts[start : start + BLOCK_TEXTS]
                new = [text for text in dict.fromkeys(block) if text not in numbers]
                found = function([prompt + text for text in new]) if new else []
                if len(found) != len(new):
                    raise InputError(
                        f"`tokenize` must return a list for each text. Received: {len(found)} of {len(new)}."
                    )
                for text, ids in zip(new, found, strict=True):
                    numbers[text] = len(lengths)
                    lengths.append(len(ids))
                    token_ids.extend(ids)
                rows[start : start + len(block), column] = [numbers[text] for text in block]
                if progress is not None:
                    progress(len(block))
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(np.frombuffer(lengths, dtype=np.int64) if lengths else (), out=offsets[1:])
        flat = np.frombuffer(token_ids, dtype=np.int32) if token_ids else np.zeros(0, dtype=np.int32)
        return cls(flat, offsets, rows)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self, indices: np.ndarray | None = None) -> np.ndarray:
        """Returns the number of tokens of some texts, int64, in the shape of `indices`; by default of all texts."""
        if indices is None:
            return np.diff(self.offsets)
        return self.offsets[np.add(indices, 1)] - self.offsets[indices]

    def take(self, indices: np.ndarray) -> list[np.ndarray]:
        """Returns the token ids of some texts, one array per index; views, not copies."""
        starts, ends = self.offsets[indices].tolist(), self.offsets[np.add(indices, 1)].tolist()
        return [self.token_ids[start:end] for start, end in zip(starts, ends, strict=True)]

    def pad(
        self, indices: np.ndarray, *, pad_id: int, length: int | None = None, skipped: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the token ids of some texts as a padded batch.

        Args:
            indices: The texts, `(batch,)`, such as a column of `rows`.
            pad_id: The token id that fills up shorter texts.
            length: The width of the batch. Default: that of its longest text.
            skipped: The number of first tokens that pooling leaves out (those of a prompt); the mask is 2 there.
                Default: 0.

        Returns:
            `token_ids` and `padding_mask`, int32 `(batch, length)`; the mask is 1 for a token, 0 for padding.

        Raises:
            InputError: if a text is longer than `length`: cutting it here would remove its last special token.
        """
        lengths = self.lengths(indices)
        longest = int(lengths.max(initial=1))  # an encoder needs one position, even for texts without tokens
        width = longest if length is None else length
        if longest > width:
            raise InputError(
                f"`length` must be at least that of the longest text, {longest} tokens. Received: length={length}. "
                "Set the tokenizer's `max_length` to cut texts."
            )
        token_ids = np.full((len(lengths), width), pad_id, dtype=np.int32)
        for row, ids in zip(token_ids, self.take(indices), strict=True):
            row[: len(ids)] = ids
        positions = np.arange(width)
        padding_mask = (positions < lengths[:, None]).astype(np.int32)
        if skipped:
            padding_mask[:, :skipped] *= 2
        return token_ids, padding_mask
