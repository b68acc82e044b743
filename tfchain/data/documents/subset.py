"""A part of a corpus that holds every judged document, for evaluations that are made again and again."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir, read_qrels
from tfchain.data.files.paths import to_path


def subset_corpus(
    documents: Iterable[Document], judged: Mapping[str, Mapping[str, int]], size: int = 1000, *, seed: int = 0
) -> list[Document]:
    """Every judged document, and others drawn at random until there are so many.

    A document is drawn by a hash of its id and the seed: the same ones whatever the order of the corpus, and a larger
    subset holds a smaller one. Rankings among fewer documents are easier: compare figures of one subset only.

    Args:
        documents: The corpus.
        judged: Grades by document id, by query id.
        size: How many documents; all, where there are fewer. Default: 1000.
        seed: Of the draw, at least 0. Default: 0.

    Returns:
        The documents, in the order of the corpus.

    Raises:
        InputError: if `size` is below the number of judged documents.

    Example:
        >>> corpus = [Document(id=str(number), text="a text") for number in range(9)]
        >>> [one.id for one in subset_corpus(corpus, {"q": {"7": 1}}, 3)]
        ['3', '4', '7']
    """
    check_whole_number("size", size)
    check_whole_number("seed", seed, least=0)
    held = list(documents)
    needed = {id for grades in judged.values() for id in grades}
    others = sorted((one.id for one in held if one.id not in needed), key=lambda id: _draw(id, seed))
    found = len(held) - len(others)
    if size < found:
        raise InputError(
            f"`size` must be at least the number of judged documents, {found}. Received: size={size}. Raise it, or "
            "judge fewer."
        )
    chosen = needed.union(others[: size - found])
    return [one for one in held if one.id in chosen]


def read_subset(path: Path | str, size: int = 1000, *, seed: int = 0) -> list[Document]:
    """A subset of a BEIR folder's documents that holds every one that any of its splits judges.

    Args:
        path: The folder, SciFact's say.
        size: How many documents. Default: 1000.
        seed: Of the draw. Default: 0.

    Raises:
        InputError: if it is no BEIR folder, or as `subset_corpus` does.
    """
    path = to_path(path)
    files = sorted((path / "qrels").glob("*.tsv"))
    dataset = read_beir(path, split=files[0].stem if files else "test")  # or the error that says what is missing
    judged: dict[str, dict[str, int]] = {}
    for file in files:
        for query, grades in read_qrels(file).items():
            judged[query] = {**judged.get(query, {}), **grades}
    return subset_corpus(dataset.documents(), judged, size, seed=seed)


def _draw(id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{id}".encode()).digest()
