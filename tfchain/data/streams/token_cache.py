"""Token ids of a corpus on disk, tied to its texts and to the tokenizer: made once, mapped into memory afterwards."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfchain.core.atomic import new_folder, write_json
from tfchain.core.errors import InputError
from tfchain.data.pairs.token_store import BLOCK_TEXTS, TokenStore
from tfchain.data.streams.texts import Texts, order_of

CACHE_FORMAT = 1


@dataclass(frozen=True)
class CachedTokens:
    """Texts whose token ids are on disk: an epoch shuffles all of them.

    Args:
        token_ids: The ids of all texts, one text after the other, int32.
        offsets: Where each text begins, and where the last text ends, int64 `(texts + 1,)`.
        fingerprint: The hash of the texts and of the tokenizer.
    """

    token_ids: np.ndarray
    offsets: np.ndarray
    fingerprint: str

    def windows(self, size: int, seed: int | None, epoch: int, first: int) -> Iterator[list[int]]:
        """Yields the numbers of the texts of an epoch in its order; see `ListTexts`."""
        number = len(self.offsets) - 1
        order = np.arange(number) if seed is None else order_of(number, seed, epoch)
        for start in range(first * size, number, size):
            yield order[start : start + size].tolist()

    def store(self, numbers: Sequence[int]) -> TokenStore:
        """Returns the token ids of some texts, as the rows of a store."""
        return TokenStore(self.token_ids, self.offsets, np.asarray(numbers, dtype=np.int64)[:, np.newaxis])


def cached_tokens(
    texts: Texts, tokenize: Callable[[list[str]], list[list[int]]], cache: Path, tokenizer_fingerprint: str
) -> CachedTokens:
    """Returns the token ids of texts from a cache; tokenizes the texts if they are not there.

    Args:
        texts: The texts.
        tokenize: Takes texts; returns the token ids of each.
        cache: The folder of the cache; each pair of texts and tokenizer has a folder in it, which appears when it is
            whole.
        tokenizer_fingerprint: What identifies the tokenizer.

    Raises:
        InputError: if there is no text, or `tokenize` does not return a list for each text.
        TfchainError: if the cache cannot be written.
    """
    fingerprint = hashlib.sha256(f"{CACHE_FORMAT}\0{texts.fingerprint}\0{tokenizer_fingerprint}".encode()).hexdigest()
    folder = cache / fingerprint[:32]
    if not (folder / "cache.json").is_file():
        with new_folder(folder) as partial:
            fill_cache(texts, tokenize, partial)
            write_json(partial / "cache.json", {"format": CACHE_FORMAT, "fingerprint": fingerprint})
    token_ids = np.memmap(folder / "token_ids", dtype="<i4", mode="r")
    offsets = np.memmap(folder / "offsets", dtype="<i8", mode="r")
    return CachedTokens(token_ids, offsets, fingerprint)


def is_token_cache(folder: Path) -> bool:
    """Returns whether a folder is the cache of one corpus and tokenizer."""
    return (folder / "cache.json").is_file() and (folder / "token_ids").is_file()


def fill_cache(texts: Texts, tokenize: Callable[[list[str]], list[list[int]]], folder: Path) -> None:
    """Tokenizes all texts in their order, and writes the ids and where each text begins."""
    end = 0
    with open(folder / "token_ids", "wb") as ids_file, open(folder / "offsets", "wb") as offsets_file:
        offsets_file.write(np.zeros(1, dtype="<i8").tobytes())
        for window in texts.windows(BLOCK_TEXTS, None, 0, 0):
            store = TokenStore.build([window], tokenize)
            rows = store.rows[:, 0]
            ids_file.write(np.concatenate(store.take(rows)).astype("<i4", copy=False).tobytes())
            offsets = end + np.cumsum(store.lengths(rows))
            offsets_file.write(offsets.astype("<i8", copy=False).tobytes())
            end = int(offsets[-1])
        if not end:
            raise InputError("The source must have at least one text with a token. Received: none.")
