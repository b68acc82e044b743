"""Texts in windows: a list in any order, or the files of a set one after the other."""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.reading import read_documents
from tfchain.data.files.paths import to_path
from tfchain.data.files.records import read_records
from tfchain.data.files.shard_manifest import Manifest, find_shards, hash_file, read_manifest, verify_shards
from tfchain.data.files.tables import read_parquet
from tfchain.data.pairs.sources import is_tfrecord, read_file


@dataclass(frozen=True)
class ListTexts:
    """Texts in memory: an epoch shuffles all of them.

    Args:
        texts: The texts.
    """

    texts: Sequence[str]

    @property
    def fingerprint(self) -> str:
        """The hash of the texts."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()

    def windows(self, size: int, seed: int | None, epoch: int, first: int) -> Iterator[list[str]]:
        """Yields the texts of an epoch in its order.

        Args:
            size: The number of texts in a window.
            seed: The seed of the order; `None` keeps that of the texts.
            epoch: The epoch, from 0.
            first: The number of the first window.
        """
        order = np.arange(len(self.texts)) if seed is None else order_of(len(self.texts), seed, epoch)
        for start in range(first * size, len(order), size):
            yield [self.texts[number] for number in order[start : start + size].tolist()]


@dataclass(frozen=True)
class FileTexts:
    """Texts in files, read one after the other: an epoch shuffles the files, and the texts within each window.

    Args:
        paths: The files.
        counts: How many texts each has; `None` if that is not known, so that a stream that is continued reads what it
            skips.
        fingerprint: The hash of the set.
        read: Yields the texts of a file.
    """

    paths: Sequence[Path]
    counts: Sequence[int] | None
    fingerprint: str
    read: Callable[[Path], Iterator[str]]

    def windows(self, size: int, seed: int | None, epoch: int, first: int) -> Iterator[list[str]]:
        """Yields the texts of an epoch in its order; see `ListTexts`."""
        order = range(len(self.paths)) if seed is None else order_of(len(self.paths), seed, epoch).tolist()
        paths = [self.paths[number] for number in order]
        skipped = first * size
        if self.counts is not None:
            for number in order:
                if self.counts[number] > skipped:
                    break
                skipped -= self.counts[number]
                paths = paths[1:]
        texts = itertools.islice(itertools.chain.from_iterable(map(self.read, paths)), skipped, None)
        for number in itertools.count(first):
            window = list(itertools.islice(texts, size))
            if not window:
                return
            if seed is not None:
                window = [window[place] for place in order_of(len(window), seed, epoch, number).tolist()]
            yield window


Texts = ListTexts | FileTexts


def order_of(number: int, seed: int, epoch: int, window: int | None = None) -> np.ndarray:
    """Returns an order of things that depends on the arguments alone."""
    key = [seed, epoch] if window is None else [seed, epoch, window + 1]
    return np.random.default_rng(key).permutation(number)


def open_texts(source: Any, *, column: str = "text", verify: bool = False) -> Texts:
    """Opens a source of texts.

    Args:
        source: A sequence of texts, `Document`s or rows (dicts); or a path: of a set that `prepare` wrote, or of what
            `read_documents` reads.
        column: The column of rows that holds the texts; of documents it is title and text. Default: `text`.
        verify: Whether the files of a set are compared with the hashes in its manifest first. Default: False.

    Returns:
        The texts: those of a sequence in memory, those of files read as needed.

    Raises:
        InputError: if the source is of another kind, a record has no text, or a file of the set was changed.
    """
    if isinstance(source, str | os.PathLike):
        return open_path(to_path(source), column, verify)
    if not isinstance(source, Sequence) or isinstance(source, bytes):
        raise InputError(
            "`source` must be a sequence of texts, documents or rows, or a path, as it is read once an epoch. "
            f"Received: {type(source).__name__}. Write it with `prepare(…, output=…)` first, or make a list of it."
        )
    return ListTexts([text_of(item, column, f"source[{number}]") for number, item in enumerate(source)])


def open_path(path: Path, column: str, verify: bool) -> FileTexts:
    """Opens files."""
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest is None:
        if verify:
            raise InputError(f"`verify` needs a set that `prepare` wrote, with manifest.json. Received: {path}.")
        fingerprint = hash_file(path) if path.is_file() else hash_tree(path)
        return FileTexts([path], None, fingerprint, lambda file: (item.full_text for item in read_documents(file)))
    files = verify_shards(path, manifest) if verify else find_shards(path, manifest)
    counts = [shard.records for shard in manifest.shards]
    return FileTexts(files, counts, manifest.fingerprint, lambda file: read_shard(file, manifest, column))


def hash_tree(folder: Path) -> str:
    """Returns the hash of the names and the content of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)}\0{hash_file(file)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_shard(path: Path, manifest: Manifest, column: str) -> Iterator[str]:
    """Yields the texts of a set's file."""
    if manifest.kind == "rows" and path.suffix == ".parquet":
        for block in read_parquet(path, lambda names, place: choose_column(names, column, path)):
            yield from (check_text(text, str(path)) for text in block.columns[0])
    elif is_tfrecord(path):
        for block in read_file(path):
            index = choose_column(list(block.names), column, path)[0]
            yield from (check_text(text, str(path)) for text in block.columns[list(block.names).index(index)])
    else:
        for place, record in read_records(path):
            yield text_of(record, column, place, is_document=manifest.kind == "documents")


def choose_column(names: list[str], column: str, path: Path) -> list[str]:
    """Chooses the column of the texts."""
    if column not in names:
        raise InputError(f"{path} has no column `{column}`. Received the columns: {', '.join(names)}. Set `column`.")
    return [column]


def text_of(item: Any, column: str, place: Any, *, is_document: bool = False) -> str:
    """Returns the text of a record."""
    if isinstance(item, str):
        return item
    if isinstance(item, Document):
        return item.full_text
    if isinstance(item, Mapping) and (is_document or column in item):
        if is_document:
            return f"{item.get('title') or ''} {item.get('text') or ''}".strip()
        return check_text(item[column], place)
    raise InputError(
        f"{place}: expected a text, a document or a row with the column `{column}`. Received: {item!r:.60}. Set "
        "`column` to that which holds the texts."
    )


def check_text(text: Any, place: Any) -> str:
    """Returns a text; raises an InputError if it is not one."""
    if not isinstance(text, str):
        raise InputError(f"{place}: expected a text. Received: {text!r:.60} of type {type(text).__name__}.")
    return text
